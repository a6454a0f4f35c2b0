"""A fine-tuning mixture: several published data sets, weighed, as the data of one run.

The mixture is a JSON file; paths in it are relative to its own folder:

    {"seed": 0, "held_out": 0.01, "sources": [
      {"format": "vqa_v2", "weight": 0.5, "images": "coco/train2014",
       "files": {"questions": "v2_OpenEnded_mscoco_train2014_questions.json",
                 "annotations": "v2_mscoco_train2014_annotations.json"}},
      {"format": "llava", "limit": 90000, "images": "coco/train2017",
       "files": {"conversations": "llava_instruct_150k.json"}}]}

Images are held out, not conversations, and a COCO image is one image under each of its names.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import durable
from training.rlhf.contract import (
    ContractError,
    ConversationRecord,
    dataclass_from_json,
    setting,
)
from training.rlhf.converters import CONVERTERS
from training.rlhf.data import image_path
from training.rlhf.errors import DataError
from training.rlhf.names import Pictures, key
from training.rlhf.reading import document

TABLE = "mixture.json"
"""Name of the table in ``data/`` and in the ``final/`` of what was trained on it."""
_TITLE = re.compile(r"[\w-]+")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One data set of a mixture."""

    format: str
    files: dict[str, str]
    images: str
    name: str = ""
    """How the table and its images are called; the format by default."""
    weight: float = setting(
        1.0, "How often each conversation goes in; 0.5 is every other.", maximum=1000
    )
    limit: int = setting(0, "At most so many conversations; 0 is no limit.", minimum=0)

    @property
    def title(self) -> str:
        return self.name or self.format


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """What the mixture file says."""

    sources: tuple[Source, ...]
    held_out: float = setting(0.0, "Share of the images to hold out.", minimum=0, maximum=0.5)
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one source."""

    source: str
    format: str
    converted: int
    """Conversations whose image is there."""
    dropped: dict[str, int]
    """What was left out, by reason."""
    weight: float
    train: int
    held_out: int


def read_mixture(path: Path) -> Mixture:
    """The mixture in ``path``; DataError names the field at fault."""
    try:
        mixture: Mixture = dataclass_from_json(Mixture, document(path))
    except ContractError as error:
        raise DataError(f"{path.name}, {error}") from None
    for number, source in enumerate(mixture.sources):
        where = f"{path.name}, sources[{number}]"
        if source.format not in CONVERTERS:
            known = ", ".join(CONVERTERS)
            raise DataError(f"{where}.format: is {source.format!r}, not one of {known}")
        wanted = CONVERTERS[source.format].files
        if sorted(source.files) != sorted(wanted):
            raise DataError(f"{where}.files: has to name {' and '.join(wanted)}, and only these")
        if source.weight <= 0:
            raise DataError(f"{where}.weight: is {source.weight}, not above 0")
        if not _TITLE.fullmatch(source.title):
            raise DataError(f"{where}.name: is {source.name!r}, not letters, digits and dashes")
    titles = [source.title for source in mixture.sources]
    if not titles or len(set(titles)) < len(titles):
        raise DataError(f"{path.name}, sources: there have to be some, each with a name of its own")
    return mixture


def write_mixture(mixture: Mixture, *, root: Path, directory: Path) -> list[Row]:
    """Fill ``data/`` and ``images/`` of the run ``directory``; returns the table, also saved there.

    Paths of the mixture are relative to ``root``. Images are hard links where that is possible.
    """
    train: list[ConversationRecord] = []
    held_out: list[ConversationRecord] = []
    rows = []
    for source in mixture.sources:
        dropped: Counter[str] = Counter()
        records = _usable(source, root, dropped)
        chosen = _weighed(records, source, seed=mixture.seed)
        placed = [_placed(record, source, root, directory) for record in chosen]
        apart = [_is_held_out(record.image, mixture) for record in chosen]
        train += [record for record, out in zip(placed, apart, strict=True) if not out]
        held_out += [record for record, out in zip(placed, apart, strict=True) if out]
        rows.append(
            Row(
                source=source.title,
                format=source.format,
                converted=len(records),
                dropped=dict(dropped.most_common()),
                weight=source.weight,
                train=apart.count(False),
                held_out=apart.count(True),
            )
        )
    if not train:
        raise DataError("the mixture has no conversations to train on")
    data = directory / "data"
    data.mkdir(parents=True, exist_ok=True)
    _write(data / "train.jsonl", map(_line, train))
    _write(data / "held_out.jsonl", map(_line, held_out))
    table = json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False)
    _write(data / TABLE, [table + "\n"])
    return rows


def table_text(rows: Sequence[Row]) -> str:
    """The table for people, a line a source and a line a reason for leaving something out."""
    total = sum(row.train for row in rows)
    heading = ("source", "format", "converted", "weight", "train", "held out", "share")
    cells = [heading]
    for row in rows:
        share = f"{row.train / total:.1%}" if total else "-"
        counts = (f"{row.converted:,}", f"{row.weight:g}", f"{row.train:,}", f"{row.held_out:,}")
        cells.append((row.source, row.format, *counts, share))
    held_out = sum(row.held_out for row in rows)
    cells.append(("all", "", "", "", f"{total:,}", f"{held_out:,}", ""))
    widths = [max(len(line[column]) for line in cells) for column in range(len(heading))]
    text = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    left_out = [
        f"{row.source}: {count:,} left out, {reason}"
        for row in rows
        for reason, count in row.dropped.items()
    ]
    return "\n".join([*text, *left_out]) + "\n"


def _usable(source: Source, root: Path, dropped: Counter[str]) -> list[ConversationRecord]:
    """Records of a source whose image is in its folder."""
    files = {role: root / name for role, name in source.files.items()}
    images = root / source.images
    if not images.is_dir():
        raise DataError(f"source {source.title}: {source.images} is no folder of images")
    usable = []
    pictures = Pictures(images)
    for record in CONVERTERS[source.format].convert(files, dropped):
        try:
            image = pictures.find(record.image)
            if image is None:
                dropped["image not in the folder"] += 1
                continue
            image_path(images, image)  # no link to a file elsewhere
        except DataError as error:
            raise DataError(f"source {source.title}, {record.id}, {error}") from None
        usable.append(record if image == record.image else replace(record, image=image))
    return usable


def _weighed(
    records: Sequence[ConversationRecord], source: Source, *, seed: int
) -> list[ConversationRecord]:
    """Each record ``weight`` times on average, at most ``limit`` in all, in a shuffled order."""
    count = round(source.weight * len(records))
    count = min(count, source.limit) if source.limit else count
    generator = random.Random(f"mixture-{seed}-{source.title}")
    chosen: list[ConversationRecord] = []
    while len(chosen) < count:
        again = len(chosen) // len(records)
        some = generator.sample(records, min(len(records), count - len(chosen)))
        chosen += [replace(one, id=f"{one.id}-again-{again}") for one in some] if again else some
    return chosen


def _is_held_out(image: str, mixture: Mixture) -> bool:
    name = Path(key(image)[-1]).stem
    return random.Random(f"held-out-{mixture.seed}-{name}").random() < mixture.held_out


def _placed(
    record: ConversationRecord, source: Source, root: Path, directory: Path
) -> ConversationRecord:
    """The record with its image in the run directory, in a folder of its source's name."""
    placed = replace(record, image=f"{source.title}/{record.image}")
    target = directory / "images" / placed.image
    if not target.exists():
        image = root / source.images / record.image
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(image.resolve(), target)
        except OSError:  # another disk, or a file system without hard links
            part = target.with_name(f".{target.name}.partial")
            shutil.copyfile(image, part)
            durable.place(part, target)
    return placed


def _line(record: ConversationRecord) -> str:
    return json.dumps(record.to_json(), ensure_ascii=False) + "\n"


def _write(path: Path, parts: Iterable[str]) -> None:
    temporary = path.with_name(f".{path.name}.partial")
    with temporary.open("w", encoding="utf-8") as handle:
        handle.writelines(parts)
    durable.place(temporary, path)
