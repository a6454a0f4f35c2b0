"""Releases out: every format is a function of the frozen artefact and of nothing else.

So the same release gives the same bytes for ever, and a download holds one record at a time.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
from django.core.files.storage import default_storage
from django.db.models import Count

from annotation.errors import DomainError
from annotation.models import Image, Project, Prompt, Release
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
    "FORMATS",
    "BadPolicy",
    "NothingToRelease",
    "Policy",
    "ReleaseNotReady",
    "build",
    "make_release",
    "request_release",
    "stream",
    "write_folder",
    "write_project_prompts",
    "write_prompts",
    "write_training_data",
]

CHUNK_BYTES = 64 * 1024
SPLITS = ("train", "held_out")
NEEDS_QUOTES = re.compile(r'[,"\r\n]')
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class ReleaseNotReady(DomainError):
    status = 409
    title = "The release is not ready"


class UnknownFormat(DomainError):
    status = 400
    title = "There is no such format"


# --------------------------------------------------------------------------------------------
# Formats: row of the artefact -> lines
# --------------------------------------------------------------------------------------------


def llava_rlhf(row: dict[str, Any]) -> Iterator[bytes]:
    """The native preference record (fact-rlhf, section 1); the engine reads this."""
    if row["exported"]:
        yield canonical(
            {
                "id": row["external_id"],
                "image": row["image"]["name"],
                "conversations": _wire_conversation(row["conversation"]),
                "output_1": {"from": row["model_1"] or "llava", "value": row["response_1"]},
                "output_2": {"from": row["model_2"] or "llava", "value": row["response_2"]},
                "preference": row["preference"],
                "hallucination": row["hallucination"],
                "captions": row["captions"],
                "caption_type": row["caption_type"],
                "length_bonus": row["length_bonus"],
                "votes": row["votes"],
                "margin": row["margin"],
            }
        )


def votes(row: dict[str, Any]) -> Iterator[bytes]:
    """Every judgment with a pseudonymous annotator, the order shown and the time taken."""
    about = {
        "comparison": row["external_id"],
        "image": row["image"]["name"],
        "split": row["split"],
        "outcome": row["outcome"],
    }
    for judgment in row["judgments"]:
        yield canonical({**about, **judgment})


CSV_COLUMNS = (
    "id",
    "split",
    "image",
    "question",
    "better",
    "worse",
    "better_model",
    "worse_model",
    "preference",
    "hallucination",
    "margin",
    "votes_1",
    "votes_2",
    "votes_tie",
)


def csv_row(row: dict[str, Any]) -> Iterator[bytes]:
    """One flat preference; cells that a spreadsheet would run as a formula are neutralised."""
    if not row["exported"]:
        return
    better, worse = (1, 2) if row["preference"] == 1 else (2, 1)
    cells = (
        row["external_id"],
        row["split"],
        row["image"]["name"],
        row["conversation"][-1]["value"].replace("<image>", "").strip(),
        row[f"response_{better}"],
        row[f"response_{worse}"],
        row[f"model_{better}"],
        row[f"model_{worse}"],
        row["preference"],
        str(row["hallucination"]).lower(),
        row["margin"],
        *(row["votes"].get(name, 0) for name in ("1", "2", "tie")),
    )
    yield _csv_line(cells)


def _csv_line(cells: Iterable[Any]) -> bytes:
    """As RFC 4180 has it; the standard library's writer looks at each character in turn."""
    return (",".join(map(_csv_cell, cells)) + "\r\n").encode()


def _csv_cell(value: Any) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    # A leading quote is what spreadsheets take as "this is text".
    text = f"'{value}" if value.startswith(FORMULA_STARTS) else value
    return '"' + text.replace('"', '""') + '"' if NEEDS_QUOTES.search(text) else text


Format = Callable[[dict[str, Any]], Iterator[bytes]]
FORMATS: dict[str, Format] = {"llava_rlhf": llava_rlhf, "votes": votes, "csv": csv_row}
HEADS = {"csv": lambda: _csv_line(CSV_COLUMNS)}
SUFFIXES = {"llava_rlhf": "jsonl", "votes": "jsonl", "csv": "csv"}
CONTENT_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}


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
        lines = iter(file.file)
        next(lines)
        for line in lines:
            yield orjson.loads(line)


def _check_ready(release: Release) -> None:
    if release.state != Release.State.READY:
        state = Release.State(release.state).label.lower()
        raise ReleaseNotReady(f"Release {release.number} is {state}.")


# --------------------------------------------------------------------------------------------
# Folders
# --------------------------------------------------------------------------------------------


def write_folder(release: Release, directory: Path, format: str) -> Path:
    """The release as a folder: train and held-out files, images, and captions; its path."""
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
        "conversations": _wire_conversation(conversation),
        "captions": captions,
        "caption_type": caption_type,
        "length_bonus": length_bonus,
    }


def _wire_conversation(conversation: list[dict[str, str]]) -> list[dict[str, str]]:
    # The paper's format ends with the turn that each output then fills.
    return [*conversation, {"from": "gpt", "value": ""}]


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
