"""Telling workers that a run is ready: a hint over Redis that may be lost without harm.

The row is the truth. Whatever is not delivered here is announced again by beat, so no caller ever
waits for Redis or fails because of it: the hint is sent from a thread.
"""

from __future__ import annotations

import logging
import threading
from functools import partial

from django.conf import settings
from django.db import transaction
from kombu import Connection
from kombu.exceptions import ChannelError, OperationalError
from redis.exceptions import RedisError

from config.celery import app

AWAY = (OperationalError, RedisError, OSError)
PATIENCE_SECONDS = 0.1
log = logging.getLogger(__name__)

QUEUE = settings.CELERY_TASK_ROUTES["training.tasks.execute_run"]["queue"]


def after_commit(run_ids: list[int]) -> None:
    """Announce the runs once this transaction is durable."""
    transaction.on_commit(partial(_announce_aside, run_ids), robust=True)


def _announce_aside(run_ids: list[int]) -> None:
    # Redis that takes connections and hangs would cost a request its whole patience.
    threading.Thread(target=_announce, args=[run_ids], name="announce runs", daemon=True).start()


def announce_unless_pending(run_ids: list[int]) -> int:
    """Announce again what a lost message left behind; returns how many were announced."""
    return _announce(run_ids) if is_empty(QUEUE) else 0


def is_empty(queue: str) -> bool:
    """Whether Redis is there and no message waits in the queue.

    Only then is anything announced again: while all workers are busy for hours, or there is none, a
    message every few seconds and row would pile up. Those that wait make a worker look anyway.
    """
    try:
        with patient_connection() as connection:
            waiting = connection.default_channel.queue_declare(queue, passive=True).message_count
    except ChannelError:
        return True  # The queue exists only while something is in it.
    except AWAY as error:
        log.warning("Redis is away, nothing announced: %s", error)
        return False
    return not waiting


def _announce(run_ids: list[int]) -> int:
    sent = 0
    try:
        with patient_connection() as connection:
            for run_id in run_ids:
                task = "training.tasks.execute_run"
                app.send_task(task, args=[run_id], queue=QUEUE, connection=connection)
                sent += 1
    except AWAY as error:
        log.warning("runs %s not announced, beat will do it: %s", run_ids[sent:], error)
    return sent


def patient_connection() -> Connection:
    """One that gives up soon: a person's request may be waiting, and beat will do it again."""
    connection = app.connection_for_write()
    connection.transport_options = {
        **connection.transport_options,
        "socket_timeout": PATIENCE_SECONDS,
        "socket_connect_timeout": PATIENCE_SECONDS,
        "max_retries": 0,
    }
    return connection
