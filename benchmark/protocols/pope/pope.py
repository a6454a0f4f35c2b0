"""POPE: "Is there a … in the image?", asked about objects that are there and that are not.

No judge: an answer is yes, no or unparsed. The yes-ratio is that of the **answers**; its target
is the truth's, one half. Splits exist in two variants under the same name (the paper's random
split has 2,910 questions, today's 3,000), so results name the count, and answers are joined to
questions by id, never by position.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmark.plain import fold

Answer = Literal["yes", "no"]
Mode = Literal["careful", "reference"]
SPLITS = ("random", "popular", "adversarial")

_YES = re.compile(r"\b(?:yes|yeah|yep|yup)\b")
_NO = re.compile(r"\b(?:no|nope|nah)\b")
_LEADING = re.compile(r"\W*(?:(?:the\s+)?answer\s*(?:is|:)\s*)?\W*(?P<word>yes|no)\b")
_HEDGED = re.compile(r"\W*(?:yes|no)\s*(?:/|\bor\b|\band\b)\s*(?:yes|no)\b")
_THERE_IS = re.compile(r"\bthere(?:\s+(?:is|are)|'s|'re)\b")
_THERE_IS_NOT = re.compile(
    r"\bthere\s+(?:is|are)\s+(?:no|not|none)\b|\bthere\s+(?:isn't|aren't)\b|\bthere's\s+(?:no|not)\b"
)
_UNSURE = re.compile(
    r"\b(?:cannot|can't|can\s+not|unable|unsure|uncertain|unclear|whether|if|maybe|perhaps|might"
    r"|sorry|not\s+(?:sure|clear|certain|possible))\b"
)


class QuestionError(ValueError):
    """A question or answer file that does not follow the form; the message names the line."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One line of a published split."""

    question_id: int
    image: str
    text: str
    label: Answer


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Figures of one split, 0 to 1, "yes" being positive. All None while an answer is unparsed.

    A precision, recall or F1 whose denominator is zero counts as 0.
    """

    count: int
    unparsed: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    yes_ratio: float | None


def load_questions(path: str | Path) -> list[Question]:
    """Questions of a split, one JSON object a line; QuestionError names the line at fault."""
    path = Path(path)
    questions: list[Question] = []
    seen: set[int] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        try:
            data = json.loads(line)
            question = Question(
                question_id=int(data["question_id"]),
                image=str(data["image"]),
                text=str(data["text"]),
                label=data["label"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise QuestionError(f"{where}: is not a question ({error!r})") from error
        if question.label not in ("yes", "no"):
            raise QuestionError(f"{where}: label is {question.label!r}, not 'yes' or 'no'")
        if question.question_id in seen:
            raise QuestionError(f"{where}: question_id {question.question_id} occurs twice")
        seen.add(question.question_id)
        questions.append(question)
    if not questions:
        raise QuestionError(f"{path.name}: holds no question")
    return questions


def load_answers(path: str | Path) -> dict[int, str]:
    """A model's answers by question_id: one JSON object a line with "text" or "answer".

    Raises QuestionError for a line without an id: lines are never matched by their place.
    """
    path = Path(path)
    answers: dict[int, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        try:
            data = json.loads(line)
            question_id = int(data["question_id"])
            text = data["text"] if "text" in data else data["answer"]
        except (ValueError, KeyError, TypeError) as error:
            raise QuestionError(
                f"{where}: is not an answer with question_id ({error!r})"
            ) from error
        if not isinstance(text, str):
            raise QuestionError(f"{where}: the answer is not a text")
        if question_id in answers:
            raise QuestionError(f"{where}: question_id {question_id} is answered twice")
        answers[question_id] = text
    return answers


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


def parse_answer(text: str, *, mode: Mode = "careful") -> Answer | None:
    """Yes or no, or None where a text says neither or both (``careful`` only).

    ``reference`` is the published rule: the first sentence without its commas says no if one of
    its words is "No", "no" or "not", and yes in every other case, the empty text included.
    """
    if mode == "reference":
        words = text.split(".")[0].replace(",", "").split(" ")
        return "no" if {"No", "no", "not"} & set(words) else "yes"
    if mode != "careful":
        raise ValueError(f"mode is {mode!r}, not 'careful' or 'reference'")
    plain = fold(text)
    if _HEDGED.match(plain):
        return None
    leading = _LEADING.match(plain)
    if leading:
        return "yes" if leading["word"] == "yes" else "no"
    said = {"yes"} if _YES.search(plain) else set()
    if _NO.search(_THERE_IS_NOT.sub(" ", plain)):
        said.add("no")
    if not said:
        said = _stated(plain)
    only = said.pop() if len(said) == 1 else None
    return "yes" if only == "yes" else "no" if only == "no" else None


def summarise(labels: Sequence[str], answers: Sequence[str | None]) -> Summary:
    """Figures of parsed answers ("yes", "no", None) against the truth, pair by pair.

    Raises ValueError for unequal lengths, no question, or another word than yes and no.
    """
    if not labels or len(labels) != len(answers):
        raise ValueError(f"{len(labels)} labels and {len(answers)} answers")
    for word in (*labels, *(answer for answer in answers if answer is not None)):
        if word not in ("yes", "no"):
            raise ValueError(f"{word!r} is neither 'yes' nor 'no'")
    count, unparsed = len(labels), sum(answer is None for answer in answers)
    if unparsed:
        figures: dict[str, float | None] = dict.fromkeys(
            ("accuracy", "precision", "recall", "f1", "yes_ratio")
        )
        return Summary(count=count, unparsed=unparsed, **figures)
    pairs = list(zip(labels, answers, strict=True))
    hits = pairs.count(("yes", "yes"))
    true, said = sum(label == "yes" for label in labels), sum(a == "yes" for a in answers)
    return Summary(
        count=count,
        unparsed=0,
        accuracy=(hits + pairs.count(("no", "no"))) / count,
        precision=_ratio(hits, said),
        recall=_ratio(hits, true),
        f1=_ratio(2 * hits, said + true),
        yes_ratio=said / count,
    )


def _stated(plain: str) -> set[str]:
    """What a plain sentence such as "There is a dog on the grass" says."""
    first = re.split(r"[.!?\n]", plain, maxsplit=1)[0]
    if _UNSURE.search(first):
        return set()
    if _THERE_IS_NOT.search(first):
        return {"no"}
    return {"yes"} if _THERE_IS.search(first) else set()


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
