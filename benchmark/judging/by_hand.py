"""A person in the browser as the judge: what comes next, a rating, one step back.

The person must not know which model answered. Answers of all models that wait for the same judge
come in one order, random but fixed for each person, and under names from which neither the model
nor the place in the database can be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.crypto import salted_hmac

from benchmark import evaluating
from benchmark.judging import pending
from benchmark.models import Answer, Evaluation, EvaluationQuerySet, Judge, Verdict

_SALT = "benchmark.by_hand"


@dataclass(frozen=True)
class Task:
    """One answer to be rated; ``token`` names it to this person only."""

    token: str
    answer: Answer


@dataclass(frozen=True)
class Work:
    """What a person sees of a judge: the next task, if any, and how far everything is."""

    task: Task | None
    done: int
    total: int
    may_undo: bool


def work(judge: Judge, visible: EvaluationQuerySet, user: Any) -> Work:
    """The next answer for ``user`` among the ``visible`` evaluations under ``judge``."""
    under_way = _under_way(judge, visible)
    waiting = _by_token(_unrated(under_way), user)
    total = Answer.objects.filter(evaluation__in=under_way).count()
    task = None
    if waiting:
        token = min(waiting)
        answers = Answer.objects.select_related("question__image", "question__question_set")
        task = Task(token, answers.get(pk=waiting[token]))
    may_undo = _own(judge, visible, user).exists()
    return Work(task=task, done=total - len(waiting), total=total, may_undo=may_undo)


def rate(judge: Judge, visible: EvaluationQuerySet, user: Any, *, token: str, rating: int) -> bool:
    """Keep a rating of 0 to 6; the last one gives the evaluation its score.

    False where the answer does not wait any more: another person, or another tab, was first.
    """
    answer_id = _by_token(_unrated(_under_way(judge, visible)), user).get(token)
    if answer_id is None:
        return False
    with transaction.atomic():
        evaluation = Evaluation.objects.select_for_update().get(answers=answer_id)
        _, kept = Verdict.objects.get_or_create(
            answer_id=answer_id,
            judge=judge,
            prompt_hash=evaluation.prompt_hash,
            defaults={"rating": rating, "state": Verdict.State.PARSED, "rated_by": user},
        )
        if not pending.unjudged(evaluation):
            evaluating.conclude(evaluation)
    return kept


def undo(judge: Judge, visible: EvaluationQuerySet, user: Any) -> bool:
    """Take the person's last rating back, so that the answer waits again; False for none.

    An evaluation that was complete waits again too.
    """
    with transaction.atomic():
        last = _own(judge, visible, user).select_for_update(of=("self",)).first()
        if last is None:
            return False
        evaluation = Evaluation.objects.select_for_update().get(answers=last.answer_id)
        last.delete()
        Evaluation.objects.filter(pk=evaluation.pk).update(
            state=Evaluation.State.JUDGING, summary={}, finished_at=None
        )
    return True


def waiting_by_judge(visible: EvaluationQuerySet) -> list[tuple[Judge, int]]:
    """Judges of this kind that have answers waiting, with the number of them, by name."""
    people = Judge.objects.filter(kind=Judge.Kind.PERSON)
    counted = [(judge, _unrated(_under_way(judge, visible)).count()) for judge in people]
    return [(judge, count) for judge, count in counted if count]


def _under_way(judge: Judge, visible: EvaluationQuerySet) -> QuerySet[Evaluation]:
    return visible.filter(
        judge=judge, prompt_hash=judge.prompt_hash, state=Evaluation.State.JUDGING
    )


def _unrated(evaluations: QuerySet[Evaluation]) -> QuerySet[Answer]:
    rated = Verdict.objects.filter(
        answer=OuterRef("pk"),
        judge=OuterRef("evaluation__judge"),
        prompt_hash=OuterRef("evaluation__prompt_hash"),
    )
    return Answer.objects.filter(~Exists(rated), evaluation__in=evaluations)


def _own(judge: Judge, visible: EvaluationQuerySet, user: Any) -> QuerySet[Verdict]:
    mine = Verdict.objects.filter(
        judge=judge,
        prompt_hash=judge.prompt_hash,
        rated_by=user,
        answer__evaluation__in=visible,
    )
    return mine.order_by("-updated_at", "-pk")


def _by_token(answers: QuerySet[Answer], user: Any) -> dict[str, int]:
    keys = answers.order_by().values_list("pk", flat=True)
    return {salted_hmac(_SALT, f"{user.pk}:{key}").hexdigest(): key for key in keys}
