"""Keeps an attempt's lease alive from a thread of its own, whatever the worker is busy with.

When the lease cannot be renewed, because the run went to somebody else or because the database is
away for too long, a trainer on this host is killed at once: before another worker may start one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from django.conf import settings
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
)

from config import logs
from training.models import Attempt
from training.runs import scheduling
from training.runs.launchers import Launched

log = logging.getLogger(__name__)

T = TypeVar("T")
AGAIN_SECONDS = 0.5
GIVE_UP_SHARE = 2 / 3
"""Of the lease: without a renewal for so long, the worker ends its trainer by itself."""


class Heartbeat(threading.Thread):
    """Renews ``attempt``'s lease until the block ends; tells of cancelling and of loss."""

    def __init__(self, attempt: Attempt, *, claimed_at: float) -> None:
        super().__init__(name=f"heartbeat of attempt {attempt}", daemon=True)
        self.cancel_requested = threading.Event()
        self.lost = threading.Event()
        self._attempt = attempt
        self._renewed_at = claimed_at  # time.monotonic() from before the lease was written
        self._ended = threading.Event()
        self._trainer: Launched | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self.join()

    def watch(self, trainer: Launched) -> None:
        """From now on ``trainer`` hears of a lost lease, and each beat tells what it uses."""
        self._trainer = trainer
        if self.lost.is_set():
            trainer.lease_lost()

    def insist(self, work: Callable[[], T]) -> T:
        """Do ``work``, again and again while the database is away and the lease may still hold.

        Raises Fenced once it does not.
        """
        while True:
            try:
                return work()
            except (OperationalError, InterfaceError) as error:
                if self.lost.is_set():
                    raise scheduling.Fenced("the database was away for too long") from error
                log.warning("the database is away: %s", error)
                close_old_connections()
                time.sleep(AGAIN_SECONDS)

    def run(self) -> None:
        with logs.about(**self._attempt.log_fields):
            self._beat_until_ended()

    def _beat_until_ended(self) -> None:
        try:
            while not self._ended.wait(settings.RUN_HEARTBEAT_SECONDS) and not self.lost.is_set():
                self._beat()
        finally:
            connection.close()

    def _beat(self) -> None:
        asked_at = time.monotonic()
        try:
            usage = self._trainer.usage() if self._trainer is not None else None
            beat = scheduling.heartbeat(self._attempt, usage)
        except (DatabaseError, InterfaceError) as error:
            log.warning("attempt %s: lease not renewed: %s", self._attempt, error)
            connection.close()
            if asked_at - self._renewed_at > settings.RUN_LEASE_SECONDS * GIVE_UP_SHARE:
                self._lose("the database was away for too long")
            return
        if not beat.held:
            self._lose("the run is not this attempt's any more")
            return
        self._renewed_at = asked_at
        if beat.cancel_requested:
            self.cancel_requested.set()

    def _lose(self, reason: str) -> None:
        if self._ended.is_set():
            return  # The attempt has just ended in order, which is why it holds nothing.
        log.warning("attempt %s: lease lost: %s", self._attempt, reason)
        self.lost.set()
        if self._trainer is not None:
            self._trainer.lease_lost()
