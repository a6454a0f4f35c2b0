"""What workers do for benchmark: an id in, nothing out, safe to run twice."""

from celery import shared_task

from benchmark import evaluating
from benchmark.judging import work


@shared_task
def judge_evaluation(evaluation_id: int) -> None:
    """Ask the judge for what it has not judged yet and compute the score."""
    work.judge(evaluation_id)


@shared_task
def resume_judging() -> None:
    """Wake workers for evaluations whose message was lost or whose worker vanished."""
    evaluating.end_abandoned()
    evaluating.resume_judging()
