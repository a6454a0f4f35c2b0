"""What pages show of evaluations beyond their summary, each with a fixed number of queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from benchmark.judging import outages
from benchmark.judging.injections import addresses_judge
from benchmark.judging.outages import Absence
from benchmark.models import Answer, Evaluation, EvaluationQuerySet, Judge, Question, Verdict
from training.checkpoints import registry
from training.checkpoints.registry import Ancestor


@dataclass(frozen=True)
class Progress:
    """How far an evaluation is; ``total`` is 0 while that is unknown."""

    done: int
    total: int
    text: str
    away: Absence | None = None
    """Why the judge is asked again, and when."""


def progress(evaluation: Evaluation) -> Progress:
    """Answers while it answers, verdicts while it is judged."""
    if evaluation.state == Evaluation.State.ANSWERING:
        run = evaluation.run
        done, total = (run.progress_done, run.progress_total) if run else (0, 0)
        return Progress(done, total, f"{done} of {total} answers" if total else "Waiting to answer")
    total = evaluation.answers.count() * len(
        evaluation.question_set.rules.orders_for(evaluation.judge.kind)
    )
    done = evaluation.verdicts().count()
    if not done and _judge_is_busy(evaluation):
        return Progress(done, total, f"Waits until {evaluation.judge} has rated another model")
    away = outages.of(evaluation) if evaluation.state == Evaluation.State.JUDGING else None
    return Progress(done, total, f"{done} of {total} verdicts", away)


def _judge_is_busy(evaluation: Evaluation) -> bool:
    """Whether the judge, who rates one evaluation at a time, is at another one."""
    if evaluation.judge.kind != Judge.Kind.OPENAI:
        return False
    others = Evaluation.objects.filter(judge=evaluation.judge_id, state=Evaluation.State.JUDGING)
    begun = Verdict.objects.filter(answer__evaluation__in=others.exclude(pk=evaluation.pk))
    return begun.exists()


def base_of(evaluation: Evaluation, visible: EvaluationQuerySet) -> Evaluation | None:
    """The newest comparable evaluation of the base that the model was trained on."""
    checkpoint = evaluation.checkpoint
    if checkpoint is None or checkpoint.base_id is None or not evaluation.summary:
        return None
    question_set, coverage, judge, prompt = evaluation.group
    alike = (
        visible.scored()
        .with_origin()
        .filter(question_set=question_set, coverage=coverage, judge=judge, prompt_hash=prompt)
    )
    return alike.filter(checkpoint=checkpoint.base_id, sampling=evaluation.sampling).first()


def lineage(evaluation: Evaluation) -> list[Ancestor]:
    """Where the model comes from, nearest first; empty for answers made elsewhere."""
    return registry.lineage(evaluation.checkpoint) if evaluation.checkpoint else []


def answers_to(question: Question, visible: EvaluationQuerySet) -> list[Answer]:
    """What each visible model said to a question, with the verdict of its own evaluation.

    Ordered by judge and model, so that verdicts which may be compared stand together.
    """
    answers = (
        Answer.objects.filter(question=question, evaluation__in=visible)
        .select_related(
            "evaluation__judge",
            "evaluation__checkpoint__run__reward_model__run",
        )
        .prefetch_related("verdicts")
        .order_by("evaluation__judge__name", "evaluation__model_name", "-evaluation")
    )
    return [_with_own_verdict(answer) for answer in answers]


def addressing_judge(evaluation: Evaluation) -> list[int]:
    """The ids of answers that speak to their judge; none under a judge that nobody can talk to."""
    if not evaluation.can_be_talked_to:
        return []
    texts = evaluation.answers.order_by().values_list("pk", "text")
    return [pk for pk, text in texts if addresses_judge(text)]


def answers_that(show: str, evaluation: Evaluation) -> QuerySet[Verdict, Any]:
    """The ids of answers that are "hallucinated" (or what the benchmark has in its place),
    "honest" (the opposite), or that are "open"."""
    verdicts = evaluation.verdicts().order_by()
    if show == "open":
        return verdicts.filter(state__in=Verdict.OPEN).values("answer")
    good: QuerySet[Verdict, Any] = evaluation.question_set.rules.good(
        verdicts, wanted=show == "honest"
    )
    return good


def neighbours(question: Question) -> dict[str, Question | None]:
    """The questions before and after it in its set."""
    siblings: QuerySet[Question] = question.question_set.questions.all()
    return {
        "previous": siblings.filter(index__lt=question.index).order_by("-index").first(),
        "next": siblings.filter(index__gt=question.index).order_by("index").first(),
    }


def _with_own_verdict(answer: Answer) -> Answer:
    own = [verdict for verdict in answer.verdicts.all() if _belongs(verdict, answer.evaluation)]
    loaded: Any = answer
    loaded.own_verdicts = own
    return answer


def _belongs(verdict: Verdict, evaluation: Evaluation) -> bool:
    return (verdict.judge_id, verdict.prompt_hash) == (evaluation.judge_id, evaluation.prompt_hash)
