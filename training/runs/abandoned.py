"""Attempts whose worker died on this host, found at once instead of when their lease is over.

While a worker process carries out an attempt it holds a lock on a file named after the token. The
kernel lets go of the lock when the process ends, however it ends, so a file that nobody locks is
a worker that died. Only what sees the same RUNS_ROOT can judge that, which is this host: other
hosts, and an attempt without a file, have the lease.
"""

from __future__ import annotations

import fcntl
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings

from training.models import Attempt, State
from training.runs import launchers, scheduling
from training.runs.locks import try_lock

log = logging.getLogger(__name__)

HELD = "held"


def _folder() -> Path:
    return settings.RUNS_ROOT / HELD


@contextmanager
def alive(attempt: Attempt) -> Iterator[None]:
    """Within the block everybody on this host can see that the attempt's worker lives."""
    try:
        mark, path = _mark(attempt.token)
    except OSError as error:
        # A full disk, for instance. Then the lease alone tells, as for other hosts.
        log.warning("attempt %s: no mark in %s: %s", attempt, _folder(), error)
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(mark)


def _mark(token: uuid.UUID) -> tuple[int, Path]:
    _folder().mkdir(parents=True, exist_ok=True)
    path = _folder() / token.hex
    fresh = path.with_name(f".{token.hex}")
    mark = os.open(fresh, os.O_CREAT | os.O_RDWR, 0o600)
    # Locked before it can be seen, so that nobody ever finds it unlocked while we live.
    fcntl.flock(mark, fcntl.LOCK_EX)
    fresh.rename(path)
    return mark, path


def anything_held() -> bool:
    """Whether an attempt is going on here, or was and has not been given back."""
    return bool(_marks())


def is_held(token: uuid.UUID) -> bool:
    """Whether the attempt with this token is one of those."""
    return (_folder() / token.hex).exists()


def release() -> list[int]:
    """Take runs from workers that died on this host; returns the ids of those runs.

    What is left of their trainers is killed first. A trainer that would not end keeps its run
    until the lease is over.
    """
    found = (_release(path) for path in _marks())
    return [run_id for run_id in found if run_id is not None]


def _marks() -> list[Path]:
    there = list(_folder().iterdir()) if _folder().is_dir() else []
    return [path for path in there if not path.name.startswith(".")]


def _release(path: Path) -> int | None:
    try:
        mark = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        return _lose(path) if try_lock(mark) else None
    finally:
        os.close(mark)


def _lose(path: Path) -> int | None:
    attempt = Attempt.objects.filter(token=uuid.UUID(path.name), run__state=State.RUNNING).first()
    lost = None
    if attempt is not None and attempt.ended_at is None:
        directory = settings.RUNS_ROOT / str(attempt.run_id)
        if not launchers.of_this_worker().end_leftovers(directory):
            return None
        with suppress(scheduling.Fenced):
            scheduling.lose(attempt, f"its worker on {attempt.host} died")
            lost = attempt.run_id
            log.warning("run %s: the worker of attempt %s died", lost, attempt.number)
    path.unlink(missing_ok=True)
    return lost
