"""What workers and beat do for training. Ids in, nothing out; everything may be done twice."""

from celery import shared_task

from training import execution, scheduling


@shared_task
def execute_run(run_id: int) -> None:
    """Carry the run out if it is still to be had; takes as long as the training."""
    execution.execute(run_id)


@shared_task
def announce_ready_runs() -> None:
    """Wake workers for runs whose first announcement was lost."""
    scheduling.announce_ready()


@shared_task
def reap_lost_runs() -> None:
    """Give runs of silent workers to others."""
    scheduling.reap()
