"""Telling workers that there is work: hints over Redis that may be lost without harm.

A row is the truth. Whatever is not delivered here is announced again by beat, so no request waits
for Redis or fails because of it: its hints are sent from a thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.db import transaction
from kombu import Connection
from kombu.exceptions import ChannelError, OperationalError
from redis.exceptions import RedisError

from config.celery import app

AWAY = (OperationalError, RedisError, OSError)
PATIENCE_SECONDS = 0.1
log = logging.getLogger(__name__)


def after_commit(task: str, *ids: int, **options: Any) -> None:
    """Announce rows to workers once this transaction is durable; ``options`` as of send_task."""

    # A function: Django tells of a hook that failed by its name, which a partial has not.
    def announcing() -> None:
        announce_aside(task, ids, **options)

    transaction.on_commit(announcing, robust=True)


def announce_aside(task: str, ids: Iterable[int], **options: Any) -> None:
    """As ``announce``, from a thread: Redis that hangs would cost a request its whole patience."""
    send = partial(announce, task, ids, **options)
    threading.Thread(target=send, name="announce", daemon=True).start()


def announce(task: str, ids: Iterable[int], **options: Any) -> int:
    """One message per row; returns how many were sent, all of them unless Redis is away."""
    ids, sent = list(ids), 0
    try:
        with patient_connection() as connection:
            options = {"queue": queue_of(task), "connection": connection, **options}
            for pk in ids:
                app.send_task(task, args=[pk], **options)
                sent += 1
    except AWAY as error:
        log.warning("%s %s not announced, beat will do it: %s", task, ids[sent:], error)
    return sent


def announce_unless_pending(task: str, ids: Iterable[int]) -> int:
    """Announce again what a lost message left behind; returns how many were announced."""
    ids = list(ids)
    return announce(task, ids) if ids and is_empty(queue_of(task)) else 0


def is_empty(queue: str) -> bool:
    """Whether Redis is there and no message waits in the queue.

    Only then is anything announced again: while all workers are busy for hours, or there is none, a
    message every few seconds and row would pile up.
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


def queue_of(task: str) -> str:
    """The queue to which the settings route a task."""
    return str(app.amqp.router.route({}, task)["queue"].name)


def patient_connection() -> Connection:
    """One that gives up soon: somebody may be waiting, and beat will do it again."""
    connection = app.connection_for_write()
    connection.transport_options = {
        **connection.transport_options,
        "socket_timeout": PATIENCE_SECONDS,
        "socket_connect_timeout": PATIENCE_SECONDS,
        "max_retries": 0,
    }
    return connection
