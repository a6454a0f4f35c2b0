"""Figures of evaluations, with intervals: the only place where ratings become scores.

An evaluation with an unparsed or failed verdict gets counts and the types that are settled, but no
headline figure. Intervals are bootstrap over questions, seeded, so a page and an export agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmark.models import Answer, AnswerQuerySet, Evaluation, Question, QuestionSet, Verdict
from benchmark.protocols import mmhal
from benchmark.protocols.llava_bench import pair_scoring
from benchmark.protocols.llava_bench.pair_scoring import Scores, pair_of
from benchmark.protocols.pope import pope_scoring
from benchmark.statistics import (
    PairedTest,
    Statistic,
    estimate,
    mean,
    paired_ratio_test,
    paired_test,
    percent_of_reference,
)

Rating = int | None
Value = Callable[[int], float]
ValueOfAnswer = Callable[[Question, int], float]

FIGURES: dict[str, Value] = {
    "score": float,
    "hallucination_rate": lambda rating: float(rating < mmhal.LOWEST_HONEST_RATING),
    "informativeness": lambda rating: mmhal.informative_part(rating) / 3 * 100,
}
"""Each headline figure as a mean of a value per question."""


def values_of(question_set: QuestionSet) -> dict[str, ValueOfAnswer]:
    """The figures that are means over questions, which two models can be tested on."""
    if question_set.yes_or_no:
        return {
            "accuracy": lambda question, right: float(right),
            "yes_ratio": lambda question, right: float(
                pope_scoring.said(question.data["gt_answer"], right) == "yes"
            ),
        }
    return {
        name: lambda question, rating, value=value: value(rating)  # type: ignore[misc]
        for name, value in FIGURES.items()
    }


class _Typed:
    def __init__(self, question_type: str) -> None:
        self.question_type = question_type


def ratings_of(evaluation: Evaluation) -> list[tuple[Question, Rating]]:
    """Every answered question with the rating of the evaluation's own judge, by index."""
    return [(a.question, a.verdict.rating if a.verdict else None) for a in _answers(evaluation)]


def scores_of(evaluation: Evaluation) -> list[tuple[Question, Scores]]:
    """The same of an evaluation whose judge compares: the scores by order."""
    return [(answer.question, answer.scores) for answer in _answers(evaluation)]


def _answers(evaluation: Evaluation) -> AnswerQuerySet:
    return (
        Answer.objects.filter(evaluation=evaluation)
        .select_related("question")
        .order_by("question__index")
        .judged_by(evaluation)
    )


def summarise(evaluation: Evaluation) -> dict[str, Any]:
    """What ``Evaluation.summary`` holds: figures as {"value", "low", "high"}, null while open.

    ``by_type`` maps each question type to its mean rating, its hallucination rate and its count;
    ``asked`` and ``total`` are what "81 of 96" is said with.
    """
    states = _verdict_states(evaluation)
    summary: dict[str, Any] = {
        "asked": evaluation.answers.count(),
        "total": evaluation.question_set.questions.count(),
        "unparsed": states.get(Verdict.State.UNPARSED, 0),
        "failed": states.get(Verdict.State.FAILED, 0),
        "settled_by_hand": states.get(Verdict.State.SETTLED, 0),
        "calls": states["calls"],
        "tokens": states["tokens"],
        "unfinished_answers": evaluation.answers.filter(finished=False).count(),
    }
    if not summary["asked"]:
        names = [shown.name for shown in evaluation.question_set.figures]
        return {**summary, **dict.fromkeys(names), "by_type": {}}
    return {**summary, **_figures(evaluation)}


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    """The figures of the evaluation's protocol and, in ``by_type``, those of its types."""
    if evaluation.question_set.compares:
        scored = scores_of(evaluation)
        return pair_scoring.summarise(
            [question.type for question, _ in scored], [scores for _, scores in scored]
        )
    rated = ratings_of(evaluation)
    if evaluation.question_set.yes_or_no:
        labels = [question.data["gt_answer"] for question, _ in rated]
        of_pope = pope_scoring.summarise(labels, [rating for _, rating in rated])
        return {**of_pope, "by_type": {}}
    return _rated_figures(rated)


def _rated_figures(rated: list[tuple[Question, Rating]]) -> dict[str, Any]:
    ratings = [rating for _, rating in rated]
    found = mmhal.summarise([_Typed(question.type) for question, _ in rated], ratings)
    groups = {
        name: [rating for question, rating in rated if question.type == name]
        for name in found.by_type
    }
    by_type = {
        name: {
            "count": len(groups[name]),
            "score": _figure(score, groups[name], FIGURES["score"]),
            "hallucination_rate": _figure(
                found.hallucination_rate_by_type[name],
                groups[name],
                FIGURES["hallucination_rate"],
            ),
        }
        for name, score in found.by_type.items()
    }
    headline = {
        name: _figure(getattr(found, name), ratings, value) for name, value in FIGURES.items()
    }
    return {**headline, "by_type": by_type}


def compare(first: Evaluation, second: Evaluation) -> dict[str, Any]:
    """Paired tests of two evaluations on the questions that both have a rating for.

    Each figure maps to a PairedTest (second minus first) as plain JSON types, with the figure of
    each evaluation over these questions under "first" and "second".
    Raises ValueError when they are not comparable or share no rated question.
    """
    if not comparable(first, second):
        raise ValueError(
            "These evaluations were made with other questions, another judge or another wording; "
            "their scores cannot be compared."
        )
    tests = _compared_scores if first.question_set.compares else _compared_ratings
    found = tests(first, second)
    if not found:
        raise ValueError("These evaluations share no question that both have a rating for.")
    return found


def _compared_ratings(first: Evaluation, second: Evaluation) -> dict[str, Any]:
    theirs = {question.index: rating for question, rating in ratings_of(second)}
    shared = [
        (question, mine, other)
        for question, mine in ratings_of(first)
        if mine is not None and (other := theirs.get(question.index)) is not None
    ]
    if not shared:
        return {}
    result: dict[str, Any] = {"count": len(shared)}
    for name, value in values_of(first.question_set).items():
        a = [value(question, rating) for question, rating, _ in shared]
        b = [value(question, rating) for question, _, rating in shared]
        sides = {"first": _side(first, name, a), "second": _side(second, name, b)}
        result[name] = {**sides, **_plain(paired_test(a, b))}
    return result


def _side(evaluation: Evaluation, name: str, values: Sequence[Any], of: Statistic = mean) -> Any:
    """The figure over the shared questions; where these are all, the summary has it already."""
    known = evaluation.summary.get(name)
    if known and len(values) == evaluation.summary["asked"]:
        return known
    return estimate(float(of(np.asarray([values], dtype=np.float64))[0]), values, of)


def _compared_scores(first: Evaluation, second: Evaluation) -> dict[str, Any]:
    """Each order, and both together, over the questions that have those scores in both."""
    theirs = {question.index: scores for question, scores in scores_of(second)}
    both = [(mine, theirs.get(question.index, {})) for question, mine in scores_of(first)]
    result: dict[str, Any] = {}
    for name in pair_scoring.FIGURES:
        shared = [
            (a, b)
            for mine, other in both
            if (a := pair_of(mine, name)) is not None and (b := pair_of(other, name)) is not None
        ]
        if not shared:
            return {}
        before, after = [mine for mine, _ in shared], [other for _, other in shared]
        sides = {
            "first": _side(first, name, before, percent_of_reference),
            "second": _side(second, name, after, percent_of_reference),
        }
        result[name] = {**sides, **_plain(paired_ratio_test(before, after))}
        result.setdefault("count", len(shared))
    return result


def comparable(first: Evaluation, second: Evaluation) -> bool:
    """Whether both have the same questions, judge and wording; pairing takes care of coverage."""
    return (first.question_set_id, first.judge_id, first.prompt_hash) == (
        second.question_set_id,
        second.judge_id,
        second.prompt_hash,
    )


def _plain(test: PairedTest) -> dict[str, Any]:
    return {
        "difference": test.difference,
        "low": test.interval.low,
        "high": test.interval.high,
        "p_value": test.p_value,
        "shown": test.shown,
        "detectable": test.detectable,
    }


def _figure(
    value: float | None, ratings: Sequence[Rating], of_rating: Value
) -> dict[str, float] | None:
    if value is None:
        return None
    return estimate(value, [of_rating(rating) for rating in ratings if rating is not None])


def _verdict_states(evaluation: Evaluation) -> dict[str, int]:
    counts: dict[str, int] = {"calls": 0, "tokens": 0}
    for state, calls, tokens in evaluation.verdicts().values_list("state", "calls", "tokens"):
        counts[state] = counts.get(state, 0) + 1
        counts["calls"] += calls
        counts["tokens"] += tokens
    return counts
