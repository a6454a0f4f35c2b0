"""A release as lines of a format: a function of the frozen artefact and of nothing else.

So the same release gives the same bytes for ever, and a download holds one record at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from annotation import storage
from annotation.errors import DomainError
from annotation.exporting.formats import CONTENT_TYPES, FORMATS, HEADS, SUFFIXES, decided_by
from annotation.models import Release

CHUNK_BYTES = 64 * 1024
SPLITS = ("train", "held_out")
DATASETS = "datasets"
FOLDER_FORMATS = (*FORMATS, DATASETS)


class ReleaseNotReady(DomainError):
    status = 409
    title = "The release is not ready"


class UnknownFormat(DomainError):
    status = 400
    title = "There is no such format"


def filename(release: Release, format: str, split: str | None = None) -> str:
    """What a download is called."""
    part = f"-{split}" if split else ""
    project = release.project.slug
    return f"{project}-release-{release.number}-{format}{part}.{SUFFIXES[format]}"


def content_type(format: str) -> str:
    return CONTENT_TYPES[SUFFIXES[format]]


def stream(release: Release, format: str, split: str | None = None) -> Iterator[bytes]:
    """The release in a format, in chunks of whole lines; ``split`` is "train" or "held_out".

    Raises UnknownFormat, ReleaseNotReady and storage.Damaged at once, not at the first chunk.
    """
    if format not in FORMATS:
        raise UnknownFormat(f"{format!r} is not one of {', '.join(FORMATS)}")
    if split not in (None, *SPLITS):
        raise UnknownFormat(f"{split!r} is neither train nor held_out")
    return chunks(_lines(release, rows(release), format, split))


def _lines(
    release: Release, read: Iterator[dict[str, Any]], format: str, split: str | None
) -> Iterator[bytes]:
    if format in HEADS:
        yield HEADS[format](bool(release.machine_labels))
    for row in read:
        if split is None or row["split"] == split:
            yield from FORMATS[format](row)


def chunks(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Lines joined to pieces of about CHUNK_BYTES."""
    held = bytearray()
    for line in lines:
        held += line
        if len(held) >= CHUNK_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def rows(release: Release) -> Iterator[dict[str, Any]]:
    """The comparisons of the artefact, each with its ``number`` from 1, and with ``decided_by``
    where machines have decided some of them: what people alone decided stays the bytes that it was.

    Raises at once: ReleaseNotReady, and storage.Damaged when its file is not what was frozen.
    """
    check_ready(release)
    read = _rows(release)
    next(read)
    return read


def _rows(release: Release) -> Iterator[dict[str, Any]]:
    with storage.opened(str(release.artefact.name), sha256=release.sha256) as file:
        # The file beneath: Django's own wrapper splits lines in Python.
        lines = iter(file.file or file)
        next(lines)
        yield {}  # Now it is known to be whole.
        for number, line in enumerate(lines, start=1):
            row = orjson.loads(line)
            row["number"] = number
            if release.machine_labels:
                row["decided_by"] = decided_by(row)
            yield row


def check_ready(release: Release) -> None:
    """Raises ReleaseNotReady."""
    if release.state != Release.State.READY:
        state = Release.State(release.state).label.lower()
        raise ReleaseNotReady(f"Release {release.number} is {state}.")
