"""What workers and beat do for training. Ids in, nothing out; everything may be done twice."""

import signal
import threading
from typing import Any

from celery import shared_task
from celery.signals import worker_process_init

from training import abandoned, base_imports, execution, health, scheduling
from training.guardian import die_with_parent


@worker_process_init.connect
def end_with_the_worker(**_: Any) -> None:
    """A pool process whose worker was killed would go on for hours, seen by nobody."""
    die_with_parent(signal.SIGKILL)


@worker_process_init.connect
def watch_this_host(**_: Any) -> None:
    """In each process of the pool, whose start may follow the death of another.

    Never in the worker's main process: it forks, and a lock that a thread holds at that moment
    stays locked for ever in the process that begins.
    """
    threading.Thread(target=abandoned.watch, name="watch this host", daemon=True).start()


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
