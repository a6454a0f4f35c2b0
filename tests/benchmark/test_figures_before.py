"""Figures of evaluations that are stored stay what they are, however the code behind them moves.

``figures_before.json`` holds evaluations of each benchmark, complete and open ones, with all that
was computed of them when each protocol was still spread over the modules of benchmark.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark import evaluating, scoring
from benchmark.board import exporting, leaderboard, significance
from benchmark.evaluating import Said
from benchmark.models import Evaluation, Judge, QuestionSet, Verdict
from tests.benchmark.factories import make_judge, make_question_set

pytestmark = pytest.mark.django_db
DUMP = json.loads(Path(__file__).with_name("figures_before.json").read_text())


def stored(kept: dict[str, Any], question_set: QuestionSet, judge: Judge) -> Evaluation:
    evaluation = evaluating.start(question_set=question_set, judge=judge, model_name=kept["model"])
    answered = {index for index, *_ in kept["verdicts"]}
    said = {
        question: Said(
            f"{kept['model']} says {question.index}",
            finished=question.index not in kept["unfinished"],
        )
        for question in question_set.questions.all()
        if question.index in answered
    }
    evaluating.store_answers(evaluation, said)
    answers = {answer.question.index: answer for answer in evaluation.answers.all()}
    for index, order, rating, reference_score, model_score, state in kept["verdicts"]:
        Verdict.objects.create(
            answer=answers[index],
            judge=judge,
            prompt_hash=evaluation.prompt_hash,
            order=order,
            text=f"text {rating}",
            rating=rating,
            reference_score=reference_score,
            model_score=model_score,
            state=state,
            calls=1,
            tokens=11,
        )
    evaluating.conclude(evaluation)
    evaluation.refresh_from_db()
    return evaluation


@pytest.mark.parametrize("kept", DUMP, ids=lambda kept: kept["protocol"])
def test_every_figure_is_what_it_was(kept: dict[str, Any]) -> None:
    exact = {"kind": "exact", "base_url": "", "model": ""} if kept["judge"] == "exact" else {}
    question_set = make_question_set(protocol=kept["protocol"], records=kept["questions"])
    judge = make_judge("judge", **exact)
    rows = [stored(one, question_set, judge) for one in kept["evaluations"]]
    values = scoring.tested_values(rows)
    for row, before in zip(rows, kept["evaluations"], strict=True):
        bounds = row.summary.pop("bounds", None)
        assert bool(bounds) == (row.state == "incomplete")  # What was not there before.
        assert (row.state, row.summary) == (before["state"], before["summary"])
        assert b"".join(exporting.evaluation_csv(row)).decode() == before["csv"]
        found = {str(index): value for index, value in values[row.pk].items()}
        assert json.loads(json.dumps(found)) == before["values"]
    assert json.loads(json.dumps(scoring.compare(rows[0], rows[1]))) == kept["compared"]

    groups = leaderboard.groups(Evaluation.objects.all())
    standings = significance.standings(groups)
    # In which order rankings stand on the page is no figure.
    groups = sorted(groups, key=lambda group: [row.model_name for row in group.rows])
    told = sorted(kept["standings"], key=lambda before: before["models"])
    for group, before in zip(groups, told, strict=True):
        assert [row.model_name for row in group.rows] == before["models"]
        if before["chart"]["categories"]:
            assert group.chart == before["chart"]
        tests = standings.get(group.id)
        p_values = [test.corrected for test in tests.against_best.values()] if tests else None
        assert (p_values, tests and tests.detectable) == (before["p"], before["detectable"])
