"""A release as a folder with its images: written to a disk, or streamed as a zip.

Both come from one list of entries, so a folder and the zip of it hold the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from annotation import storage
from annotation.exporting.dataset_card import dataset_card
from annotation.exporting.formats import SUFFIXES, dataset_record
from annotation.exporting.streams import (
    CHUNK_BYTES,
    DATASETS,
    FOLDER_FORMATS,
    SPLITS,
    UnknownFormat,
    check_ready,
    chunks,
    rows,
    stream,
)
from annotation.exporting.zip_stream import Entry, zip_stream
from annotation.models import Image, Release
from annotation.models.items import image_path
from annotation.releases.artefact import canonical


def folder_entries(release: Release, format: str) -> Iterator[Entry]:
    """The files of the folder; the chunks of each must be taken before the next is asked for.

    "datasets" is the folder that Hugging Face ``datasets`` loads by its path: per split
    ``metadata.jsonl``, with TRL's columns, beside the images that it names, and a card. The other
    formats are a file for each split, ``image_to_caption.json`` and ``images/``.
    """
    names: dict[str, str] = {}
    if format == DATASETS:
        for split in SPLITS:
            names = {}
            lines = chunks(_dataset_lines(release, split, names))
            yield Entry(f"{split}/metadata.jsonl", lines)
            yield from image_entries(names, split)
        yield Entry("README.md", [dataset_card(release).encode()])
        return
    for split in SPLITS:
        yield Entry(f"{split}.{SUFFIXES[format]}", stream(release, format, split))
    yield Entry("image_to_caption.json", caption_chunks(release, names))
    yield from image_entries(names, "images")


def _dataset_lines(release: Release, split: str, names: dict[str, str]) -> Iterator[bytes]:
    for row in rows(release):
        if row["exported"] and row["split"] == split:
            names[row["image"]["sha256"]] = row["image"]["name"]
            yield canonical(dataset_record(row))


def caption_chunks(release: Release, names: dict[str, str]) -> Iterator[bytes]:
    """``image_to_caption.json``; fills ``names`` (sha256 -> file name) with the images in it."""
    captions: dict[str, list[str]] = {}
    for row in rows(release):
        if row["exported"]:
            names[row["image"]["sha256"]] = row["image"]["name"]
            known = captions.setdefault(row["image"]["name"], [])
            known += [caption for caption in row["captions"] if caption not in known]
    text = json.dumps(captions, sort_keys=True, ensure_ascii=False, indent=1)
    yield text.encode() + b"\n"


def image_entries(names: dict[str, str], folder: str) -> Iterator[Entry]:
    """Images out of storage, by sha256 -> file name."""
    for sha256, name in names.items():
        yield Entry(f"{folder}/{name}", _image_chunks(sha256, name), compress=False, sha256=sha256)


def _image_chunks(sha256: str, name: str) -> Iterator[bytes]:
    extension = name.rpartition(".")[2]
    stored = Image(sha256=sha256, format="png" if extension == "png" else "jpeg")
    with storage.opened(image_path(stored, ""), sha256=sha256) as source:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk


def stream_folder(release: Release, format: str) -> Iterator[bytes]:
    """The folder as a zip, in chunks. Raises UnknownFormat and ReleaseNotReady at once."""
    _check(release, format)
    return zip_stream(folder_entries(release, format))


def folder_filename(release: Release, format: str) -> str:
    """What the zip is called."""
    return f"{release.project.slug}-release-{release.number}-{format}.zip"


def write_folder(release: Release, directory: Path, format: str) -> Path:
    """The folder on disk; its path. Images that lie there stay, so it is safe to repeat."""
    _check(release, format)
    for split in SPLITS:
        (directory / (split if format == DATASETS else "images")).mkdir(parents=True, exist_ok=True)
    write_entries(folder_entries(release, format), directory)
    return directory


def _check(release: Release, format: str) -> None:
    if format not in FOLDER_FORMATS:
        raise UnknownFormat(f"{format!r} is not one of {', '.join(FOLDER_FORMATS)}")
    check_ready(release)


def write_entries(entries: Iterable[Entry], directory: Path) -> None:
    """Each file whole or not at all; pictures that are there already, and right, stay."""
    for entry in entries:
        path = directory / entry.name
        if not (entry.sha256 and _is_there(path, entry.sha256)):
            storage.write_whole(path, entry.chunks)


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and storage.fingerprint_at(path).sha256 == sha256


def write_images(names: dict[str, str], directory: Path) -> None:
    """Images out of storage into ``images/``, by sha256 -> file name."""
    (directory / "images").mkdir(parents=True, exist_ok=True)
    write_entries(image_entries(names, "images"), directory)
