"""Whether a difference between two models of a group is shown: said here and nowhere else.

A pair has a p value of its own, which no third model moves, and one that Holm's correction makes
of it for all pairs that were looked at. Models made from one base are a family, corrected by
itself, so that models that have nothing to do with a pair do not change what is said of it. Other
pairs are corrected for all pairs of the best models: which is the best was found by looking at all.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Any, Literal

from django.core.cache import cache

from benchmark.board import leaderboard
from benchmark.board.leaderboard import Group
from benchmark.models import Evaluation, EvaluationQuerySet
from benchmark.protocols.protocol import Value
from benchmark.scoring import tested_values
from benchmark.statistics import Measure, holm
from benchmark.templatetags.benchmark_tags import p_value

MOST_COMPARED = 12
"""Models that are tested against each other, best first; pairs grow with the square of it."""
LEVEL = 0.05
KEPT_SECONDS = 24 * 3600

Values = dict[int, dict[int, Value]]
"""By question index, by evaluation."""
Pair = frozenset[int]
"""The ids of two evaluations."""


@dataclass(frozen=True, kw_only=True)
class Tested:
    """One pair: its own p value, and the one corrected for ``pairs`` pairs of ``among`` models."""

    p_value: float
    corrected: float | None
    """None where the pair is not among those that are corrected together."""
    pairs: int
    among: int
    one_base: bool
    """Whether those models are all made from one base."""

    @property
    def verdict(self) -> Literal["shown", "before correction", "not shown"]:
        if self.p_value >= LEVEL:
            return "not shown"
        if self.corrected is None or self.corrected < LEVEL:
            return "shown"
        return "before correction"

    @property
    def told(self) -> str:
        """ "p = 0.017; 0.051 corrected for the 3 pairs of the 3 models made from one base"."""
        if self.corrected is None or self.pairs < 2:
            return f"{p_value(self.p_value)}, one comparison"
        after = p_value(self.corrected).removeprefix("p = ").removeprefix("p ")
        of = "models made from one base" if self.one_base else "models ranked here"
        return (
            f"{p_value(self.p_value)}; {after} corrected for the {self.pairs} pairs of the "
            f"{self.among} {of}"
        )


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
    """By ``Group.id``, for groups of two models and more of which one decides anything. One query
    for all of them."""
    several = [group for group in groups if len(group.tested) > 1 and group.best]
    wanted = {group.id: _with_family_of_best(group) for group in several}
    found = tested_values(row for rows in wanted.values() for row in rows)
    return {
        group.id: _standing(group, {row.pk: found[row.pk] for row in wanted[group.id]})
        for group in several
    }


def between(first: Evaluation, second: Evaluation, visible: EvaluationQuerySet) -> Tested | None:
    """What the leaderboard says of two comparable evaluations; kept until a score changes.

    None where it ranks newer evaluations of these models in their place.
    """
    group = next(
        (one for one in leaderboard.groups(_alike(second, visible)) if second in one.rows), None
    )
    if group is None or not {first, second} <= set(group.tested):
        return None
    rows = _corrected_together(group, first, second)
    ends = [(row.pk, row.finished_at.timestamp() if row.finished_at else 0) for row in rows]
    key = f"benchmark.between.{leaderboard.short_digest(ends)}.{first.pk}.{second.pk}"
    kept: Tested | None = cache.get(key)
    if kept is None:
        (kept,) = of_pairs([(group, first, second)]).values()
        cache.set(key, kept, KEPT_SECONDS)
    return kept


def of_pairs(pairs: Sequence[tuple[Group, Evaluation, Evaluation]]) -> dict[Pair, Tested]:
    """Pairs of models, each of one group. One query for all of them."""
    together = [_corrected_together(*pair) for pair in pairs]
    involved = {
        row.pk: row
        for rows, (_, first, second) in zip(together, pairs, strict=True)
        for row in (*rows, first, second)
    }
    values = tested_values(involved.values())
    found: dict[Pair, Tested] = {}
    for rows, (group, first, second) in zip(together, pairs, strict=True):
        mine = {row.pk: values[row.pk] for row in (*rows, first, second)}
        found |= _tests(group, rows, mine, {Pair((first.pk, second.pk))})
    return found


def alone(p: float) -> Tested:
    """A pair that the leaderboard does not rank: an older evaluation, say."""
    return Tested(p_value=p, corrected=None, pairs=1, among=2, one_base=False)


def _alike(evaluation: Evaluation, visible: EvaluationQuerySet) -> EvaluationQuerySet:
    question_set, coverage, judge, prompt = evaluation.group
    alike = visible.filter(question_set=question_set, coverage=coverage)
    return alike.filter(judge=judge, prompt_hash=prompt) if judge else alike


def _best(group: Group) -> Evaluation:
    """Of a group that has a best one."""
    best = group.best
    assert best is not None
    return best


def _root(row: Evaluation) -> int | None:
    return (row.checkpoint.base_id or row.checkpoint_id) if row.checkpoint else None


def _family(group: Group, root: int | None) -> list[Evaluation]:
    return [row for row in group.tested if root is not None and _root(row) == root][:MOST_COMPARED]


def _corrected_together(group: Group, one: Evaluation, other: Evaluation) -> list[Evaluation]:
    """The models over whose pairs a pair is corrected."""
    if _root(one) is not None and _root(one) == _root(other):
        return _family(group, _root(one))
    return group.tested[:MOST_COMPARED]


def _with_family_of_best(group: Group) -> list[Evaluation]:
    best = _best(group)
    rows = [*group.tested[:MOST_COMPARED], best, *_family(group, _root(best))]
    return list({row.pk: row for row in rows}.values())


def _tests(
    group: Group, rows: Sequence[Evaluation], values: Values, wanted: set[Pair]
) -> dict[Pair, Tested]:
    """The ``wanted`` pairs, corrected for all pairs of ``rows``."""
    measure = _measure(group.first)
    aligned = _aligned(values)
    pairs = [Pair((a.pk, b.pk)) for a, b in combinations(rows, 2)]
    raw = {
        pair: _pair(measure, *(aligned[pk] for pk in sorted(pair)))[0] for pair in {*pairs, *wanted}
    }
    corrected = dict(zip(pairs, holm([raw[pair] for pair in pairs]), strict=True))
    one_base = len(roots := {_root(row) for row in rows}) == 1 and None not in roots
    return {
        pair: Tested(
            p_value=raw[pair],
            corrected=corrected.get(pair),
            pairs=len(pairs),
            among=len(rows),
            one_base=one_base,
        )
        for pair in wanted
    }


def _standing(group: Group, values: Values) -> Standing:
    ranked, best = group.tested[:MOST_COMPARED], _best(group)
    against_best: dict[int, Tested] = {}
    for rows in (ranked, _family(group, _root(best))):
        others = {
            Pair((best.pk, row.pk)): row.pk
            for row in rows
            if row != best
            and not row.decides_nothing
            and _corrected_together(group, best, row) == rows
        }
        if others:
            tests = _tests(group, rows, values, set(others))
            against_best |= {pk: tests[pair] for pair, pk in others.items()}
    aligned = _aligned(values)
    spreads = [
        spread
        for a, b in combinations(ranked, 2)
        if (spread := _pair(_measure(best), *(aligned[pk] for pk in sorted((a.pk, b.pk))))[1])
        is not None
    ]
    return Standing(
        best=best.pk,
        against_best=against_best,
        count=len(next(iter(aligned.values()))),
        compared=len(ranked),
        pairs=len(ranked) * (len(ranked) - 1) // 2,
        detectable=median(spreads) if spreads else None,
    )


def _measure(evaluation: Evaluation) -> Measure:
    rules = evaluation.question_set.rules
    return rules.compared[rules.tested].measure


def _aligned(values: Values) -> dict[int, tuple[Value, ...]]:
    """Of evaluations of the same questions, the questions that are settled in all."""
    indexes = sorted(set.intersection(*(set(found) for found in values.values())))
    return {pk: tuple(found[index] for index in indexes) for pk, found in values.items()}


@functools.lru_cache(maxsize=4096)
def _pair(
    measure: Measure, first: tuple[Any, ...], second: tuple[Any, ...]
) -> tuple[float, float | None]:
    """p value and detectable difference of two models; kept, since ratings rarely change."""
    return measure.p_value(first, second), measure.detectable(first, second)
