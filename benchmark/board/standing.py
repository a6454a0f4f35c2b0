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

from benchmark.board.leaderboard import Group
from benchmark.models import Evaluation
from benchmark.protocols.protocol import Value
from benchmark.scoring import tested_values
from benchmark.statistics import Measure, holm

MOST_COMPARED = 12
"""Models of a group that are tested, best first; the number of pairs grows with its square."""

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
    found = tested_values(row for rows in compared.values() for row in rows)
    return {
        name: _standing(_measure(rows[0]), {row.pk: found[row.pk] for row in rows})
        for name, rows in compared.items()
    }


def _measure(evaluation: Evaluation) -> Measure:
    rules = evaluation.question_set.rules
    return rules.compared[rules.tested].measure


def _standing(measure: Measure, values: Values) -> Standing:
    """``values`` of evaluations of the same questions, the best first."""
    indexes = sorted(set.intersection(*(set(found) for found in values.values())))
    aligned = {pk: tuple(found[index] for index in indexes) for pk, found in values.items()}
    pairs = list(combinations(aligned, 2))
    found = [_pair(measure, aligned[first], aligned[second]) for first, second in pairs]
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
def _pair(
    measure: Measure, first: tuple[Any, ...], second: tuple[Any, ...]
) -> tuple[float, float | None]:
    """p value and detectable difference of two models; kept, since ratings rarely change."""
    return measure.p_value(first, second), measure.detectable(first, second)
