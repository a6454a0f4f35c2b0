"""How a group's models stand to its best one, and how small a difference its questions can show.

Every pair counts as tested, although the page shows those with the best model only: which model
is the best was found by looking at all of them, so Holm's correction covers every pair.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Any

from django.db.models import F

from benchmark.board.leaderboard import Group
from benchmark.models import Verdict
from benchmark.protocols.llava_bench import Pair
from benchmark.protocols.llava_bench.pair_scoring import pair_of
from benchmark.statistics import (
    detectable_difference,
    detectable_ratio_difference,
    holm,
    paired_p_value,
    paired_ratio_p_value,
)

MOST_COMPARED = 12
"""Models of a group that are tested, best first; the number of pairs grows with its square."""

Value = int | Pair
"""Of one question: its rating, or (reference, model) averaged over both orders."""
Values = dict[int, dict[int, Value]]
"""By question index, by evaluation."""


@dataclass(frozen=True)
class Tested:
    """A model against the best of its group; ``p_value`` is corrected for all pairs."""

    p_value: float

    @property
    def shown(self) -> bool:
        return self.p_value < 0.05


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Tests within one group of at least two models."""

    best: int
    """The evaluation's id."""
    against_best: dict[int, Tested]
    """By the id of the other evaluation."""
    count: int
    compared: int
    pairs: int
    detectable: float | None
    """The median of the pairs' detectable differences, in the unit of the tested figure."""


def standings(groups: Iterable[Group]) -> dict[str, Standing]:
    """By ``Group.id``, for groups of two models and more. One query for all of them."""
    several = [group for group in groups if len(group.rows) > 1]
    compared = {group.id: group.rows[:MOST_COMPARED] for group in several}
    found = values(row.pk for rows in compared.values() for row in rows)
    return {
        name: _standing({row.pk: found[row.pk] for row in rows}) for name, rows in compared.items()
    }


def _standing(values: Values) -> Standing:
    """``values`` of evaluations of the same questions, the best first."""
    indexes = sorted(set.intersection(*(set(found) for found in values.values())))
    aligned = {pk: tuple(found[index] for index in indexes) for pk, found in values.items()}
    pairs = list(combinations(aligned, 2))
    found = [_pair(aligned[first], aligned[second]) for first, second in pairs]
    corrected = holm([p_value for p_value, _ in found])
    best = next(iter(aligned))
    spreads = [detectable for _, detectable in found if detectable is not None]
    return Standing(
        best=best,
        against_best={
            other: Tested(p_value)
            for (first, other), p_value in zip(pairs, corrected, strict=True)
            if first == best
        },
        count=len(indexes),
        compared=len(aligned),
        pairs=len(pairs),
        detectable=median(spreads) if spreads else None,
    )


@functools.lru_cache(maxsize=4096)
def _pair(first: tuple[Any, ...], second: tuple[Any, ...]) -> tuple[float, float | None]:
    """p value and detectable difference of two models; kept, since ratings rarely change."""
    if isinstance(first[0], tuple):
        return paired_ratio_p_value(first, second), detectable_ratio_difference(first, second)
    differences = [b - a for a, b in zip(first, second, strict=True)]
    return paired_p_value(first, second), detectable_difference(differences)


def values(evaluations: Iterable[int]) -> Values:
    """Complete evaluations have a rating for each answer, or the scores of both orders."""
    rows = (
        Verdict.objects.filter(
            answer__evaluation__in=list(evaluations),
            judge=F("answer__evaluation__judge"),
            prompt_hash=F("answer__evaluation__prompt_hash"),
        )
        .exclude(state__in=Verdict.OPEN)
        .values_list(
            "answer__evaluation",
            "answer__question__index",
            "order",
            "rating",
            "reference_score",
            "model_score",
        )
    )
    found: Values = {}
    orders: dict[tuple[int, int], dict[str, Pair | None]] = {}
    for evaluation, index, order, rating, reference_score, model_score in rows:
        value: Value | None = rating
        if reference_score is not None and model_score is not None:
            scores = orders.setdefault((evaluation, index), {})
            scores[order] = (reference_score, model_score)
            value = pair_of(scores)
        if value is not None:
            found.setdefault(evaluation, {})[index] = value
    return found
