"""The 90 questions of LLaVA-Bench (COCO): 30 images times conversation, detail and complex."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CATEGORIES = ("conv", "detail", "complex")

QUESTIONS_FILE = "qa90_questions.jsonl"
REFERENCES_FILE = "qa90_gpt4_answer.jsonl"
CAPTIONS_FILE = "caps_boxes_coco2014_val_80.jsonl"
"""The names under which the three parts are published."""


class QuestionError(ValueError):
    """A question or answer file that does not follow the form; the message names the line."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One of the 90 questions with its text-only reference answer and the image's captions."""

    question_id: int
    image: str
    text: str
    category: str
    reference: str
    captions: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    """Each known object with its box, as "donut: [0.37, 0.584, 0.504, 0.709]"."""


def load_questions(
    questions: str | Path, references: str | Path, captions: str | Path | None = None
) -> list[Question]:
    """The published question file joined by id with its reference answers, and by image with
    the captions and boxes.

    Raises QuestionError for a question without reference or captions, or with an id that occurs
    twice.
    """
    answers = {int(line["question_id"]): str(line["text"]) for line in _lines(references)}
    shown = {str(line["image"]): line for line in _lines(captions)} if captions else {}
    found: dict[int, Question] = {}
    for place, line in enumerate(_lines(questions), start=1):
        try:
            number, image, text = int(line["question_id"]), str(line["image"]), str(line["text"])
            category = line["category"]
        except (KeyError, ValueError, TypeError) as error:
            raise QuestionError(f"{Path(questions).name}, question {place}: {error!r}") from error
        if number in found:
            raise QuestionError(f"question {number} occurs twice")
        if number not in answers:
            raise QuestionError(f"question {number} has no reference answer")
        if captions is not None and image not in shown:
            raise QuestionError(f"question {number}: image {image} has no captions")
        if category not in CATEGORIES:
            raise QuestionError(f"question {number}: category is {category!r}")
        about = shown.get(image, {})
        found[number] = Question(
            question_id=number,
            image=image,
            text=text,
            category=category,
            reference=answers[number],
            captions=tuple(about.get("captions", ())),
            objects=tuple(
                f"{one['category']}: {one['bbox']}" for one in about.get("instances", ())
            ),
        )
    if not found:
        raise QuestionError(f"{Path(questions).name}: holds no question")
    return list(found.values())


def record(question: Question) -> dict[str, Any]:
    """The question in the fields that question sets are kept in, its reference as ``gt_answer``
    and what the judge is told of the picture as ``image_content``."""
    return {
        "question_id": question.question_id,
        "question_type": question.category,
        "question_topic": "",
        "image_id": question.image,
        "image_src": question.image,
        "image_content": [*question.captions, *question.objects],
        "question": question.text,
        "gt_answer": question.reference,
        "model_answer": "",
    }


def _lines(path: str | Path) -> list[dict[str, Any]]:
    found = []
    text = Path(path).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                found.append(dict(json.loads(line)))
            except (ValueError, TypeError) as error:
                raise QuestionError(f"{Path(path).name}, line {number}: {error}") from error
    return found
