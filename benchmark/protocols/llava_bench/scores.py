"""LLaVA-Bench's figures: 100 * sum(model) / sum(reference), so they can pass 100.

Judges favour the answer they read first, and the published figures always showed the reference
first. The headline averages both orders; the reference-first pairs alone are to be held against
published ones, and the two orders side by side say how much the judge favours what it reads first.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.protocols.llava_bench.judge import HIGHEST_SCORE, LOWEST_SCORE, ORDERS
from benchmark.protocols.llava_bench.questions import CATEGORIES
from benchmark.protocols.protocol import Pair
from benchmark.statistics import estimate, percent_of_reference_between


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Relative scores in percent. Figures over an unparsed review are None."""

    count: int
    unparsed: int
    score: float | None
    by_category: dict[str, float | None]


def both_orders(reference_first: Pair | None, model_first: Pair | None) -> Pair | None:
    """One (reference, model) pair out of two reviews of the same answers.

    ``model_first`` is as the judge gave it, the model's score first, since its answer was shown
    first. None while either is.
    """
    if reference_first is None or model_first is None:
        return None
    return (
        (reference_first[0] + model_first[1]) / 2,
        (reference_first[1] + model_first[0]) / 2,
    )


def summarise(categories: Sequence[str], scores: Sequence[Pair | None]) -> Summary:
    """Relative score over all questions and per category, 100 * sum(model) / sum(reference).

    Give pairs of one order for the published figure, or of ``both_orders`` for the fair one.
    Raises ValueError for unequal lengths or no question.
    """
    if not scores or len(categories) != len(scores):
        raise ValueError(f"{len(categories)} questions and {len(scores)} pairs of scores")
    groups: dict[str, list[Pair | None]] = {}
    for category, pair in zip(categories, scores, strict=True):
        groups.setdefault(category, []).append(pair)
    ordered = [name for name in CATEGORIES if name in groups]
    ordered += sorted(set(groups) - set(CATEGORIES))
    return Summary(
        count=len(scores),
        unparsed=sum(pair is None for pair in scores),
        score=relative_score(scores),
        by_category={name: relative_score(groups[name]) for name in ordered},
    )


def relative_score(scores: Sequence[Pair | None]) -> float | None:
    """100 * sum(model) / sum(reference); None while a pair is, or where the references got 0."""
    settled = [pair for pair in scores if pair is not None]
    reference = sum(pair[0] for pair in settled)
    if len(settled) != len(scores) or not reference:
        return None
    return 100 * sum(pair[1] for pair in settled) / reference


# --------------------------------------------------------------------------------------------
# With intervals, out of the scores of both orders
# --------------------------------------------------------------------------------------------

Scores = Mapping[str, Pair | None]
"""Of one answer, by order; what is missing or unclear is None."""

HEADLINE = "relative_score"
FIGURES = (HEADLINE, *ORDERS)
MEASURE = percent_of_reference_between(LOWEST_SCORE, HIGHEST_SCORE)


def pair_of(scores: Scores, figure: str = HEADLINE) -> Pair | None:
    """The pair that counts for a figure; None while one that it needs is missing."""
    if figure != HEADLINE:
        return scores.get(figure)
    model_first = scores.get("model_first")
    as_shown = None if model_first is None else (model_first[1], model_first[0])
    return both_orders(scores.get("reference_first"), as_shown)


def figures_of(
    categories: Sequence[str],
    answers: Sequence[Scores],
    pictures: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
    """Each figure as {"value", "low", "high"} in percent of the reference, None while a pair that
    it needs is open; ``by_type`` the same per category, with its count. ``pictures``: which one
    each question is about."""
    places: Sequence[Hashable] = range(len(answers)) if pictures is None else pictures
    known = list(zip(categories, answers, places, strict=True))
    groups = {
        name: [(scores, place) for category, scores, place in known if category == name]
        for name in CATEGORIES
    }
    return {
        **_figures([(scores, place) for _, scores, place in known]),
        "by_type": {
            name: {"count": len(group), **_figures(group)}
            for name, group in groups.items()
            if group
        },
    }


def _figures(answers: Sequence[tuple[Scores, Hashable]]) -> dict[str, dict[str, float] | None]:
    places = [place for _, place in answers]
    return {
        name: _figure([pair_of(scores, name) for scores, _ in answers], places) for name in FIGURES
    }


def _figure(pairs: Sequence[Pair | None], places: Sequence[Hashable]) -> dict[str, float] | None:
    value = relative_score(pairs)
    if value is None:
        return None
    return estimate(value, [pair for pair in pairs if pair], MEASURE, places)
