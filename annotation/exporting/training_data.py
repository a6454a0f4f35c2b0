"""The data of runs: what a trainer finds in its directory, from a release or a project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db.models import Count, QuerySet

from annotation import storage
from annotation.exporting.folders import caption_chunks, write_images
from annotation.exporting.formats import wire_conversation
from annotation.exporting.streams import (
    SPLITS,
    chunks,
    rows,
    stream,
)
from annotation.models import Comparison, Project, Prompt, Release
from annotation.releases.artefact import canonical


def write_training_data(release: Release, directory: Path) -> None:
    """Fills a run directory (training.rlhf.contract) with the preference pairs of ``release``.

    Writes ``data/train.jsonl``, ``data/held_out.jsonl``, ``data/image_to_caption.json`` and
    ``images/``. Safe to repeat.
    """
    data = directory / "data"
    for split in SPLITS:
        storage.write_whole(data / f"{split}.jsonl", stream(release, "llava_rlhf", split))
    names: dict[str, str] = {}
    storage.write_whole(data / "image_to_caption.json", caption_chunks(release, names))
    write_images(names, directory)


def write_prompts(release: Release, directory: Path) -> int:
    """Writes the prompts behind the training split, each once, for PPO; how many there are.

    Into ``data/train.jsonl`` as prompt records, with their images. Prompts that only the held-out
    split knows are not among them.
    """
    seen: set[str] = set()

    def records() -> Iterator[bytes]:
        for row in rows(release):
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
    storage.write_whole(directory / "data" / "train.jsonl", chunks(records()))
    write_images(names, directory)
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

    storage.write_whole(directory / "data" / "train.jsonl", chunks(records()))
    write_images(names, directory)
    return count


def training_ids(release: Release) -> set[str]:
    """The ids of the comparisons in the training split: what a model of this release has seen."""
    return {
        row["external_id"] for row in rows(release) if row["exported"] and row["split"] == "train"
    }


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

    storage.write_whole(directory / "data" / "train.jsonl", chunks(records()))
    write_images(names, directory)
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
