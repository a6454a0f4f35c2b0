"""The 90 questions of LLaVA-Bench (COCO): 30 images times conversation, detail and complex."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.reading.names import Ambiguous, Names, excerpt, quoted
from benchmark.protocols import files
from benchmark.protocols.protocol import Refused

A_QUESTION = "a question"
CATEGORIES = ("conv", "detail", "complex")

QUESTIONS_FILE = "qa90_questions.jsonl"
REFERENCES_FILE = "qa90_gpt4_answer.jsonl"
CAPTIONS_FILE = "caps_boxes_coco2014_val_80.jsonl"
"""The names under which the three parts are published."""


class QuestionError(Refused):
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
    try:
        return _joined(Path(questions), references, captions)
    except Refused as error:
        raise QuestionError(error.reasons) from error


def _joined(questions: Path, references: str | Path, captions: str | Path | None) -> list[Question]:
    answers = {
        files.number(data, "question_id", where): files.text(data, "text", where)
        for where, data in files.objects(references)
    }
    shown = (
        {files.text(data, "image", where): (where, data) for where, data in files.objects(captions)}
        if captions
        else {}
    )
    names = Names(shown)
    found: dict[int, Question] = {}
    for where, data in files.objects(questions, A_QUESTION):
        number = files.number(data, "question_id", where, A_QUESTION)
        image = files.text(data, "image", where, A_QUESTION)
        category = data.get("category")
        if number in found:
            raise Refused(f"{where}: question {number} occurs twice")
        if number not in answers:
            raise Refused(f"{where}: question {number} has no reference answer")
        try:
            known = names.find(image)
        except Ambiguous as several:
            raise Refused(f"{where}: {excerpt(image)} fits several captions: {several}") from None
        if captions is not None and known is None:
            raise Refused(f"{where}: question {number}: image {excerpt(image)} has no captions")
        if category not in CATEGORIES:
            raise Refused(f"{where}: question {number}: category is {quoted(category)}")
        about_where, about = shown.get(known or "", ("", {}))
        found[number] = Question(
            question_id=number,
            image=image,
            text=files.text(data, "text", where, A_QUESTION),
            category=category,
            reference=answers[number],
            captions=_captions(about, about_where),
            objects=_objects(about, about_where),
        )
    if not found:
        raise Refused(f"{questions.name}: holds no question")
    return list(found.values())


def _captions(about: dict[str, Any], where: str) -> tuple[str, ...]:
    """One text is one caption; the member is called "caption" where a picture has one."""
    if not about:
        return ()
    given = next((about[name] for name in ("captions", "caption") if about.get(name)), None)
    if given is None:
        raise Refused(f"{where}: captions is missing")
    captions = [given] if isinstance(given, str) else given
    if not isinstance(captions, list) or not all(isinstance(one, str) for one in captions):
        raise Refused(f"{where}: captions is not a list of texts")
    return tuple(captions)


def _objects(about: dict[str, Any], where: str) -> tuple[str, ...]:
    instances = about.get("instances") or []
    if not isinstance(instances, list):
        raise Refused(f"{where}: instances is not a list")
    for one in instances:
        if not isinstance(one, dict) or "category" not in one or "bbox" not in one:
            raise Refused(f"{where}: an instance has no category or no bbox")
    return tuple(f"{one['category']}: {one['bbox']}" for one in instances)


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
