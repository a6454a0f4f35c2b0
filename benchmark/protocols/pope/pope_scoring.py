"""POPE's figures with intervals, out of labels and of which answers are right.

A verdict on a POPE answer holds 1 for right and 0 for wrong; with the label that says what was
answered. F1, precision and recall are no means over questions, so their intervals come from
resampling whole questions. Only the four counts of the table label x answer matter, and drawing n
questions with replacement draws those counts from a multinomial distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.protocols import pope
from benchmark.statistics import CONFIDENCE, RESAMPLES

Counts = NDArray[np.float64]
"""``[resamples, 4]``: hits, false alarms, misses, correct rejections."""


def _ratio(part: Any, whole: Any) -> Any:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


FIGURES: dict[str, Callable[[Counts], NDArray[np.float64]]] = {
    "accuracy": lambda c: (c[:, 0] + c[:, 3]) / c.sum(axis=1),
    "precision": lambda c: _ratio(c[:, 0], c[:, 0] + c[:, 1]),
    "recall": lambda c: _ratio(c[:, 0], c[:, 0] + c[:, 2]),
    "f1": lambda c: _ratio(2 * c[:, 0], 2 * c[:, 0] + c[:, 1] + c[:, 2]),
    "yes_ratio": lambda c: (c[:, 0] + c[:, 1]) / c.sum(axis=1),
}


def said(label: str, right: int | None) -> pope.Answer | None:
    """What was answered to a question with this label, None while that is unclear."""
    if right is None:
        return None
    return "yes" if (label == "yes") == bool(right) else "no"


def summarise(
    labels: Sequence[str], ratings: Sequence[int | None], *, seed: int = 0
) -> dict[str, Any]:
    """Each figure as {"value", "low", "high"}, 0 to 1; all None while an answer is unclear."""
    answers = [said(label, right) for label, right in zip(labels, ratings, strict=True)]
    found = pope.summarise(labels, answers)
    if found.unparsed:
        return dict.fromkeys(FIGURES)
    pairs = list(zip(labels, answers, strict=True))
    cells: tuple[tuple[str, pope.Answer], ...] = (
        ("yes", "yes"),
        ("no", "yes"),
        ("yes", "no"),
        ("no", "no"),
    )
    shares = np.array([pairs.count(cell) for cell in cells]) / len(pairs)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(pairs), shares, size=RESAMPLES).astype(np.float64)
    tail = (1 - CONFIDENCE) / 2 * 100
    summary = {}
    for name, figure in FIGURES.items():
        low, high = np.percentile(figure(drawn), [tail, 100 - tail])
        summary[name] = {"value": getattr(found, name), "low": float(low), "high": float(high)}
    return summary
