"""Files of a disk that are whole or absent (``durable``), and compared by hash and size."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import durable
from annotation.storage.trouble import Damaged

CHUNK_BYTES = 1 << 20
UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class Fingerprint:
    """What a file is recognised by."""

    sha256: str
    size: int
    """Bytes."""


class Meter:
    """Takes a file's bytes piece by piece, as a file to write to does."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self._size += len(data)
        return len(data)

    def reading(self) -> Fingerprint:
        return Fingerprint(self._digest.hexdigest(), self._size)


def fingerprint_of(file: Any) -> Fingerprint:
    """Of what is left to read of an open file."""
    meter = Meter()
    while chunk := file.read(CHUNK_BYTES):
        meter.write(as_bytes(chunk))
    return meter.reading()


def fingerprint_at(path: Path) -> Fingerprint:
    with path.open("rb") as file:
        return fingerprint_of(file)


def as_bytes(chunk: bytes | str) -> bytes:
    """Django lets people store text."""
    return chunk.encode() if isinstance(chunk, str) else chunk


def write_whole(
    path: Path,
    content: Iterable[bytes | str],
    *,
    part: Path | None = None,
    expected: Fingerprint | None = None,
    mode: int | None = None,
) -> Fingerprint:
    """Writes a file so that nobody ever sees a part of it under its name; what was written.

    It is written as ``part`` (a hidden file beside it unless given; on the same disk), forced to
    the disk, read back and compared with what was written and with what is ``expected``, and
    then takes the place of ``path`` at once. Raises Damaged and OSError; ``path`` is then as
    before.
    """
    part = part or path.with_name(f".{uuid.uuid4().hex}{UNFINISHED}")
    durable.make_folder(part.parent)
    durable.make_folder(path.parent)
    try:
        written = _write(part, content)
        if mode is not None:
            part.chmod(mode)

        def read_back() -> None:
            compare(path.name, expected or written, fingerprint_at(part))

        durable.place(part, path, check=read_back)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    return written


def compare(name: str, expected: Fingerprint, found: Fingerprint) -> None:
    """Raises Damaged, which says how much of it there was."""
    if found == expected:
        return
    if found.size != expected.size:
        raise Damaged(f"{name} has {found.size:,} of {expected.size:,} bytes in storage")
    raise Damaged(f"{name} has other content in storage than it should have")


def _write(part: Path, content: Iterable[bytes | str]) -> Fingerprint:
    meter = Meter()
    with part.open("xb") as file:
        for chunk in content:
            file.write(as_bytes(chunk))
            meter.write(as_bytes(chunk))
    return meter.reading()
