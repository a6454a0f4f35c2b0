"""Figures of evaluations, with intervals: the only place where ratings become scores.

An evaluation with an unparsed or failed verdict gets counts and the types that are settled, but no
headline figure. Intervals are bootstrap over questions, seeded, so a page and an export agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmark import mmhal, pope_scoring
from benchmark.models import Answer, Evaluation, Question, QuestionSet, Verdict
from benchmark.statistics import PairedTest, bootstrap_interval, paired_test

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
    answers = (
        Answer.objects.filter(evaluation=evaluation)
        .select_related("question")
        .order_by("question__index")
        .judged_by(evaluation)
    )
    return [(a.question, a.verdict.rating if a.verdict else None) for a in answers]


def summarise(evaluation: Evaluation) -> dict[str, Any]:
    """What ``Evaluation.summary`` holds: figures as {"value", "low", "high"}, null while open.

    ``by_type`` maps each question type to its mean rating, its hallucination rate and its count;
    ``asked`` and ``total`` are what "81 of 96" is said with.
    """
    rated = ratings_of(evaluation)
    total = evaluation.question_set.questions.count()
    states = _verdict_states(evaluation)
    summary: dict[str, Any] = {
        "asked": len(rated),
        "total": total,
        "unparsed": states.get(Verdict.State.UNPARSED, 0),
        "failed": states.get(Verdict.State.FAILED, 0),
        "settled_by_hand": states.get(Verdict.State.SETTLED, 0),
        "calls": states["calls"],
        "tokens": states["tokens"],
        "unfinished_answers": evaluation.answers.filter(finished=False).count(),
    }
    if not rated:
        names = [shown.name for shown in evaluation.question_set.figures]
        return {**summary, **dict.fromkeys(names), "by_type": {}}
    if evaluation.question_set.yes_or_no:
        labels = [question.data["gt_answer"] for question, _ in rated]
        of_pope = pope_scoring.summarise(labels, [rating for _, rating in rated])
        return {**summary, **of_pope, "by_type": {}}
    ratings = [rating for _, rating in rated]
    figures = mmhal.summarise([_Typed(question.type) for question, _ in rated], ratings)
    for name, value in FIGURES.items():
        summary[name] = _figure(getattr(figures, name), ratings, value)
    groups = {
        name: [rating for question, rating in rated if question.type == name]
        for name in figures.by_type
    }
    summary["by_type"] = {
        name: {
            "count": len(groups[name]),
            "score": _figure(mean, groups[name], FIGURES["score"]),
            "hallucination_rate": _figure(
                figures.hallucination_rate_by_type[name],
                groups[name],
                FIGURES["hallucination_rate"],
            ),
        }
        for name, mean in figures.by_type.items()
    }
    return summary


def compare(first: Evaluation, second: Evaluation) -> dict[str, Any]:
    """Paired tests of two evaluations on the questions that both have a rating for.

    Each figure maps to the two means and a PairedTest (second minus first) as plain JSON types.
    Raises ValueError when they are not comparable or share no rated question.
    """
    if not comparable(first, second):
        raise ValueError(
            "These evaluations were made with other questions, another judge or another wording; "
            "their scores cannot be compared."
        )
    theirs = {question.index: rating for question, rating in ratings_of(second)}
    shared = [
        (question, mine, other)
        for question, mine in ratings_of(first)
        if mine is not None and (other := theirs.get(question.index)) is not None
    ]
    if not shared:
        raise ValueError("These evaluations share no question that both have a rating for.")
    result: dict[str, Any] = {"count": len(shared)}
    for name, value in values_of(first.question_set).items():
        a = [value(question, rating) for question, rating, _ in shared]
        b = [value(question, rating) for question, _, rating in shared]
        result[name] = {
            "first": sum(a) / len(a),
            "second": sum(b) / len(b),
            **_plain(paired_test(a, b)),
        }
    return result


@dataclass(frozen=True)
class Change:
    """A question with its ratings in two evaluations."""

    question: Question
    first: int
    second: int

    @property
    def difference(self) -> int:
        return self.second - self.first


def largest_changes(first: Evaluation, second: Evaluation, *, most: int = 10) -> list[Change]:
    """The questions whose ratings differ most, largest first; none whose rating is equal."""
    mine = {question.index: rating for question, rating in ratings_of(first)}
    changes = []
    for question, theirs in ratings_of(second):
        before = mine.get(question.index)
        if before is not None and theirs is not None and before != theirs:
            changes.append(Change(question, before, theirs))
    return sorted(changes, key=lambda change: -abs(change.difference))[:most]


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
    interval = bootstrap_interval([of_rating(rating) for rating in ratings if rating is not None])
    bounds = asdict(interval)
    return {"value": value, "low": bounds["low"], "high": bounds["high"]}


def _verdict_states(evaluation: Evaluation) -> dict[str, int]:
    counts: dict[str, int] = {"calls": 0, "tokens": 0}
    for state, calls, tokens in evaluation.verdicts().values_list("state", "calls", "tokens"):
        counts[state] = counts.get(state, 0) + 1
        counts["calls"] += calls
        counts["tokens"] += tokens
    return counts
