"""POPE's figures out of labels and answers, "yes" being positive, with intervals.

The yes-ratio is that of the **answers**; its target is the truth's, one half. A verdict on an
answer holds 1 for right and 0 for wrong; with the label that says what was answered. F1, precision
and recall are no means over questions, so their intervals come from resampling whole questions.
Only the four counts of the table label x answer matter, and drawing n questions with replacement
draws those counts from a multinomial distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.protocols.yes_no import Answer
from benchmark.statistics import NOT_DEFINED, RESAMPLES, ends, ratio


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Figures of one split, 0 to 1, "yes" being positive. All None while an answer is unparsed; a
    precision, recall or F1 that has nothing to divide by is None too."""

    count: int
    unparsed: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    yes_ratio: float | None


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


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


Counts = NDArray[np.float64]
"""``[resamples, 4]``: hits, false alarms, misses, correct rejections."""


FIGURES: dict[str, Callable[[Counts], NDArray[np.float64]]] = {
    "accuracy": lambda c: (c[:, 0] + c[:, 3]) / c.sum(axis=1),
    "precision": lambda c: ratio(c[:, 0], c[:, 0] + c[:, 1]),
    "recall": lambda c: ratio(c[:, 0], c[:, 0] + c[:, 2]),
    "f1": lambda c: ratio(2 * c[:, 0], 2 * c[:, 0] + c[:, 1] + c[:, 2]),
    "yes_ratio": lambda c: (c[:, 0] + c[:, 1]) / c.sum(axis=1),
}


def said(label: str, right: int | None) -> Answer | None:
    """What was answered to a question with this label, None while that is unclear."""
    if right is None:
        return None
    return "yes" if (label == "yes") == bool(right) else "no"


def figures_of(
    labels: Sequence[str], ratings: Sequence[int | None], *, seed: int = 0
) -> dict[str, Any]:
    """Each figure as {"value", "low", "high"}, 0 to 1; all None while an answer is unclear, and
    ``NOT_DEFINED`` where one has nothing to divide by."""
    answers = [said(label, right) for label, right in zip(labels, ratings, strict=True)]
    found = summarise(labels, answers)
    if found.unparsed:
        return dict.fromkeys(FIGURES)
    pairs = list(zip(labels, answers, strict=True))
    cells: tuple[tuple[str, Answer], ...] = (
        ("yes", "yes"),
        ("no", "yes"),
        ("yes", "no"),
        ("no", "no"),
    )
    shares = np.array([pairs.count(cell) for cell in cells]) / len(pairs)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(pairs), shares, size=RESAMPLES).astype(np.float64)
    summary: dict[str, Any] = {}
    for name, figure in FIGURES.items():
        value = getattr(found, name)
        if value is None:
            summary[name] = dict(NOT_DEFINED)
        else:
            low, high = ends(figure(drawn))
            summary[name] = {"value": value, "low": low, "high": high}
    return summary
