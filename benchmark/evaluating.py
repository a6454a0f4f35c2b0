"""The states of an evaluation: answering, judging, complete, incomplete or failed.

Every step may be repeated: answers are stored once per question, and each change of state is one
conditional UPDATE. What happens while a judge is asked is in ``benchmark.judging.work``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.errors import DomainError
from benchmark import contamination, notices, scoring
from benchmark.models import Answer, Evaluation, Judge, Question, QuestionSet, Verdict
from config import wakeup
from config.sanitising import storable
from training.models import ENDED_BADLY, Checkpoint, Run

State = Evaluation.State
TASK = "benchmark.tasks.judge_evaluation"
_ANNOUNCEMENT_SECONDS = 20


class EvaluationError(DomainError):
    """A step that the evaluation's state or parts do not allow."""

    status = 409
    title = "The evaluation does not allow this"


class NotSuitable(EvaluationError):
    """A judge that cannot judge the question set."""

    status = 422
    title = "This judge cannot judge these questions"


@dataclass(frozen=True)
class Said:
    """A model's answer to one question."""

    text: str
    finished: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", storable(self.text))


def start(*, question_set: QuestionSet, judge: Judge, model_name: str, **fields: Any) -> Evaluation:
    """A new evaluation that waits for its answers; ``fields`` are further ones of the model."""
    check_suitable(question_set, judge)
    return Evaluation.objects.create(
        question_set=question_set,
        judge=judge,
        prompt_hash=judge.wording_for(question_set),
        model_name=model_name,
        **fields,
    )


def evaluation_of(run: Run, scored: Checkpoint | None, **fields: Any) -> Evaluation:
    """The run's evaluation of ``scored``, made when the run begins: only then is that known."""
    assert scored is not None
    judge = Judge.objects.get(pk=run.options["judge"])
    question_set = QuestionSet.objects.get(pk=run.options["question_set"])
    evaluation, _ = Evaluation.objects.get_or_create(
        run=run,
        defaults={
            "question_set": question_set,
            "judge": judge,
            "prompt_hash": judge.wording_for(question_set),
            "project": run.project,
            "checkpoint": scored,
            "model_name": scored.distinct_name,
            "created_by": run.requested_by,
            **fields,
        },
    )
    return evaluation


def check_suitable(question_set: QuestionSet, judge: Judge) -> None:
    """Raises NotSuitable for a kind of judge that the benchmark does not take."""
    if not judge.can_judge(question_set):
        told = question_set.rules.unsuitable
        raise NotSuitable(told.format(judge=judge, questions=question_set))


def store_answers(evaluation: Evaluation, answers: Mapping[Question, Said]) -> None:
    """Keep the answers and hand the evaluation to a judge; a repetition changes nothing.

    Raises EvaluationError when there is no answer at all.
    """
    if not answers:
        raise EvaluationError("There is no answer to judge.")
    with transaction.atomic():
        locked = Evaluation.objects.select_for_update().get(pk=evaluation.pk)
        if locked.state != State.ANSWERING:
            return
        Answer.objects.bulk_create(
            [
                Answer(
                    evaluation=locked,
                    question=question,
                    text=said.text,
                    text_sha256=Answer.digest_of(said.text),
                    finished=said.finished,
                )
                for question, said in answers.items()
            ]
        )
        locked.coverage = coverage_of(question.index for question in answers)
        locked.state = State.JUDGING
        locked.save(update_fields=["coverage", "state"])
        _announce_after_commit(locked.pk)
    evaluation.refresh_from_db()


def coverage_of(indexes: Iterable[int]) -> str:
    """Names a set of questions of one question set: equal sets, equal names."""
    joined = ",".join(map(str, sorted(indexes)))
    return hashlib.sha256(joined.encode()).hexdigest()


def conclude(evaluation: Evaluation) -> None:
    """Compute the figures and say whether they are complete."""
    summary = scoring.summarise(evaluation)
    summary |= contamination.of(evaluation)
    headline = summary[evaluation.question_set.headline.name]  # Not defined is not open.
    settled = headline is not None and not summary["unparsed"] + summary["failed"]
    ended = State.COMPLETE if settled else State.INCOMPLETE
    with transaction.atomic():
        concluded = Evaluation.objects.filter(pk=evaluation.pk).exclude(state=State.ANSWERING)
        if concluded.update(state=ended, summary=summary, error="", finished_at=timezone.now()):
            notices.if_fell(evaluation.pk)


def recompute(evaluation: Evaluation) -> list[str]:
    """Replace stored figures by those of the code as it is; verdicts stay as they are, and nobody
    is told. Gives the names of the figures that changed."""
    summary = {**evaluation.summary, **scoring.summarise(evaluation)}
    names = (shown.name for shown in evaluation.question_set.rules.figures)
    changed = [name for name in names if summary.get(name) != evaluation.summary.get(name)]
    Evaluation.objects.filter(pk=evaluation.pk, state=evaluation.state).update(summary=summary)
    return changed


def fail(evaluation: Evaluation, reason: str) -> None:
    """End an evaluation that has no score, with a reason for people."""
    Evaluation.objects.filter(pk=evaluation.pk, state__in=[State.ANSWERING, State.JUDGING]).update(
        state=State.FAILED, error=reason, finished_at=timezone.now()
    )


def judge_again(evaluation: Evaluation) -> None:
    """Ask anew for what is unparsed or failed; verdicts that have a rating stay.

    Raises EvaluationError unless the evaluation is incomplete or failed in judging.
    """
    with transaction.atomic():
        moved = Evaluation.objects.filter(
            pk=evaluation.pk,
            state__in=[State.INCOMPLETE, State.FAILED],
            answers__isnull=False,
        )
        if not Evaluation.objects.filter(pk__in=moved.values("pk")).update(
            state=State.JUDGING, error="", finished_at=None, attempts=0
        ):
            raise EvaluationError("Only an incomplete or failed evaluation can be judged again.")
        evaluation.verdicts().filter(state__in=Verdict.OPEN).delete()
        _announce_after_commit(evaluation.pk)


def settle(verdict: Verdict, said: Mapping[str, str], user: Any) -> None:
    """A person decides an unclear verdict; the figures follow. ``said`` is what the benchmark's
    form asks for.

    Raises EvaluationError for a verdict that a judge has settled, while judging goes on, or for
    what is no verdict.
    """
    try:
        decided = verdict.answer.evaluation.question_set.rules.settled(said)
    except ValueError as error:
        raise EvaluationError(str(error)) from error
    _settle(verdict, user, **decided)


def _settle(verdict: Verdict, user: Any, **decided: Any) -> None:
    evaluation = verdict.answer.evaluation
    if not evaluation.ended:
        raise EvaluationError("The judge is still at work; wait until it has ended.")
    changed = (
        Verdict.objects.filter(pk=verdict.pk)
        .exclude(state=Verdict.State.PARSED)
        .update(**decided, state=Verdict.State.SETTLED, settled_by=user, updated_at=timezone.now())
    )
    if not changed:
        raise EvaluationError("This verdict has a rating already.")
    conclude(evaluation)


def end_abandoned() -> None:
    """Fail evaluations whose run ended without answers."""
    Evaluation.objects.filter(state=State.ANSWERING, run__state__in=ENDED_BADLY).update(
        state=State.FAILED,
        error="The run that was to answer the questions ended without answers.",
        finished_at=timezone.now(),
    )


def reopen(evaluation: Evaluation) -> None:
    """Wait for answers again: the run that ended without them has been resumed."""
    Evaluation.objects.filter(pk=evaluation.pk, state=State.FAILED, answers=None).update(
        state=State.ANSWERING, error="", finished_at=None
    )


def resume_judging() -> None:
    """Announce every evaluation that waits for a judge, should its message have been lost."""
    machines = Evaluation.objects.exclude(judge__kind=Judge.Kind.PERSON)
    announce(*machines.filter(state=State.JUDGING).values_list("pk", flat=True))


def _announce_after_commit(evaluation_id: int) -> None:
    wakeup.after_commit(TASK, evaluation_id, expires=_ANNOUNCEMENT_SECONDS)


def announce(*evaluation_ids: int) -> None:
    """Wake workers to judge; should a message be lost, beat sends another."""
    wakeup.announce(TASK, evaluation_ids, expires=_ANNOUNCEMENT_SECONDS)
