"""Releases out: every format is a function of the frozen artefact and of nothing else.

So the same release gives the same bytes for ever, and a download holds one record at a time.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
from django.core.files.storage import default_storage
from django.db.models import Count, QuerySet

from annotation.dataset_card import dataset_card
from annotation.errors import DomainError
from annotation.formats import (
    CONTENT_TYPES,
    FORMATS,
    HEADS,
    SUFFIXES,
    dataset_record,
    wire_conversation,
)
from annotation.models import Comparison, Image, Project, Prompt, Release
from annotation.models.items import image_path
from annotation.releases import (
    BadPolicy,
    NothingToRelease,
    Policy,
    build,
    canonical,
    make_release,
    request_release,
)

__all__ = [
    "FOLDER_FORMATS",
    "FORMATS",
    "BadPolicy",
    "NothingToRelease",
    "Policy",
    "ReleaseNotReady",
    "build",
    "make_release",
    "request_release",
    "stream",
    "training_ids",
    "write_dataset",
    "write_folder",
    "write_pairs",
    "write_project_prompts",
    "write_prompts",
    "write_training_data",
]

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

    Raises UnknownFormat and ReleaseNotReady at once, not at the first chunk.
    """
    if format not in FORMATS:
        raise UnknownFormat(f"{format!r} is not one of {', '.join(FORMATS)}")
    if split not in (None, *SPLITS):
        raise UnknownFormat(f"{split!r} is neither train nor held_out")
    _check_ready(release)
    return _chunks(_lines(release, format, split))


def _lines(release: Release, format: str, split: str | None) -> Iterator[bytes]:
    if format in HEADS:
        yield HEADS[format]()
    for row in _rows(release):
        if split is None or row["split"] == split:
            yield from FORMATS[format](row)


def _chunks(lines: Iterator[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for line in lines:
        held += line
        if len(held) >= CHUNK_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _rows(release: Release) -> Iterator[dict[str, Any]]:
    _check_ready(release)
    with default_storage.open(str(release.artefact.name), "rb") as file:
        # The file beneath: Django's own wrapper splits lines in Python.
        lines = iter(file.file or file)
        next(lines)
        for number, line in enumerate(lines, start=1):
            yield {"number": number, **orjson.loads(line)}


def _check_ready(release: Release) -> None:
    if release.state != Release.State.READY:
        state = Release.State(release.state).label.lower()
        raise ReleaseNotReady(f"Release {release.number} is {state}.")


# --------------------------------------------------------------------------------------------
# Folders
# --------------------------------------------------------------------------------------------


def write_folder(release: Release, directory: Path, format: str) -> Path:
    """The release as a folder: train and held-out files, images, and captions; its path.

    The format "datasets" is a folder of its own kind (``write_dataset``).
    """
    if format == DATASETS:
        _check_ready(release)
        return write_dataset(release, directory)
    suffix = SUFFIXES.get(format, "")
    for split in SPLITS:
        _write(directory / f"{split}.{suffix}", stream(release, format, split))
    _write_images_and_captions(release, directory, directory / "image_to_caption.json")
    return directory


def write_training_data(release: Release, directory: Path) -> None:
    """Fills a run directory (training.rlhf.contract) with the preference pairs of ``release``.

    Writes ``data/train.jsonl``, ``data/held_out.jsonl``, ``data/image_to_caption.json`` and
    ``images/``. Safe to repeat.
    """
    data = directory / "data"
    for split in SPLITS:
        _write(data / f"{split}.jsonl", stream(release, "llava_rlhf", split))
    _write_images_and_captions(release, directory, data / "image_to_caption.json")


def write_prompts(release: Release, directory: Path) -> int:
    """Writes the prompts behind the training split, each once, for PPO; how many there are.

    Into ``data/train.jsonl`` as prompt records, with their images. Prompts that only the held-out
    split knows are not among them.
    """
    seen: set[str] = set()

    def records() -> Iterator[bytes]:
        for row in _rows(release):
            new = (
                row["exported"]
                and row["split"] == "train"
                and row["prompt_external_id"] not in seen
            )
            if new:
                seen.add(row["prompt_external_id"])
                names[row["image"]["sha256"]] = row["image"]["name"]
                yield canonical(
                    _prompt_record(
                        row["prompt_external_id"],
                        row["image"]["name"],
                        row["conversation"],
                        row["captions"],
                        row["caption_type"],
                        row["length_bonus"],
                    )
                )

    names: dict[str, str] = {}
    _write(directory / "data" / "train.jsonl", _chunks(records()))
    _copy_images(names, directory / "images")
    return len(seen)


def write_project_prompts(project: Project, directory: Path, limit: int | None = None) -> int:
    """Writes prompts of a project to sample responses for; how many there are.

    The ones with the fewest comparisons come first, so that repeated sampling reaches all.
    """
    prompts = (
        Prompt.objects.filter(project=project)
        .select_related("image")
        .annotate(comparison_count=Count("comparisons"))
        .order_by("comparison_count", "pk")[:limit]
    )
    names: dict[str, str] = {}
    count = 0

    def records() -> Iterator[bytes]:
        nonlocal count
        for prompt in prompts.iterator(chunk_size=1000):
            count += 1
            names[prompt.image.sha256] = prompt.image.filename
            yield canonical(
                _prompt_record(
                    prompt.external_id,
                    prompt.image.filename,
                    prompt.conversation,
                    prompt.captions,
                    prompt.caption_type,
                    prompt.length_bonus,
                )
            )

    _write(directory / "data" / "train.jsonl", _chunks(records()))
    _copy_images(names, directory / "images")
    return count


def training_ids(release: Release) -> set[str]:
    """The ids of the comparisons in the training split: what a model of this release has seen."""
    rows = _rows(release)
    return {row["external_id"] for row in rows if row["exported"] and row["split"] == "train"}


def write_pairs(comparisons: QuerySet[Comparison], directory: Path) -> int:
    """Writes the responses of ``comparisons`` to be scored, labels left out; how many there are.

    Into ``data/train.jsonl``, with their images; the id of a record is the comparison's key.
    """
    names: dict[str, str] = {}
    count = 0

    def records() -> Iterator[bytes]:
        nonlocal count
        for one in comparisons.select_related("prompt__image").iterator(chunk_size=1000):
            count += 1
            image = one.prompt.image
            names[image.sha256] = image.filename
            yield canonical(
                {
                    "id": str(one.pk),
                    "image": image.filename,
                    "conversations": wire_conversation(one.prompt.conversation),
                    "captions": one.prompt.captions,
                    "output_1": {"value": one.response_1},
                    "output_2": {"value": one.response_2},
                }
            )

    _write(directory / "data" / "train.jsonl", _chunks(records()))
    _copy_images(names, directory / "images")
    return count


def _prompt_record(
    id: str,
    image: str,
    conversation: list[dict[str, str]],
    captions: list[str],
    caption_type: int,
    length_bonus: float,
) -> dict[str, Any]:
    return {
        "id": id,
        "image": image,
        "conversations": wire_conversation(conversation),
        "captions": captions,
        "caption_type": caption_type,
        "length_bonus": length_bonus,
    }


def write_dataset(release: Release, directory: Path) -> Path:
    """The release as a folder that Hugging Face ``datasets`` loads by its path; returns that path.

    Per split ``metadata.jsonl``, with TRL's columns, lies beside the images it names; README.md is
    the card that tells the library the splits.
    """
    for split in SPLITS:
        names: dict[str, str] = {}
        _write(directory / split / "metadata.jsonl", _chunks(_dataset_lines(release, split, names)))
        _copy_images(names, directory / split)
    _write(directory / "README.md", [dataset_card(release).encode()])
    return directory


def _dataset_lines(release: Release, split: str, names: dict[str, str]) -> Iterator[bytes]:
    for row in _rows(release):
        if row["exported"] and row["split"] == split:
            names[row["image"]["sha256"]] = row["image"]["name"]
            yield canonical(dataset_record(row))


def _write_images_and_captions(release: Release, directory: Path, captions_path: Path) -> None:
    names: dict[str, str] = {}
    captions: dict[str, list[str]] = {}
    for row in _rows(release):
        if row["exported"]:
            names[row["image"]["sha256"]] = row["image"]["name"]
            known = captions.setdefault(row["image"]["name"], [])
            known += [caption for caption in row["captions"] if caption not in known]
    text = json.dumps(captions, sort_keys=True, ensure_ascii=False, indent=1)
    _write(captions_path, [text.encode() + b"\n"])
    _copy_images(names, directory / "images")


def _copy_images(names: dict[str, str], directory: Path) -> None:
    """Copies images (sha256 -> file name) out of storage; those that are there stay."""
    directory.mkdir(parents=True, exist_ok=True)
    for sha256, name in names.items():
        target = directory / name
        if target.exists():
            continue
        extension = name.rpartition(".")[2]
        stored = Image(sha256=sha256, format="png" if extension == "png" else "jpeg")
        with default_storage.open(image_path(stored, "")) as source:
            part = target.with_suffix(".part")
            with part.open("wb") as file:
                shutil.copyfileobj(source, file)
            part.replace(target)


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    """Writes a file whole or not at all: a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
    part.replace(path)
