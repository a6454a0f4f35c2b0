"""The published files of each protocol: where they lie, and the questions in them.

A source is a file, a folder with files under their published names, or a data set's id on the
hub, which is fetched where there is a network and ``huggingface_hub`` is installed.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.errors import DomainError
from benchmark.models import QuestionSet
from benchmark.protocols import llava_bench, mmhal, pope

MOST_REASONS = 20
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
Protocol = QuestionSet.Protocol
_PATTERNS = {
    Protocol.MMHAL: ("response_template.json",),
    Protocol.SMALL_WORLD: ("questions.json",),
    Protocol.LLAVA_BENCH: (llava_bench.QUESTIONS_FILE,),
    Protocol.POPE: tuple(f"*coco_pope_{split}.json" for split in pope.SPLITS),
}


class NotTaken(DomainError):
    """A file that is refused whole; ``reasons`` names each place at fault."""

    status = 422
    title = "The file is not taken"

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = list(reasons)
        shown = self.reasons[:MOST_REASONS]
        more = len(self.reasons) - len(shown)
        super().__init__("\n".join([*shown, *([f"and {more} more"] if more else [])]))


@dataclass(frozen=True)
class ReadQuestion:
    """One question as read: what is stored, and the names that its image may have."""

    data: dict[str, Any]
    image_names: tuple[str, ...]


def located(source: str) -> Path:
    """A file or folder of this machine; a hub id is fetched into the hub's own cache first.

    Raises NotTaken for what is neither.
    """
    path = Path(source)
    if path.exists():
        return path
    if not HUB_ID.fullmatch(source):
        raise NotTaken([f"source: {source} is neither a file nor a folder"])
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError:
        reason = f"source: {source} is not here, and huggingface_hub, which could fetch it, neither"
        raise NotTaken([reason]) from None
    try:
        return Path(hub.snapshot_download(source, repo_type="dataset"))
    except Exception as error:  # The hub has an error of its own for each way of being away.
        said = str(error).partition("\n")[0]
        reason = f"source: {source} cannot be fetched from the hub ({said}); without a network, "
        raise NotTaken([f"{reason}give a folder with the published files"]) from error


def question_files(protocol: str, path: Path) -> list[Path]:
    """``path`` itself, or the question files in it: one, or for POPE one per split.

    Raises NotTaken for a folder without any.
    """
    if not path.is_dir():
        return [path]
    patterns = _PATTERNS[Protocol(protocol)]
    found = [file for pattern in patterns for file in sorted(path.rglob(pattern))]
    if not found:
        raise NotTaken([f"{path.name} holds no {' and no '.join(patterns)}"])
    return found


def read_questions(protocol: str, path: Path) -> list[ReadQuestion]:
    """The questions of one file. Raises NotTaken with each place at fault."""
    try:
        if protocol == Protocol.POPE:
            questions = pope.load_questions(path)
            return [ReadQuestion(pope.record(one), (one.image,)) for one in questions]
        if protocol == Protocol.LLAVA_BENCH:
            return _read_llava_bench(path)
    except (OSError, ValueError) as error:
        raise NotTaken([str(error)]) from error
    return _read_mmhal(protocol, path)


def _read_llava_bench(path: Path) -> list[ReadQuestion]:
    """The reference answers and captions lie beside the questions."""
    beside = (llava_bench.REFERENCES_FILE, llava_bench.CAPTIONS_FILE)
    parts = {name: path.parent / name for name in beside}
    absent = [name for name, part in parts.items() if not part.is_file()]
    if absent:
        raise NotTaken(f"{name} is missing beside {path.name}" for name in absent)
    questions = llava_bench.load_questions(path, *parts.values())
    return [
        # COCO itself puts the year's name before the number.
        ReadQuestion(llava_bench.record(one), (one.image, f"COCO_val2014_{one.image}"))
        for one in questions
    ]


def _read_mmhal(protocol: str, path: Path) -> list[ReadQuestion]:
    try:
        questions = mmhal.load_questions(path)
        records = json.loads(path.read_text(encoding="utf-8"))
    except mmhal.QuestionError as error:
        raise NotTaken([str(error)]) from error
    read = [
        ReadQuestion({**record, "model_answer": ""}, (question.image_name,))
        for record, question in zip(records, questions, strict=True)
    ]
    reasons: list[str] = []
    seen: dict[tuple[str, str], int] = {}
    for number, item in enumerate(read, start=1):
        first = seen.setdefault((item.data["image_id"], item.data["question"]), number)
        if first != number:
            reasons.append(f"{path.name}, question {number}: is question {first} again")
        if protocol == Protocol.SMALL_WORLD and "truth" not in item.data:
            reasons.append(f"{path.name}, question {number}: truth is missing")
    if reasons:
        raise NotTaken(reasons)
    return read
