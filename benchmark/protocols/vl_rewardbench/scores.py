"""Accuracy on pairs: pooled, by group, and the mean of the groups, in percent.

An outcome is 1 where the preferred response gets more, 0 where it gets less, and half a point for
a tie, which is counted and never decided by a coin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from benchmark.protocols.vl_rewardbench.pairs import GROUPS
from benchmark.statistics import CONFIDENCE, NOT_DEFINED, RESAMPLES, estimate

OUTCOMES = (0.0, 0.25, 0.5, 0.75, 1.0)


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
    groups: Sequence[str], outcomes: Sequence[float | None], names: Sequence[str] = GROUPS
) -> dict[str, Any]:
    """The same with intervals over pairs; those of the macro mean resample within each group. A
    group that was not asked has ``NOT_DEFINED``."""
    found = accuracies(groups, outcomes, names)
    by_group = {
        name: [one for group, one in zip(groups, outcomes, strict=True) if group == name]
        for name in names
    }
    figures: dict[str, Any] = {
        name: _of_group(found[name], values) if values else dict(NOT_DEFINED)
        for name, values in by_group.items()
    }
    figures["overall"] = _estimate(found["overall"], list(outcomes))
    figures["macro"] = _macro(found["macro"], [values for values in by_group.values() if values])
    return figures


def _percent(outcomes: Sequence[float | None]) -> float | None:
    settled = [outcome for outcome in outcomes if outcome is not None]
    return 100 * fmean(settled) if settled and len(settled) == len(outcomes) else None


def _estimate(value: float | None, outcomes: Sequence[float | None]) -> dict[str, float] | None:
    if value is None:
        return None
    return estimate(value, [100 * one for one in outcomes if one is not None])


def _of_group(value: float | None, outcomes: Sequence[float | None]) -> dict[str, float] | None:
    """With the number of pairs that it is of."""
    found = _estimate(value, outcomes)
    return None if found is None else {**found, "count": len(outcomes)}


def _macro(
    value: float | None, groups: Sequence[Sequence[float | None]]
) -> dict[str, float] | None:
    if value is None:
        return None
    generator = np.random.default_rng(0)
    means = []
    for outcomes in groups:
        array = np.asarray(outcomes, dtype=np.float64)
        distinct, counts = np.unique(array, return_counts=True)
        drawn = generator.multinomial(len(array), counts / len(array), size=RESAMPLES)
        means.append(100 * drawn @ distinct / len(array))
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(np.mean(means, axis=0), [tail, 100 - tail])
    return {"value": value, "low": float(low), "high": float(high)}
