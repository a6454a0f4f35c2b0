"""LLaVA-Bench (COCO): 30 images times conversation, detail and complex; a judge compares.

A judge rates a reference answer and the model's answer from 1 to 10 each; the score is
100 * sum(model) / sum(reference), so it can pass 100. Judges favour the answer they read first,
and the published figures always showed the reference first: ask in both orders and summarise
``both_orders`` for the fair score, the reference-first pairs alone to hold against published ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.plain import fold

CATEGORIES = ("conv", "detail", "complex")
LOWEST_SCORE, HIGHEST_SCORE = 1.0, 10.0

Pair = tuple[float, float]

_NUMBER = r"(\d+(?:\.\d+)?)(?:\s*/\s*10)?"
_LINE = re.compile(rf"\(?\s*{_NUMBER}\s*(?:\s|[,;&|:]|\band\b|\bvs\.?)\s*{_NUMBER}\s*\)?[.:]?")
_SCORES_ARE = re.compile(
    rf"\bscores?\b[^.\n\d]{{0,40}}\(?\s*{_NUMBER}\s*(?:,|\band\b)\s*{_NUMBER}\s*\)?"
)
_ASSISTANT = re.compile(
    r"\bassistant\s*(?P<who>[12])\s*(?:'s\s+)?(?:score|rating)?\s*(?:\([^)\n]*\)\s*)?"
    rf"(?:[:=]|\bis\b)[^\S\n]*{_NUMBER}"
    r"(?=\s*(?:[,;(.\n-]|assistant|and\b|\Z))(?!\.\d)"
)


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


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Relative scores in percent. Figures over an unparsed review are None."""

    count: int
    unparsed: int
    score: float | None
    by_category: dict[str, float | None]


def load_questions(
    questions: str | Path, references: str | Path, captions: str | Path | None = None
) -> list[Question]:
    """The published question file joined by id with its reference answers, and by image with
    the captions. Raises QuestionError for a question without reference or captions."""
    answers = {int(line["question_id"]): str(line["text"]) for line in _lines(references)}
    shown: dict[str, tuple[str, ...]] = {}
    if captions is not None:
        shown = {str(line["image"]): tuple(line["captions"]) for line in _lines(captions)}
    found = []
    for line in _lines(questions):
        number, image = int(line["question_id"]), str(line["image"])
        if number not in answers:
            raise QuestionError(f"question {number} has no reference answer")
        if captions is not None and image not in shown:
            raise QuestionError(f"question {number}: image {image} has no captions")
        if line["category"] not in CATEGORIES:
            raise QuestionError(f"question {number}: category is {line['category']!r}")
        found.append(
            Question(
                question_id=number,
                image=image,
                text=str(line["text"]),
                category=line["category"],
                reference=answers[number],
                captions=shown.get(image, ()),
            )
        )
    return found


def parse_scores(text: str) -> Pair | None:
    """(reference, model) as the judge gave them: the first score belongs to the first answer.

    Reads the asked-for line "8 9" wherever it stands alone, else "Assistant 1: 8 … Assistant 2:
    9", else "the scores are (8, 9)". None where there is none, where two readings disagree, or
    where a score leaves 1 to 10.
    """
    plain = fold(text)
    lines = [_LINE.fullmatch(line.strip()) for line in plain.splitlines()]
    pairs = {_pair(match[1], match[2]) for match in lines if match}
    if not pairs:
        first, second = (
            {match[2] for match in _ASSISTANT.finditer(plain) if match["who"] == who}
            for who in "12"
        )
        pairs = {_pair(a, b) for a in first for b in second}
    if not pairs:
        pairs = {_pair(match[1], match[2]) for match in _SCORES_ARE.finditer(plain)}
    return pairs.pop() if len(pairs) == 1 else None


def both_orders(reference_first: Pair | None, model_first: Pair | None) -> Pair | None:
    """One (reference, model) pair out of two reviews of the same answers.

    ``model_first`` is as the judge gave it, the model's score first, since its answer was shown
    first. None while either is.
    """
    if reference_first is None or model_first is None:
        return None
    return (
        (reference_first[0] + model_first[1]) / 2,
        (reference_first[1] + model_first[0]) / 2,
    )


def summarise(categories: Sequence[str], scores: Sequence[Pair | None]) -> Summary:
    """Relative score over all questions and per category, 100 * sum(model) / sum(reference).

    Give pairs of one order for the published figure, or of ``both_orders`` for the fair one.
    Raises ValueError for unequal lengths or no question.
    """
    if not scores or len(categories) != len(scores):
        raise ValueError(f"{len(categories)} questions and {len(scores)} pairs of scores")
    groups: dict[str, list[Pair | None]] = {}
    for category, pair in zip(categories, scores, strict=True):
        groups.setdefault(category, []).append(pair)
    ordered = [name for name in CATEGORIES if name in groups]
    ordered += sorted(set(groups) - set(CATEGORIES))
    return Summary(
        count=len(scores),
        unparsed=sum(pair is None for pair in scores),
        score=relative_score(scores),
        by_category={name: relative_score(groups[name]) for name in ordered},
    )


def relative_score(scores: Sequence[Pair | None]) -> float | None:
    """100 * sum(model) / sum(reference); None while a pair is."""
    settled = [pair for pair in scores if pair is not None]
    if len(settled) != len(scores):
        return None
    return 100 * sum(pair[1] for pair in settled) / sum(pair[0] for pair in settled)


def _pair(first: str, second: str) -> Pair | None:
    pair = (float(first), float(second))
    return pair if all(LOWEST_SCORE <= score <= HIGHEST_SCORE for score in pair) else None


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
