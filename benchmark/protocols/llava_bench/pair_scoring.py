"""LLaVA-Bench's figures with intervals, out of the scores that a judge gave in both orders.

Scores are pairs (reference, model) whichever was shown first. The headline averages both orders;
the published figures are those of the reference shown first, and the two orders side by side say
how much the judge favours what it reads first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.protocols import llava_bench
from benchmark.protocols.llava_bench import Pair
from benchmark.statistics import estimate, percent_of_reference

Scores = Mapping[str, Pair | None]
"""Of one answer, by order; what is missing or unclear is None."""

HEADLINE = "relative_score"
FIGURES = (HEADLINE, *llava_bench.ORDERS)


def pair_of(scores: Scores, figure: str = HEADLINE) -> Pair | None:
    """The pair that counts for a figure; None while one that it needs is missing."""
    if figure != HEADLINE:
        return scores.get(figure)
    model_first = scores.get("model_first")
    as_shown = None if model_first is None else (model_first[1], model_first[0])
    return llava_bench.both_orders(scores.get("reference_first"), as_shown)


def summarise(categories: Sequence[str], answers: Sequence[Scores]) -> dict[str, Any]:
    """Each figure as {"value", "low", "high"} in percent of the reference, None while a pair that
    it needs is open; ``by_type`` the same per category, with its count."""
    groups: dict[str, list[Scores]] = {}
    for category, scores in zip(categories, answers, strict=True):
        groups.setdefault(category, []).append(scores)
    known = [name for name in llava_bench.CATEGORIES if name in groups]
    return {
        **_figures(answers),
        "by_type": {name: {"count": len(groups[name]), **_figures(groups[name])} for name in known},
    }


def _figures(answers: Sequence[Scores]) -> dict[str, dict[str, float] | None]:
    return {name: _figure([pair_of(scores, name) for scores in answers]) for name in FIGURES}


def _figure(pairs: Sequence[Pair | None]) -> dict[str, float] | None:
    value = llava_bench.relative_score(pairs)
    if value is None:
        return None
    return estimate(value, [pair for pair in pairs if pair], percent_of_reference)
