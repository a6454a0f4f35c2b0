"""DASH-B's figures: how often a model is right where the object is, and where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.statistics import Figure, HarmonicMeanOf, MeanOf, Share, number


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All 0 to 1, and None while an answer is unclear, or where there is nothing to divide by."""

    tnr: float | None
    tpr: float | None
    accuracy: float | None
    """The mean of TNR and TPR."""
    harmonic_mean: float | None
    unparsed: int


def row(label: str, *, right: bool) -> tuple[float, ...]:
    """What one answer contributes: negatives, right ones, positives, right ones."""
    there = label == "yes"
    return tuple(map(float, (not there, right and not there, there, right and there)))


TNR, TPR = Share((1,), (0,)), Share((3,), (2,))
FIGURES: dict[str, Figure] = {
    "harmonic_mean": HarmonicMeanOf(TNR, TPR),
    "accuracy": MeanOf((TNR, TPR)),
    "tnr": TNR,
    "tpr": TPR,
}


def summarise(labels: Sequence[str], answers: Sequence[str | None]) -> Summary:
    """Figures of answers ("yes", "no", None where unclear) against the truth, pair by pair.

    Raises ValueError for unequal lengths, no question, or another word than yes and no.
    """
    if not labels or len(labels) != len(answers):
        raise ValueError(f"{len(labels)} labels and {len(answers)} answers")
    for word in (*labels, *(answer for answer in answers if answer is not None)):
        if word not in ("yes", "no"):
            raise ValueError(f"{word!r} is neither 'yes' nor 'no'")
    unparsed = sum(answer is None for answer in answers)
    pairs = zip(labels, answers, strict=True)
    sums = np.asarray([row(label, right=label == said) for label, said in pairs]).sum(axis=0)
    return Summary(
        unparsed=unparsed,
        **{name: None if unparsed else number(of(sums)) for name, of in FIGURES.items()},
    )
