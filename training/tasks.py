"""What workers and beat do for training. Ids in, nothing out; everything may be done twice."""

import signal
from typing import Any

from celery import shared_task
from celery.signals import worker_init, worker_process_init, worker_shutting_down

from training.checkpoints import base_imports
from training.figures import health
from training.runs import execution, retention, scheduling, shutdown, worker_watchdog
from training.runs.guardian import die_with_parent


@worker_process_init.connect
def end_with_the_worker(**_: Any) -> None:
    """A pool process whose worker was killed would go on for hours, seen by nobody."""
    die_with_parent(signal.SIGKILL)


@worker_init.connect
def start_a_watchdog(**_: Any) -> None:
    """In the worker's main process, before it has threads, connections or a pool."""
    worker_watchdog.start()


@worker_shutting_down.connect
def give_runs_back(**_: Any) -> None:
    """Celery would wait until they have succeeded, and whoever stops the worker will not."""
    shutdown.ask()


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
    health.beat_was_here()
    scheduling.reap()


@shared_task
def import_base(import_id: int) -> None:
    """Check a base model that an administrator named, and take it in."""
    base_imports.run_import(import_id)


@shared_task
def announce_forgotten_imports() -> None:
    """Wake workers for base imports that nobody has taken up."""
    base_imports.announce_forgotten()


@shared_task
def watch_disks() -> None:
    """Tell administrators when the disk of this host is nearly full."""
    health.watch_disks()


@shared_task
def tidy_storage() -> None:
    """Delete files in storage that nobody will ask for."""
    retention.tidy()
