"""Secrets of this installation that nobody gave: made on first use, and kept."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

import durable


def kept_secret(path: Path, *, random_bytes: int) -> str:
    """What stands in the file, which is made on first use and readable by its owner alone.

    Whole or absent wherever its maker dies, and of several makers at once the first wins: all get
    the same. An empty file, which a killed process of an older version left, counts as none.
    """
    durable.make_folder(path.parent)
    if known := _text(path):
        return known
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if known := _text(path):
            return known
        made = secrets.token_urlsafe(random_bytes)
        part = path.with_name(f".{path.name}.unfinished")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(made)
        durable.place(part, path)
    return made


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
