"""POPE: "Is there a … in the image?", asked about objects that are there and that are not.

Splits exist in two variants under the same name (the paper's random split has 2,910 questions,
today's 3,000), so results name the count, and answers are joined to questions by id, never by
position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.reading.names import quoted
from benchmark.protocols import files
from benchmark.protocols.object_sentences import YesOrNo
from benchmark.protocols.protocol import Refused

A_QUESTION = "a question"
SPLITS = ("random", "popular", "adversarial")


class QuestionError(Refused):
    """A question or answer file that does not follow the form; the message names the line."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One line of a published split."""

    question_id: int
    image: str
    text: str
    label: YesOrNo


def load_questions(path: str | Path) -> list[Question]:
    """Questions of a split, one JSON object a line or in one array; QuestionError names the place
    at fault."""
    questions: list[Question] = []
    seen: set[int] = set()
    try:
        for where, data in files.objects(path, A_QUESTION):
            question = _question(data, where)
            if question.question_id in seen:
                raise Refused(f"{where}: question_id {question.question_id} occurs twice")
            seen.add(question.question_id)
            questions.append(question)
    except Refused as error:
        raise QuestionError(error.reasons) from error
    if not questions:
        raise QuestionError(f"{Path(path).name}: holds no question")
    return questions


def _question(data: dict[str, Any], where: str) -> Question:
    given = data.get("label", data.get("answer"))
    label = given.strip().lower() if isinstance(given, str) else given
    asked = "question" if "question" in data and "text" not in data else "text"
    question = Question(
        question_id=files.number(data, "question_id", where, A_QUESTION),
        image=files.text(data, "image", where, A_QUESTION),
        text=files.text(data, asked, where, A_QUESTION),
        label="yes" if label == "yes" else "no",
    )
    if label not in ("yes", "no"):
        what = "missing" if given is None else f"{quoted(given)}, not 'yes' or 'no'"
        raise Refused(f"{where}: label is {what}")
    return question


def record(question: Question) -> dict[str, Any]:
    """The question in the fields that question sets are kept in, its label as ``gt_answer``."""
    return {
        "question_id": question.question_id,
        "question_type": "present" if question.label == "yes" else "absent",
        "question_topic": "",
        "image_id": question.image,
        "image_src": question.image,
        "image_content": [],
        "question": question.text,
        "gt_answer": question.label,
        "model_answer": "",
    }


def join(questions: Sequence[Question], answers: Mapping[int, str]) -> list[str | None]:
    """Each question's answer text by id, None where there is none.

    Raises QuestionError for an answer to a question that the split does not have: it belongs to
    another variant.
    """
    known = {question.question_id for question in questions}
    strangers = sorted(set(answers) - known)
    if strangers:
        raise QuestionError(f"answers to unknown questions: {strangers[:5]}")
    return [answers.get(question.question_id) for question in questions]
