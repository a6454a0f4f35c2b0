"""How far annotators agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from annotation.quality.shares import wilson

RESAMPLES = 1000
FEWEST_DIFFERING = 5
"""Of comparisons whose votes are not as split as in most: with fewer, resampling has nothing to
draw from."""
MANY = 1e9
CHOICES = ("1", "2", "tie")


Answers = Sequence[str]


def agreement(
    answers: Iterable[Answers] | Mapping[tuple[str, ...], int], *, seed: int = 0
) -> dict[str, float | int | None]:
    """Krippendorff's alpha (nominal) of "which hallucinates more", with a 95 % interval.

    ``answers`` holds the answers ("1", "2", "tie") that each comparison got, or how many
    comparisons got which answers. Comparisons that one person judged say nothing about agreement
    and are left out. The interval is a bootstrap over comparisons, with room for what so few have
    not shown (decision 033): two that all agree about are no proof that everybody always will.
    ``alpha`` is None where it is undefined: nothing judged twice, or no variation.
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
    unseen = _unseen(counts, times)
    low, high = min(low, *unseen, alpha), max(high, *unseen, alpha)
    return {**result, "alpha": float(alpha), "low": float(low), "high": float(high)}


def _unseen(counts: np.ndarray, times: np.ndarray) -> list[float]:
    """What alpha would be if as many comparisons as may be unlike all that were seen (Wilson's end
    for none of so many) were at the extremes: as split as votes can be, and not at all. Empty
    where at least FEWEST_DIFFERING comparisons are more split, or less, than most are.

    ``counts`` [kinds, 3] occur ``times`` [kinds] each.
    """
    number = times.sum()
    answers = counts.sum(axis=1)
    split = (answers**2 - (counts**2).sum(axis=1)) / (answers * (answers - 1))
    alike = np.unique(split.round(9), return_inverse=True)[1]
    if number - np.bincount(alike, weights=times).max() >= FEWEST_DIFFERING:
        return []
    share = wilson(0.0, float(number))[1]
    votes = round(float(times @ answers / number))
    given = np.flatnonzero(counts.any(axis=0))
    whole = votes * np.eye(len(CHOICES))[given]
    # Where votes cannot be split evenly, each choice takes its turn to have most of them.
    turns = [np.roll(given, place)[np.arange(votes) % len(given)] for place in range(len(given))]
    split_most = [np.bincount(turn, minlength=len(CHOICES)).astype(float) for turn in turns]
    found = []
    for extreme in (np.array(split_most), whole, *whole[:, None]):
        weights = np.append(
            (1 - share) * times / number, np.full(len(extreme), share / len(extreme))
        )
        # Of all comparisons and not of these few: without alpha's correction for small numbers.
        found.append(float(_alpha(np.vstack([counts, extreme]), MANY * weights[None])[0]))
    return found


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
