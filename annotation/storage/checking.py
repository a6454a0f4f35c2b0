"""Looking for files in storage that are not what the database knows, and putting them right.

Older versions left such files: a worker was killed while it wrote, a disk was full, or a server
kept boto3's framing of checksums as if it were content.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.core.files import File
from django.core.files.storage import default_storage

from annotation.storage.contents import fingerprint, keep
from annotation.storage.whole_files import CHUNK_BYTES, fingerprint_at

LONGEST_HEAD = 200


@dataclass(frozen=True, kw_only=True)
class Held:
    """A file that the database says is in storage."""

    what: str
    """For people, such as "release 3 of study"."""
    name: str
    sha256: str
    size: int | None = None
    """Bytes; None where the database does not know."""
    again: Callable[[], bool] | None = None
    """Has the file made anew and stored if it comes out the same; whether it did."""
    advice: str
    """What a person can do when nothing here helps."""


def fault_of(held: Held) -> str:
    """What is wrong with the file; empty if it is whole. Raises StorageTrouble."""
    try:
        found = fingerprint(held.name)
    except FileNotFoundError:
        return "is missing"
    if held.size is not None and found.size != held.size:
        return f"has {found.size:,} of {held.size:,} bytes"
    return "" if found.sha256 == held.sha256 else f"has other content ({found.size:,} bytes)"


def repair(held: Held, backup: Path | None) -> str:
    """Put the right content in its place; how that was done, empty if there was no way."""
    if backup is not None and _from_file(held, backup / held.name):
        return "from the backup"
    if _without_framing(held):
        return "by taking the framing of checksums out of it"
    return "by making it again" if held.again is not None and held.again() else ""


def _from_file(held: Held, path: Path) -> bool:
    if not path.is_file():
        return False
    found = fingerprint_at(path)
    if found.sha256 != held.sha256:
        return False
    with path.open("rb") as file:
        keep(held.name, File(file), sha256=found.sha256, size=found.size)
    return True


def _without_framing(held: Held) -> bool:
    try:
        with tempfile.NamedTemporaryFile() as copy, default_storage.open(held.name) as stored:
            for chunk in unframed(stored):
                copy.write(chunk)
            copy.flush()
            return _from_file(held, Path(copy.name))
    except (FileNotFoundError, NotFramed):
        return False


class NotFramed(ValueError):
    """The bytes are not in the framing that S3 calls aws-chunked."""


def unframed(file: Any) -> Iterator[bytes]:
    """The content of a body in aws-chunked framing. Raises NotFramed, perhaps after some of it."""
    while size := _size_of_next(file):
        left = size
        while left:
            chunk = file.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise NotFramed("a chunk ends too early")
            left -= len(chunk)
            yield chunk
        if file.read(2) != b"\r\n":
            raise NotFramed("a chunk has no end")


def _size_of_next(file: IO[bytes]) -> int:
    head = b""
    while not head.endswith(b"\r\n"):
        byte = file.read(1)
        if not byte or len(head) > LONGEST_HEAD:
            raise NotFramed("there is no head of a chunk")
        head += byte
    try:
        return int(head.split(b";")[0].strip(), 16)
    except ValueError:
        raise NotFramed("the head of a chunk has no length") from None
