"""How far annotators agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

RESAMPLES = 1000
CHOICES = ("1", "2", "tie")


Answers = Sequence[str]


def agreement(
    answers: Iterable[Answers] | Mapping[tuple[str, ...], int], *, seed: int = 0
) -> dict[str, float | int | None]:
    """Krippendorff's alpha (nominal) of "which hallucinates more", with a 95 % interval.

    ``answers`` holds the answers ("1", "2", "tie") that each comparison got, or how many
    comparisons got which answers. Comparisons that one person judged say nothing about agreement
    and are left out. The interval is a bootstrap over comparisons. ``alpha`` is None where it is
    undefined: nothing judged twice, or no variation.
    """
    kinds: Counter[tuple[int, ...]] = Counter()
    for row, number in _counted(answers):
        kinds[tuple(row.count(choice) for choice in CHOICES)] += number
    # Sorted, so that the interval does not depend on the order of the comparisons.
    judged_twice = sorted(kind for kind in kinds if sum(kind) >= 2)
    counts = np.array(judged_twice, dtype=float).reshape(-1, len(CHOICES))
    times = np.array([kinds[kind] for kind in judged_twice], dtype=float)
    comparisons = int(times.sum())
    result: dict[str, float | int | None] = {"comparisons": comparisons, "alpha": None}
    alpha = _alpha(counts, times[None])[0] if comparisons else np.nan
    if np.isnan(alpha):
        return {**result, "low": None, "high": None}
    # Drawing comparisons is drawing their kinds, each as likely as it is frequent.
    weights = np.random.default_rng(seed).multinomial(
        comparisons, times / comparisons, size=RESAMPLES
    )
    resampled = _alpha(counts, weights)
    resampled = resampled[~np.isnan(resampled)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {**result, "alpha": float(alpha), "low": float(low), "high": float(high)}


def _counted(
    answers: Iterable[Answers] | Mapping[tuple[str, ...], int],
) -> Iterable[tuple[Answers, int]]:
    return answers.items() if isinstance(answers, Mapping) else ((row, 1) for row in answers)


def _alpha(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Alpha of each row of ``weights`` [samples, kinds] over ``counts`` [kinds, 3].

    Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C, for nominal data:
    1 - (n - 1) * disagreeing pairs within comparisons / disagreeing pairs across all answers.
    """
    answers = counts.sum(axis=1)  # [kinds]
    disagreeing = (answers**2 - (counts**2).sum(axis=1)) / (answers - 1)
    observed = weights @ disagreeing  # [samples]
    totals = weights @ counts  # [samples, 3]
    number = totals.sum(axis=1)
    expected = number**2 - (totals**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, 1 - (number - 1) * observed / expected, np.nan)
