"""POPE's figures out of labels and answers, "yes" being positive, with intervals.

The yes-ratio is that of the **answers**; its target is the truth's, one half. A verdict on an
answer holds 1 for right and 0 for wrong; with the label that says what was answered. All figures
but F1 are shares, each of some of the answers; F1 follows from one. POPE asks six questions about
each picture, which are no independent ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.protocols.object_sentences import YesOrNo
from benchmark.statistics import Dice, Figure, Share, estimate_of_sums


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


HIT, FALSE_ALARM, MISS, REJECTION = range(4)
"""The columns of what one answer contributes: 1 in one of them."""
FIGURES: dict[str, Figure] = {
    "accuracy": Share((HIT, REJECTION), (HIT, FALSE_ALARM, MISS, REJECTION)),
    "precision": Share((HIT,), (HIT, FALSE_ALARM)),
    "recall": Share((HIT,), (HIT, MISS)),
    "f1": Dice(both=(HIT,), said=(HIT, FALSE_ALARM), true=(HIT, MISS)),
    "yes_ratio": Share((HIT, FALSE_ALARM), (HIT, FALSE_ALARM, MISS, REJECTION)),
}
_CELLS = (("yes", "yes"), ("no", "yes"), ("yes", "no"), ("no", "no"))
"""(label, answer) by column."""


def said(label: str, right: int | None) -> YesOrNo | None:
    """What was answered to a question with this label, None while that is unclear."""
    if right is None:
        return None
    return "yes" if (label == "yes") == bool(right) else "no"


def figures_of(
    labels: Sequence[str],
    ratings: Sequence[int | None],
    pictures: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
    """Each figure as {"value", "low", "high"}, 0 to 1, a share with what it divides by in "whole";
    all None while an answer is unclear, and ``NOT_DEFINED`` where one has nothing to divide by.
    ``pictures``: which one each question is about."""
    answers = [said(label, right) for label, right in zip(labels, ratings, strict=True)]
    found = summarise(labels, answers)
    if found.unparsed:
        return dict.fromkeys(FIGURES)
    rows = [[float(pair == cell) for cell in _CELLS] for pair in zip(labels, answers, strict=True)]
    return {name: estimate_of_sums(rows, figure, pictures) for name, figure in FIGURES.items()}
