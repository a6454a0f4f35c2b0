"""Accuracy on pairs: pooled, by group, and the mean of the groups, in percent.

An outcome is 1 where the preferred response gets more, 0 where it gets less, and half a point for
a tie, which is counted and never decided by a coin.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from benchmark.protocols.vl_rewardbench.pairs import GROUPS
from benchmark.statistics import NOT_DEFINED, PERCENT, MeanOf, Share, estimate

OUTCOMES = (0.0, 0.25, 0.5, 0.75, 1.0)
_Known = tuple[str, float | None, Hashable]
"""Group, outcome and picture of a pair."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Accuracy in percent; None while an outcome that it needs is, or where nothing was asked."""

    general: float | None
    hallucination: float | None
    reasoning: float | None
    overall: float | None
    macro: float | None
    unparsed: int
    ties: int


def summarise(groups: Sequence[str], outcomes: Sequence[float | None]) -> Summary:
    """Of pairs by group and outcome (1.0, 0.5 for a tie, 0.0; 0.25 and 0.75 where one of a judge's
    two orders is a tie; or None where nobody could read one).

    Raises ValueError for unequal lengths, another group or another outcome.
    """
    if len(groups) != len(outcomes):
        raise ValueError(f"{len(groups)} groups and {len(outcomes)} outcomes")
    for group in groups:
        if group not in GROUPS:
            raise ValueError(f"group is {group!r}, not one of {GROUPS}")
    for outcome in outcomes:
        if outcome is not None and outcome not in OUTCOMES:
            raise ValueError(f"outcome is {outcome!r}, not one of {OUTCOMES} or None")
    found = accuracies(groups, outcomes, GROUPS)
    return Summary(
        **found,
        unparsed=sum(outcome is None for outcome in outcomes),
        ties=sum(outcome == 0.5 for outcome in outcomes),
    )


def accuracies(
    groups: Sequence[str], outcomes: Sequence[float | None], names: Sequence[str]
) -> dict[str, float | None]:
    """Of each group, "overall", and "macro": the mean of the groups that were asked."""
    pairs = list(zip(groups, outcomes, strict=True))
    by_group = {name: _percent([one for group, one in pairs if group == name]) for name in names}
    asked = [value for name, value in by_group.items() if name in groups]
    whole = [value for value in asked if value is not None]
    macro = fmean(whole) if whole and len(whole) == len(asked) else None
    return {**by_group, "overall": _percent(list(outcomes)), "macro": macro}


def figures_of(
    groups: Sequence[str],
    outcomes: Sequence[float | None],
    names: Sequence[str] = GROUPS,
    pictures: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
    """The same with intervals; ``pictures``: which one each pair is about. A group that was not
    asked has ``NOT_DEFINED``, one that was has the number of its pairs in "count"."""
    found = accuracies(groups, outcomes, names)
    places: Sequence[Hashable] = range(len(groups)) if pictures is None else pictures
    known = list(zip(groups, outcomes, places, strict=True))
    by_group = {name: [one for one in known if one[0] == name] for name in names}
    figures: dict[str, Any] = {
        name: _of_group(found[name], group) if group else dict(NOT_DEFINED)
        for name, group in by_group.items()
    }
    figures["overall"] = _estimate(found["overall"], known)
    figures["macro"] = _macro(found["macro"], known)
    return figures


def _percent(outcomes: Sequence[float | None]) -> float | None:
    settled = [outcome for outcome in outcomes if outcome is not None]
    return 100 * fmean(settled) if settled and len(settled) == len(outcomes) else None


def _estimate(value: float | None, known: Sequence[_Known]) -> dict[str, float] | None:
    if value is None:
        return None
    settled = [(100 * outcome, place) for _, outcome, place in known if outcome is not None]
    outcomes, places = [one for one, _ in settled], [place for _, place in settled]
    return estimate(value, outcomes, PERCENT, places)


def _of_group(value: float | None, known: Sequence[_Known]) -> dict[str, float] | None:
    """With the number of pairs that it is of."""
    found = _estimate(value, known)
    return None if found is None else {**found, "count": len(known)}


def _macro(value: float | None, known: Sequence[_Known]) -> dict[str, float] | None:
    """The mean of the shares of the groups that were asked."""
    if value is None:
        return None
    asked = {name: place for place, name in enumerate(dict.fromkeys(name for name, _, _ in known))}
    rows = np.zeros((len(known), 2 * len(asked)))
    for row, (name, outcome, _) in zip(rows, known, strict=True):
        row[2 * asked[name]], row[2 * asked[name] + 1] = outcome or 0.0, 1.0
    shares = tuple(Share((2 * n,), (2 * n + 1,), unit=100) for n in range(len(asked)))
    between = MeanOf(shares).interval(rows, [place for _, _, place in known])
    return {"value": value, "low": between.low, "high": between.high}
