"""Figures of evaluations and tests between two of them: rows in, what the benchmark makes of them.

An evaluation with an unparsed or failed verdict gets counts, the types that are settled, and bounds
for the rest, but no headline figure. Which interval a figure has follows from what its protocol
says it is made of (``benchmark.statistics``), so a page and an export agree.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from django.db.models import F

from benchmark.models import Answer, Evaluation, Verdict
from benchmark.protocols.figure_display import Shown
from benchmark.protocols.protocol import Compared, Given, Judged, Value
from benchmark.statistics import Measure, PairedTest, estimate


def judged(evaluation: Evaluation) -> list[Judged]:
    """Every answered question with the verdicts of the evaluation's own judge, by index."""
    answers = Answer.objects.filter(evaluation=evaluation).select_related("question")
    return [
        Judged(
            index=answer.question.index,
            type=answer.question.type,
            question=answer.question.data,
            given=tuple(verdict.given for verdict in answer.reviews),
        )
        for answer in answers.order_by("question__index").judged_by(evaluation)
    ]


def summarise(evaluation: Evaluation) -> dict[str, Any]:
    """What ``Evaluation.summary`` holds: figures as {"value", "low", "high"}, null while open.

    A figure that has nothing to divide by has null in all three, and in "undefined" why.
    ``by_type`` maps each question type to its figures and its count; ``asked`` and ``total`` are
    what "81 of 96" is said with; ``bounds`` says where a figure that is open must lie.
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
    protocol = evaluation.question_set.rules
    if not summary["asked"]:
        names = [shown.name for shown in protocol.figures]
        return {**summary, **dict.fromkeys(names), "by_type": {}}
    answers = judged(evaluation)
    found = protocol.summarise(answers)
    summary |= _explained(found, protocol.figures)
    summary["by_type"] = {
        name: _explained(figures, protocol.type_figures)
        for name, figures in found["by_type"].items()
    }
    if bounds := protocol.bounds(answers):
        summary["bounds"] = bounds
    return summary


def _explained(figures: dict[str, Any], shown: Sequence[Shown]) -> dict[str, Any]:
    """The figures, with the reason beside each that is not defined."""
    reasons = {
        one.name: {**figures[one.name], "undefined": one.undefined}
        for one in shown
        if figures.get(one.name) and figures[one.name]["value"] is None
    }
    return {**figures, **reasons}


def compare(first: Evaluation, second: Evaluation) -> dict[str, Any]:
    """Paired tests of two evaluations on the questions that are settled in both.

    Each figure maps to a PairedTest (second minus first) as plain JSON types, with the figure of
    each evaluation over these questions under "first" and "second". "count" is of how many
    questions, for all but the figures that have a count of their own.
    Raises ValueError when they are not comparable or share no settled question.
    """
    if not comparable(first, second):
        raise ValueError(
            "These evaluations were made with other questions, another judge or another wording; "
            "their scores cannot be compared."
        )
    theirs = {answer.index: answer for answer in judged(second)}
    both = [(mine, theirs[mine.index]) for mine in judged(first) if mine.index in theirs]
    result: dict[str, Any] = {}
    for name, how in first.question_set.rules.compared.items():
        found = _tested(name, how, first, second, both)
        if found:
            if result.setdefault("count", found["count"]) == found["count"]:
                del found["count"]
            result[name] = found
    if first.question_set.rules.tested not in result:
        title = first.question_set.tested_figure.title
        raise ValueError(
            "These evaluations share no question that both have a rating for, or one of them has "
            f"no {title} that is defined."
        )
    return result


def _tested(
    name: str,
    how: Compared,
    first: Evaluation,
    second: Evaluation,
    both: Sequence[tuple[Judged, Judged]],
) -> dict[str, Any]:
    values = [(how.value(mine), how.value(other)) for mine, other in both]
    settled = [
        (a, b, mine.picture)
        for (a, b), (mine, _) in zip(values, both, strict=True)
        if a is not None and b is not None
    ]
    if not settled:
        return {}
    before, after = [one for one, _, _ in settled], [other for _, other, _ in settled]
    pictures = [picture for _, _, picture in settled]
    if any(np.isnan(_figure(how, side)) for side in (before, after)):
        return {}
    sides: list[Any] = []
    for evaluation, mine in ((first, before), (second, after)):
        # A figure of one part of the questions has fewer values than questions were asked.
        own = sum(pair[len(sides)] is not None for pair in values)
        whole = len(both) == evaluation.summary["asked"] and own == len(settled)
        sides.append(_side(evaluation, name, how, mine, pictures, whole=whole))
    return {
        "count": len(settled),
        "first": sides[0],
        "second": sides[1],
        **_plain(_paired(how.measure, tuple(before), tuple(after))),
    }


@functools.lru_cache(maxsize=1024)
def _paired(measure: Measure, before: tuple[Value, ...], after: tuple[Value, ...]) -> PairedTest:
    """Kept: resampling is seeded, and a page that is opened again has the same ratings."""
    return measure.paired(before, after)


def _side(
    evaluation: Evaluation,
    name: str,
    how: Compared,
    values: Sequence[Value],
    pictures: Sequence[Hashable],
    *,
    whole: bool,
) -> Any:
    """The figure over the shared questions; where these are all (``whole``), the summary has it
    already."""
    known = evaluation.summary.get(name)
    if known and whole:
        return known
    return estimate(_figure(how, values), values, how.measure, pictures)


def _figure(how: Compared, values: Sequence[Value]) -> float:
    """NaN where it is not defined."""
    return float(how.measure.statistic(np.asarray([values], dtype=np.float64))[0])


def comparable(first: Evaluation, second: Evaluation) -> bool:
    """Whether both may be ranked together; pairing takes care of coverage."""
    (questions, _, *judged_by), (others, _, *judged_alike) = first.group, second.group
    return questions == others and judged_by == judged_alike


def tested_values(evaluations: Iterable[Evaluation]) -> dict[int, dict[int, Value]]:
    """What each settled answer contributes to the tested figure, by the index of its question, by
    evaluation. One query for all of them."""
    rules = {row.pk: row.question_set.rules for row in evaluations}
    rows = (
        Verdict.objects.filter(
            answer__evaluation__in=list(rules),
            judge=F("answer__evaluation__judge"),
            prompt_hash=F("answer__evaluation__prompt_hash"),
        )
        .exclude(state__in=Verdict.OPEN)
        .values_list(
            "answer__evaluation",
            "answer__question__index",
            "answer__question__type",
            *Given._fields,
        )
    )
    given: dict[tuple[int, int, str], list[Given]] = {}
    for evaluation, index, kind, *said in rows:
        given.setdefault((evaluation, index, kind), []).append(Given(*said))
    found: dict[int, dict[int, Value]] = {}
    for (evaluation, index, kind), verdicts in given.items():
        protocol = rules[evaluation]
        answer = Judged(index=index, type=kind, given=tuple(verdicts))
        value = protocol.compared[protocol.tested].value(answer)
        if value is not None:
            found.setdefault(evaluation, {})[index] = value
    return found


def _plain(test: PairedTest) -> dict[str, Any]:
    return {
        "difference": test.difference,
        "low": test.interval.low,
        "high": test.interval.high,
        "p_value": test.p_value,
        "shown": test.shown,
        "detectable": test.detectable,
    }


def _verdict_states(evaluation: Evaluation) -> dict[str, int]:
    counts: dict[str, int] = {"calls": 0, "tokens": 0}
    for state, calls, tokens in evaluation.verdicts().values_list("state", "calls", "tokens"):
        counts[state] = counts.get(state, 0) + 1
        counts["calls"] += calls
        counts["tokens"] += tokens
    return counts
