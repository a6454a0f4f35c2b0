"""MMHal-Bench's questions (paper §3.2), and files with a model's answers filled in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.reading.faults import Unreadable
from annotation.reading.files import is_array, read_all, read_document
from annotation.reading.names import normal, quoted

TYPES = (
    "attribute",
    "adversarial",
    "comparison",
    "counting",
    "relation",
    "environment",
    "holistic",
    "other",
)
"""The eight question types, in the order in which the published questions cycle through them."""


class QuestionError(ValueError):
    """A question file that does not follow the published form; the message names the place."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One record of the published JSON, its fields unchanged."""

    question_type: str
    question_topic: str
    image_id: str
    image_src: str
    image_content: list[str]
    question: str
    gt_answer: str
    model_answer: str = ""

    @property
    def image_name(self) -> str:
        """The photograph's file name, the last part of where it came from."""
        return normal(self.image_src).rpartition("/")[2]

    @classmethod
    def from_json(cls, data: Any, *, where: str = "question") -> Question:
        """Raises QuestionError that names ``where`` and the first field at fault.

        Fields that the published form does not have are left out.
        """
        if not isinstance(data, dict):
            raise QuestionError(f"{where}: is {type(data).__name__}, not an object")
        texts = {}
        for name in (
            "question_type",
            "question_topic",
            "image_id",
            "image_src",
            "question",
            "gt_answer",
        ):
            texts[name] = _text(data, name, where)
        if texts["question_type"] not in TYPES:
            found = texts["question_type"]
            raise QuestionError(
                f"{where}: question_type is {quoted(found)}, not one of {list(TYPES)}"
            )
        content = data.get("image_content")
        if not isinstance(content, list) or not all(isinstance(item, str) for item in content):
            raise QuestionError(f"{where}: image_content is not a list of texts")
        answer = data.get("model_answer") or ""
        if not isinstance(answer, str):
            raise QuestionError(f"{where}: model_answer is not a text")
        return cls(**texts, image_content=list(content), model_answer=answer)


def load_questions(path: str | Path) -> list[Question]:
    """Questions of a published file: ``response_template.json`` or a model's filled-in answers.

    Raises QuestionError naming the file, the question (counted from 1) and the field.
    """
    return [question for question, _ in read(Path(path))]


def read(path: Path) -> list[tuple[Question, dict[str, Any]]]:
    """The same, each with its record as it stands in the file."""
    try:
        if not is_array(path):
            found = read_all(path)
            kind = "is JSON lines" if path.read_bytes()[:4].lstrip()[:1] == b"{" else "is a table"
            kind = kind if found else "is empty"
            raise QuestionError(f"{path.name}: {kind}; one JSON list is expected")
        data = read_document(path)
    except Unreadable as error:
        raise QuestionError(f"{path.name}: cannot be read as JSON: {error}") from error
    if not data:
        raise QuestionError(f"{path.name}: is not a list of questions")
    return [
        (Question.from_json(item, where=f"{path.name}, question {number}"), item)
        for number, item in enumerate(data, start=1)
    ]


def _text(data: dict[str, Any], name: str, where: str) -> str:
    value = data.get(name)
    if value is None:
        raise QuestionError(f"{where}: {name} is missing")
    if not isinstance(value, str):
        raise QuestionError(f"{where}: {name} is not a text")
    if not value.strip():
        raise QuestionError(f"{where}: {name} is empty")
    return value
