"""How far annotators agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000
CHOICES = ("1", "2", "tie")


def agreement(answers: Sequence[Sequence[str]], *, seed: int = 0) -> dict[str, float | int | None]:
    """Krippendorff's alpha (nominal) of "which hallucinates more", with a 95 % interval.

    ``answers`` holds the answers ("1", "2", "tie") that each comparison got. Comparisons that one
    person judged say nothing about agreement and are left out. The interval is a bootstrap over
    comparisons. ``alpha`` is None where it is undefined: nothing judged twice, or no variation.
    """
    counts = np.array([[row.count(c) for c in CHOICES] for row in map(list, answers)], dtype=float)
    counts = counts.reshape(-1, len(CHOICES))
    counts = counts[counts.sum(axis=1) >= 2]
    alpha = _alpha(counts, np.ones((1, len(counts))))[0] if len(counts) else np.nan
    result: dict[str, float | int | None] = {"comparisons": len(counts), "alpha": None}
    if np.isnan(alpha):
        return {**result, "low": None, "high": None}
    weights = np.random.default_rng(seed).multinomial(
        len(counts), np.full(len(counts), 1 / len(counts)), size=RESAMPLES
    )
    resampled = _alpha(counts, weights)
    resampled = resampled[~np.isnan(resampled)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {**result, "alpha": float(alpha), "low": float(low), "high": float(high)}


def _alpha(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Alpha of each row of ``weights`` [samples, comparisons] over ``counts`` [comparisons, 3].

    Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C, for nominal data:
    1 - (n - 1) * disagreeing pairs within comparisons / disagreeing pairs across all answers.
    """
    answers = counts.sum(axis=1)  # [comparisons]
    disagreeing = (answers**2 - (counts**2).sum(axis=1)) / (answers - 1)
    observed = weights @ disagreeing  # [samples]
    totals = weights @ counts  # [samples, 3]
    number = totals.sum(axis=1)
    expected = number**2 - (totals**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, 1 - (number - 1) * observed / expected, np.nan)
