"""VQA-v2: the yes/no questions about an image, asked one after the other.

A model that was trained to please says yes too readily; these answers are half of the time "No".
Published: ``v2_OpenEnded_mscoco_train2014_questions.json`` and
``v2_mscoco_train2014_annotations.json``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from training.rlhf.contract import ConversationRecord
from training.rlhf.converters.reading import conversation, entries
from training.rlhf.errors import DataError

ROUNDS = 5
"""Questions in one conversation; those of an image with more go into further ones."""
INSTRUCTION = "Answer with yes or no."


def vqa_v2(files: Mapping[str, Path], dropped: Counter[str]) -> Iterator[ConversationRecord]:
    """Conversations from ``questions`` and ``annotations``."""
    questions = _questions(files["questions"])
    subset = _subset(files["questions"])
    by_image: dict[int, list[tuple[str, str]]] = {}
    for entry in entries(files["annotations"], "annotations"):
        number = entry.get("question_id", int)
        if number not in questions:
            raise DataError(f"{entry.where}, question_id: {number} is not among the questions")
        image = entry.get("image_id", int)
        asked_about, question = questions[number]
        if asked_about != image:
            raise DataError(f"{entry.where}, image_id: the question is about {asked_about}")
        answer = entry.get("multiple_choice_answer", str).strip().lower()
        if entry.get("answer_type", str) != "yes/no":
            dropped["not a yes/no question"] += 1
        elif answer not in ("yes", "no"):
            dropped["neither yes nor no"] += 1
        else:
            turn = (f"{question}\n{INSTRUCTION}", answer.capitalize())
            by_image.setdefault(image, []).append(turn)
    for image, turns in by_image.items():
        for start in range(0, len(turns), ROUNDS):
            yield conversation(
                f"vqa-{image}-{start // ROUNDS}",
                f"COCO_{subset}_{image:012d}.jpg",
                turns[start : start + ROUNDS],
            )


def _questions(path: Path) -> dict[int, tuple[int, str]]:
    """Image and text of each question."""
    return {
        entry.get("question_id", int): (
            entry.get("image_id", int),
            " ".join(entry.get("question", str).split()),
        )
        for entry in entries(path, "questions")
    }


def _subset(path: Path) -> str:
    """ "train2014" or "val2014", which is part of every image's name."""
    for subset in ("train2014", "val2014", "test2015"):
        if subset in path.name:
            return subset
    raise DataError(
        f"{path.name}: its published name says train2014 or val2014, and so do the images' names"
    )
