"""Putting content into storage and taking it out, by the hash that the database knows it by."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.files.storage import default_storage

from annotation.storage.naming import Announced
from annotation.storage.trouble import Damaged, in_words
from annotation.storage.whole_files import (
    UNFINISHED,
    Fingerprint,
    Meter,
    compare,
    fingerprint_of,
)

CHUNK_BYTES = 64 * 1024
TEMPORARY = "the temporary folder"


# --------------------------------------------------------------------------------------------
# In
# --------------------------------------------------------------------------------------------


def keep(name: str, content: Any, *, sha256: str, size: int) -> str:
    """Have this content lie in storage under ``name``, which is returned.

    What lies there already is taken for it only if hash and size are the same, and is replaced
    otherwise. Raises StorageTrouble, and Damaged if the content is not what was announced.
    """
    fingerprint = Fingerprint(sha256, size)
    if not holds(name, fingerprint):
        default_storage.save(name, Announced(content, fingerprint))
    return name


def holds(name: str, expected: Fingerprint) -> bool:
    """Whether storage has it under this name, whole."""
    try:
        return default_storage.size(name) == expected.size and fingerprint(name) == expected
    except FileNotFoundError:
        return False


def fingerprint(name: str) -> Fingerprint:
    """Of what lies in storage. Raises FileNotFoundError."""
    with default_storage.open(name) as file:
        return fingerprint_of(file)


# --------------------------------------------------------------------------------------------
# Out
# --------------------------------------------------------------------------------------------


def opened(name: str, *, sha256: str, size: int | None = None) -> File[bytes]:
    """The file, open for reading, once all of it was seen to have this hash. Raises Damaged."""
    file = _open(name)
    try:
        found = fingerprint_of(file)
        compare(name, Fingerprint(sha256, found.size if size is None else size), found)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def chunks(name: str, *, sha256: str, size: int) -> Iterator[bytes]:
    """The content, of which the last chunk is withheld until all of it was seen to be right.

    For files too large to be read before they are sent. Raises Damaged at once when the file is
    missing or has another size, and instead of the last chunk when it has another hash; an empty
    ``sha256`` is one that nobody noted.
    """
    sending = _chunks(name, Fingerprint(sha256, size))
    next(sending)
    return sending


def _chunks(name: str, expected: Fingerprint) -> Iterator[bytes]:
    with _open(name) as file:
        if file.size != expected.size:
            compare(name, expected, Fingerprint("", file.size))
        yield b""
        meter, held = Meter(), b""
        while chunk := file.read(CHUNK_BYTES):
            if held:
                yield held
            meter.write(chunk)
            held = chunk
        if expected.sha256:
            compare(name, expected, meter.reading())
        yield held


@contextmanager
def fetched(name: str, *, sha256: str) -> Iterator[Path]:
    """A file of this machine with the same content, which may lie in a bucket, for a while.

    Raises Damaged where it has another hash; an empty ``sha256`` is one that nobody noted.
    """
    with tempfile.NamedTemporaryFile() as copy:
        meter = Meter()
        with _open(name) as source, in_words(TEMPORARY, "TMPDIR"):
            while chunk := source.read(CHUNK_BYTES):
                meter.write(chunk)
                copy.write(chunk)
            copy.flush()
        found = meter.reading()
        if sha256:
            compare(name, Fingerprint(sha256, found.size), found)
        yield Path(copy.name)


def local_path(name: str) -> Path | None:
    """The file itself where storage is a folder; None where it lies elsewhere, such as in S3."""
    try:
        path = Path(default_storage.path(name))
    except NotImplementedError:
        return None
    return path if path.is_file() else None


def _open(name: str) -> File[bytes]:
    try:
        return default_storage.open(name)
    except FileNotFoundError:
        raise Damaged(f"{name} is missing from storage") from None


# --------------------------------------------------------------------------------------------
# Away
# --------------------------------------------------------------------------------------------


def delete(name: str) -> None:
    """What is not there counts as deleted."""
    default_storage.delete(name)


def listdir(path: str) -> tuple[list[str], list[str]]:
    """Folders and files below a path; none below one that is not there."""
    try:
        return default_storage.listdir(path)
    except FileNotFoundError:
        return [], []


def forget_unfinished(before: datetime, *, remove: bool = True) -> int:
    """Delete what was begun before then and never finished; how many files that are."""
    folders = [UNFINISHED, *(f"{top}/{UNFINISHED}" for top in listdir("")[0])]
    names = [f"{folder}/{name}" for folder in folders for name in listdir(folder)[1]]
    found = 0
    for name in names:
        with suppress(FileNotFoundError):  # It has just been finished.
            if default_storage.get_modified_time(name) < before:
                found += 1
                if remove:
                    default_storage.delete(name)
    return found
