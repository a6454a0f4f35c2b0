from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from benchmark import evaluating
from benchmark.evaluating import EvaluationError, Said
from benchmark.models import Evaluation, Judge, Verdict
from tests.benchmark.factories import (
    make_evaluation,
    make_judge,
    make_question_set,
    reload,
    waiting,
)
from tests.factories import make_user

pytestmark = pytest.mark.django_db


# --- Answers --------------------------------------------------------------------------------


def test_store_answers_begins_judging_once() -> None:
    evaluation = waiting(make_judge(), count=3)
    assert evaluation.state == "judging"
    assert evaluation.coverage == evaluating.coverage_of([2, 0, 1])
    question = evaluation.question_set.questions.first()
    evaluating.store_answers(evaluation, {question: Said("another")})
    assert evaluation.answers.count() == 3
    assert evaluation.answers.first().text == "answer 1."


def test_no_answers_are_refused() -> None:
    evaluation = evaluating.start(
        question_set=make_question_set(), judge=make_judge(), model_name="silent"
    )
    with pytest.raises(EvaluationError, match="no answer"):
        evaluating.store_answers(evaluation, {})


def test_the_exact_judge_refuses_photographs() -> None:
    exact = Judge.objects.create(name="exact", kind="exact")
    with pytest.raises(evaluating.NotSuitable, match="knows no truth about"):
        evaluating.start(question_set=make_question_set(), judge=exact, model_name="m")


# --- By hand --------------------------------------------------------------------------------


def test_settle_gives_the_score() -> None:
    evaluation = make_evaluation([6, None])
    verdict = evaluation.verdicts().get(state="unparsed")
    person = make_user()
    evaluating.settle(verdict, {"rating": "2"}, person)
    verdict.refresh_from_db()
    assert (verdict.state, verdict.rating, verdict.settled_by) == ("settled", 2, person)
    assert verdict.text == "No rating."
    settled = reload(evaluation)
    assert (settled.state, settled.summary["score"]["value"]) == ("complete", 4)
    assert settled.summary["settled_by_hand"] == 1
    evaluating.settle(verdict, {"rating": "3"}, person)
    assert reload(evaluation).summary["score"]["value"] == 4.5


def test_settle_never_overrules_a_judge() -> None:
    evaluation = make_evaluation([6, None])
    with pytest.raises(EvaluationError, match="has a rating already"):
        evaluating.settle(evaluation.verdicts().get(state="parsed"), {"rating": "0"}, make_user())


def test_settle_waits_for_the_judge() -> None:
    evaluation = make_evaluation([6, None])
    Evaluation.objects.update(state="judging")
    with pytest.raises(EvaluationError, match="still at work"):
        evaluating.settle(evaluation.verdicts().get(state="unparsed"), {"rating": "0"}, make_user())


def test_a_complete_evaluation_is_not_judged_again() -> None:
    with pytest.raises(EvaluationError, match="incomplete or failed"):
        evaluating.judge_again(make_evaluation([6, 5]))


# --- What the database refuses --------------------------------------------------------------


def _repeated(verdict: Verdict) -> None:
    verdict.pk = None
    verdict.save(force_insert=True)


REFUSED: dict[str, Callable[[Evaluation], Any]] = {
    "an unparsed verdict with a rating": lambda e: e.verdicts().update(state="unparsed"),
    "a rating off the scale": lambda e: e.verdicts().update(rating=7),
    "a settled verdict without a person": lambda e: e.verdicts().update(state="settled"),
    "a second verdict of one judge and wording": lambda e: _repeated(e.verdicts().get()),
    "an endpoint without an address": lambda e: Judge.objects.update(base_url=""),
    "a score without an end": lambda e: Evaluation.objects.update(finished_at=None),
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_database_refuses(what: str) -> None:
    evaluation = make_evaluation([6])
    with pytest.raises(IntegrityError), transaction.atomic():
        REFUSED[what](evaluation)


# --- Waking workers -------------------------------------------------------------------------


def test_beat_announces_what_waits_for_a_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: Counter[int] = Counter()
    monkeypatch.setattr(evaluating, "announce", lambda *ids: sent.update(ids))
    evaluation = waiting(make_judge())
    make_evaluation([1, 2], question_set=evaluation.question_set, model_name="done")
    evaluating.resume_judging()
    assert sent == {evaluation.pk: 1}
