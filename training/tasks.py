"""What workers and beat do for training. Ids in, nothing out; everything may be done twice."""

import logging
import signal
import threading
from typing import Any

from celery import shared_task
from celery.signals import worker_process_init
from django.db import DatabaseError, InterfaceError, connection

from training import abandoned, execution, health, scheduling
from training.guardian import die_with_parent

log = logging.getLogger(__name__)


@worker_process_init.connect
def end_with_the_worker(**_: Any) -> None:
    """A pool process whose worker was killed would go on for hours, seen by nobody."""
    die_with_parent(signal.SIGKILL)


@worker_process_init.connect
def give_up_what_died_here(**_: Any) -> None:
    """A process that starts may replace one that was killed; what that one held is free again.

    In a thread, because Celery kills a process that takes long to start.
    """
    threading.Thread(target=_release_abandoned, name="release abandoned", daemon=True).start()


def _release_abandoned() -> None:
    try:
        abandoned.release()
    except (DatabaseError, InterfaceError, OSError) as error:
        log.warning("runs of dead workers wait for their lease to end: %s", error)
    finally:
        connection.close()


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
