"""A process beside each worker that outlives it just long enough to give back what it held.

A worker that is killed cannot say so, and the one that takes its place first has to load Celery
and Django: seconds, on a busy host half a minute. The watchdog is forked from the worker as it
starts, so it has everything loaded. It looks every second which attempts of this host have lost
their worker (``training.runs.abandoned``), and at once when its own worker ends. When nothing is
held any more it ends as well; without it the lease decides. Each hour it also clears the host's
disk of what runs left (``training.runs.host_cleanup``), from a thread, so that looking goes on.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from training.runs import abandoned, host_cleanup

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
HURRIED_LOOK_SECONDS = 0.1
JOIN_SECONDS = 5.0
FIRST_CLEARING_SECONDS = 300.0
CLEARING_SECONDS = 3600.0


def start() -> int:
    """Fork the watchdog of this process; returns its process id.

    Call it before the process has threads or connections: a fork takes locks along as they are.
    """
    worker_ended = os.pidfd_open(os.getpid())
    watchdog = os.fork()
    if watchdog == 0:
        try:
            _become(worker_ended)
        finally:
            os._exit(0)
    os.close(worker_ended)
    return watchdog


def _become(worker_ended: int) -> None:
    # What is signalled to the worker's group or service is not for the watchdog: it ends by itself.
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    # An inherited connection is the worker's: closing it here would end it there.
    connection.connection = None
    ended = threading.Event()
    threading.Thread(target=_clear_now_and_then, args=[ended], daemon=True).start()
    try:
        watch(worker_ended)
    except Exception:
        log.exception("the watchdog of a worker failed")
    ended.set()
    for thread in threading.enumerate():  # Runs that were given back are being announced.
        if thread is not threading.current_thread():
            thread.join(JOIN_SECONDS)


def watch(worker_ended: int) -> None:
    """Look every second until the process behind ``worker_ended`` (a pidfd) ends; then until
    nothing is held on this host, or for as long as a lease lasts."""
    look()
    while not select.select([worker_ended], [], [], LOOK_SECONDS)[0]:
        look()
    lease_over = time.monotonic() + settings.RUN_LEASE_SECONDS
    look()
    while abandoned.anything_held() and time.monotonic() < lease_over:
        time.sleep(HURRIED_LOOK_SECONDS)
        look()


def look() -> None:
    """``abandoned.release``; what hinders it now is tried again with the next look."""
    try:
        abandoned.release()
    except (DatabaseError, InterfaceError, OSError) as error:
        log.warning("what dead workers held is not free yet: %s", error)
    finally:
        connection.close()


def _clear_now_and_then(ended: threading.Event) -> None:
    pause = FIRST_CLEARING_SECONDS
    while not ended.wait(pause):
        pause = CLEARING_SECONDS
        try:
            host_cleanup.clear()
        except Exception as error:
            log.warning("the disk is not cleared now, in an hour again: %s", error)
        finally:
            connection.close()
