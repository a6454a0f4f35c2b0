"""How far judges agree on the same answers: Krippendorff's alpha with the interval metric.

1 is full agreement, 0 what chance would give, below 0 worse than chance. The interval metric
counts a 5 against a 6 as a small disagreement and a 0 against a 6 as a large one. Alpha says
nothing about who is right, and is low by nature where all answers deserve about the same rating.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import F, FloatField
from django.db.models.functions import Cast, Coalesce
from numpy.typing import NDArray

from benchmark.models import Evaluation, EvaluationQuerySet, Verdict
from benchmark.protocols.protocol import Protocol
from benchmark.statistics import SHARE, Resampled, estimate, estimate_of_sums

LEAST_SHARED = 2

Key = tuple[int, str, str]
"""What both judges must have been asked: question, digest of the answer, order of a comparison."""
_KEY = ("answer__question", "answer__text_sha256", "order")
VALUE = Coalesce(Cast("rating", FloatField()), F("model_score") - F("reference_score"))
"""A rating, or in a comparison by how much the answer beats the reference."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of an evaluation's judge with another one, over the answers that both have rated."""

    judge: str
    prompt_hash: str
    evaluation: int
    """The newest one in which the other judge rated them."""
    count: int
    alpha: dict[str, float | None] | None
    """As {"value", "low", "high"}; None where all ratings are equal."""
    same_side: dict[str, float]
    """Share of answers that both, or neither, call hallucinated (in a comparison: put below the
    reference); 0 to 1, in the same form."""


def interval_alpha(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Krippendorff's alpha of two raters who both rated every unit (Krippendorff 2011).

    1 - D_o / D_e: the mean squared difference within units over that between any two of all
    ratings. None where all ratings are equal, which tells nothing. Raises ValueError for unequal
    numbers of ratings or fewer than two units.
    """
    if len(first) != len(second) or len(first) < LEAST_SHARED:
        raise ValueError(f"{len(first)} and {len(second)} ratings give no agreement")
    rows = _rows(list(zip(first, second, strict=True)))
    alike = len({*first, *second}) == 1
    return None if alike else float(_alphas(rows.sum(axis=0)))


def _rows(pairs: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """What each unit contributes: ``[units, (1, (a - b)**2, a + b, a**2 + b**2)]``."""
    a, b = np.asarray(pairs, dtype=np.float64).T
    return np.stack([np.ones_like(a), (a - b) ** 2, a + b, a**2 + b**2], axis=1)


def _alphas(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Out of sums of ``_rows``; 1 for a resample of equal ratings only."""
    units, squares = sums[..., 0], sums[..., 1]
    # Over all ordered pairs of different ratings, the mean squared difference is 2 * variance.
    variance = (sums[..., 3] - sums[..., 2] ** 2 / (2 * units)) / (2 * units - 1)
    agreeing = np.zeros_like(variance)
    return 1 - np.divide(squares / units, 2 * variance, out=agreeing, where=variance > 1e-9)


def _estimate(
    pairs: Sequence[tuple[float, float]], scale: tuple[float, float], units: Sequence[Hashable]
) -> dict[str, float | None]:
    """Alpha, at whose extremes two judges are as far apart, or as close, as the scale lets them."""
    low, high = scale
    ends = _rows([(low, high), (low, low), (high, high)])
    alpha = Resampled(_alphas, tuple(tuple(map(float, end)) for end in ends))
    return estimate_of_sums(_rows(pairs), alpha, units)


def with_other_judges(evaluation: Evaluation, visible: EvaluationQuerySet) -> list[Agreement]:
    """The evaluation's judge against each other judge or wording that rated the same answers in
    a ``visible`` evaluation, by name. Two queries."""
    rows = evaluation.verdicts().annotate(value=VALUE).exclude(value=None)
    own: dict[Key, float] = {
        (question, text, order): value
        for question, text, order, value in rows.values_list(*_KEY, "value")
    }
    found: dict[tuple[str, str], dict[Key, float]] = {}
    newest: dict[tuple[str, str], int] = {}
    for name, wording, other, question, text, order, value in _others(evaluation, visible):
        if (question, text, order) in own:
            found.setdefault((name, wording), {})[question, text, order] = value
            newest[name, wording] = other
    rules = evaluation.question_set.rules
    if rules.agreement is None:
        return []
    shared = {
        judge: {key: (own[key], value) for key, value in values.items()}
        for judge, values in sorted(found.items())
        if len(values) >= LEAST_SHARED
    }
    return [_agreement(judge, newest[judge], pairs, rules) for judge, pairs in shared.items()]


def _others(evaluation: Evaluation, visible: EvaluationQuerySet) -> list[tuple[Any, ...]]:
    """Name of the judge, wording, evaluation, the parts of a ``Key``, value; latest last."""
    rows = (
        Verdict.objects.filter(
            answer__evaluation__in=visible,
            answer__question__question_set=evaluation.question_set_id,
            judge=F("answer__evaluation__judge"),
            prompt_hash=F("answer__evaluation__prompt_hash"),
        )
        .annotate(value=VALUE)
        .exclude(value=None)
        .exclude(judge=evaluation.judge_id, prompt_hash=evaluation.prompt_hash)
        .order_by("pk")
    )
    return list(
        rows.values_list("judge__name", "prompt_hash", "answer__evaluation", *_KEY, "value")
    )


def _agreement(
    judge: tuple[str, str],
    evaluation: int,
    shared: Mapping[Key, tuple[float, float]],
    rules: Protocol,
) -> Agreement:
    assert rules.agreement is not None
    good, pairs = rules.agreement[1], list(shared.values())
    first, second = zip(*pairs, strict=True)
    questions = [question for question, _, _ in shared]  # Some in both orders.
    sides = [float((a >= good) == (b >= good)) for a, b in pairs]
    known = interval_alpha(first, second) is not None
    return Agreement(
        judge=judge[0],
        prompt_hash=judge[1],
        evaluation=evaluation,
        count=len(pairs),
        alpha=_estimate(pairs, rules.judged_scale, questions) if known else None,
        same_side=estimate(sum(sides) / len(sides), sides, SHARE, questions),
    )
