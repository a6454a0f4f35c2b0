"""What workers do for benchmark: an id in, nothing out, safe to run twice."""

from celery import shared_task

from benchmark import evaluating
from benchmark.judging import work
from benchmark.labelling import work as labelling


@shared_task
def judge_evaluation(evaluation_id: int) -> None:
    """Ask the judge for what it has not judged yet and compute the score."""
    work.judge(evaluation_id)


@shared_task
def resume_judging() -> None:
    """Wake workers for evaluations whose message was lost or whose worker vanished."""
    evaluating.end_abandoned()
    evaluating.resume_judging()


@shared_task
def label_by_judge(labelling_id: int) -> None:
    """Ask the judge of a machine labelling about what it has not answered yet."""
    labelling.label(labelling_id)
