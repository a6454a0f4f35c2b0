"""Every change of a run's state, on the database's clock; whoever gets 0 rows lost the race.

::

                         cancel                     cancel (flag), worker obeys
              +-------------------------+     +----------------------------------+
              v                         |     |                                  v
    request -> queued ---- claim ----> running ---- finish ----> succeeded    cancelled
               ^  |                    | |  |
               |  |  its ``after``     | |  +---- fail ---------> failed
               |  +--ended badly-------|-|----------------------> failed | cancelled
               |                       | |
               +--- attempts remain ---+ +-- none remain -------> lost
                   (lease expired, or the trainer was killed)

``give_back`` leads from running to queued too, when a worker is asked to end.

``resume`` leads back from failed, cancelled and lost to queued, at a person's request.

A claim gives an Attempt with a fencing token and a lease. Every later write of the worker goes
through ``holding``, which locks the run's row if the token is still the run's; a write with an old
token raises ``Fenced`` and changes nothing. Redis is only told, in ``config.wakeup``.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Case, CharField, DateTimeField, F, Q, Value, When
from django.db.models.functions import Greatest, Now

from config import logs, sanitising, wakeup
from training.models import ENDED_BADLY, Attempt, GpuSlot, Run, RunQuerySet, State
from training.runs import notices

log = logging.getLogger(__name__)

EXECUTE = "training.tasks.execute_run"
NOT_STARTED = "not started: "
ATTEMPTS_OF_A_RESUMED_RUN = 3


class Fenced(Exception):
    """The attempt no longer holds its run: somebody cancelled it, reaped it or took it over."""


class ParentEnded(ValueError):
    """A run was asked for after one that has ended without success."""


@dataclass(frozen=True)
class Beat:
    """What a heartbeat learnt."""

    held: bool
    cancel_requested: bool


def lease() -> timedelta:
    """How long a worker may be silent before its run is given to another."""
    return timedelta(seconds=settings.RUN_LEASE_SECONDS)


# --------------------------------------------------------------------------------------------
# Asking
# --------------------------------------------------------------------------------------------


def enqueue(run: Run) -> Run:
    """Insert a new, validated run as queued and wake workers once it is durable.

    Returns at once even when Redis is away. Raises ParentEnded when ``run.after`` has ended
    without success: such a run could never start.
    """
    with transaction.atomic():
        if run.after_id is not None:
            # The lock keeps the parent from ending between this look and the insert.
            parent = Run.objects.select_for_update().get(pk=run.after_id)
            if parent.state in ENDED_BADLY:
                raise ParentEnded(f"{parent.name} has {parent.state}: nothing can come after it")
        run.state = State.QUEUED
        run.request_id = logs.request_id()
        run.save(force_insert=True)
        _wake([run.pk])
    return run


def _wake(run_ids: list[int]) -> None:
    ready = list(Run.objects.ready().filter(pk__in=run_ids).values_list("pk", flat=True))
    if ready:
        wakeup.after_commit(EXECUTE, *ready)


@transaction.atomic
def resume(run: Run) -> bool:
    """failed, lost or cancelled -> queued, with attempts to spare: it goes on from its last
    checkpoint. What ended because of it waits for it again.

    False when it has not ended like that, or when the run it comes after has.
    """
    parents = Run.objects.filter(followers=run).select_for_update()
    if any(parent.state in ENDED_BADLY for parent in parents):
        return False
    resumed = _queue_again(Run.objects.filter(pk=run.pk))
    ids = list(resumed)
    while ids:
        waited = Run.objects.filter(after__in=ids, attempt_count=0, error__startswith=NOT_STARTED)
        ids = _queue_again(waited)
    run.refresh_from_db()
    _wake(resumed)
    return bool(resumed)


def _queue_again(runs: RunQuerySet) -> list[int]:
    ids = list(runs.filter(state__in=ENDED_BADLY).select_for_update().values_list("pk", flat=True))
    Run.objects.filter(pk__in=ids).update(
        state=State.QUEUED,
        finished_at=None,
        cancel_requested_at=None,
        archived_at=None,
        error="",
        stage="",
        request_id=logs.request_id(),
        max_attempts=Greatest(F("max_attempts"), F("attempt_count") + ATTEMPTS_OF_A_RESUMED_RUN),
    )
    return ids


def announce_ready() -> int:
    """Wake workers for what is ready and unclaimed; returns how many runs were announced."""
    ready = Run.objects.ready().values_list("pk", flat=True)
    return wakeup.announce_unless_pending(EXECUTE, ready)


# --------------------------------------------------------------------------------------------
# Holding a run
# --------------------------------------------------------------------------------------------


@transaction.atomic
def claim(run_id: int, *, host: str, gpus: int | None) -> Attempt | None:
    """Take a ready run for this process, with the GPUs it asks for; None when that cannot be.

    ``gpus`` is how many the host offers, None where a cluster gives them (``launchers``).
    Concurrent claims skip each other's rows: one gets it.
    """
    fits = Q() if gpus is None else Q(gpus__lte=gpus)
    run = (
        Run.objects.ready()
        .filter(fits, pk=run_id)
        .select_for_update(skip_locked=True, of=("self",))
        .first()
    )
    if run is None:
        return None
    slots = _free_slots(host, gpus)[: run.gpus] if gpus is not None else []
    if gpus is not None and len(slots) < run.gpus:
        return None
    token = uuid.uuid4()
    taken = Run.objects.filter(pk=run.pk, state=State.QUEUED).update(
        state=State.RUNNING,
        token=token,
        attempt_count=F("attempt_count") + 1,
        started_at=Case(
            When(started_at=None, then=Now()), default="started_at", output_field=DateTimeField()
        ),
        stage="claimed by a worker",
        error="",
    )
    if not taken:
        return None
    attempt = Attempt.objects.create(
        run=run,
        number=run.attempt_count + 1,
        token=token,
        host=host,
        pid=os.getpid(),
        claimed_at=Now(),
        heartbeat_at=Now(),
        lease_expires_at=Now() + lease(),
    )
    GpuSlot.objects.filter(pk__in=[slot.pk for slot in slots]).update(attempt=attempt)
    return Attempt.objects.select_related("run").get(pk=attempt.pk)


def _free_slots(host: str, gpus: int) -> list[GpuSlot]:
    if not gpus:
        return []
    GpuSlot.objects.bulk_create(
        [GpuSlot(host=host, index=index) for index in range(gpus)], ignore_conflicts=True
    )
    free = GpuSlot.objects.filter(host=host, index__lt=gpus, attempt=None)
    # Claims of one host wait for one another here: skipping what another has only looked at would
    # leave a run queued beside GPUs that stay free.
    return list(free.select_for_update().order_by("index"))


def release_gpus(attempt: Attempt) -> None:
    """The trainer is gone: others may have its GPUs while its result is stored."""
    GpuSlot.objects.filter(attempt=attempt).update(attempt=None)


def heartbeat(attempt: Attempt, usage: dict[str, Any] | None = None) -> Beat:
    """Renew the lease and note what the trainer uses; ``held`` is False when the run has gone to
    somebody else."""
    noted = {"usage": usage} if usage else {}
    renewed = Attempt.objects.filter(
        pk=attempt.pk, ended_at=None, run__state=State.RUNNING, run__token=attempt.token
    ).update(heartbeat_at=Now(), lease_expires_at=Now() + lease(), **noted)
    if not renewed:
        return Beat(held=False, cancel_requested=False)
    requested = Run.objects.values_list("cancel_requested_at", flat=True).get(pk=attempt.run_id)
    return Beat(held=True, cancel_requested=requested is not None)


@contextmanager
def holding(attempt: Attempt) -> Iterator[Run]:
    """A transaction in which the attempt surely holds its run, whose row is locked.

    Raises Fenced when the token is not the run's any more; nothing is written then.
    """
    with transaction.atomic():
        run = (
            Run.objects.select_for_update()
            .filter(pk=attempt.run_id, state=State.RUNNING, token=attempt.token)
            .first()
        )
        if run is None:
            raise Fenced(f"attempt {attempt} no longer holds its run")
        yield run


def tell(attempt: Attempt, stage: str) -> None:
    """Say what the run is at, for people. Raises Fenced."""
    with holding(attempt) as run:
        Run.objects.filter(pk=run.pk).update(stage=stage[:200])


# --------------------------------------------------------------------------------------------
# Ending
# --------------------------------------------------------------------------------------------


def finish(attempt: Attempt) -> None:
    """running -> succeeded, and wake what comes after. Call within ``holding``'s transaction."""
    _end(attempt, State.SUCCEEDED, reason="")
    _wake(list(Run.objects.waiting_on([attempt.run_id]).values_list("pk", flat=True)))


@transaction.atomic
def fail(attempt: Attempt, reason: str) -> None:
    """running -> failed: trying again would fail again. What comes after fails too."""
    _end(attempt, State.FAILED, reason=reason)
    _end_followers([attempt.run_id])


@transaction.atomic
def stopped(attempt: Attempt) -> None:
    """running -> cancelled, once the trainer is gone."""
    _end(attempt, State.CANCELLED, reason="")
    _end_followers([attempt.run_id])


@transaction.atomic
def lose(attempt: Attempt, reason: str) -> State:
    """The trainer vanished: back to queued while attempts remain, else lost. Returns which."""
    run = Run.objects.select_for_update().get(pk=attempt.run_id)
    if run.cancel_requested_at is not None:
        state = State.CANCELLED
    elif run.attempt_count < run.max_attempts:
        state = State.QUEUED
    else:
        state = State.LOST
    _end(attempt, state, reason=reason)
    if state is State.QUEUED:
        _wake([attempt.run_id])
    else:
        _end_followers([attempt.run_id])
    return state


@transaction.atomic
def give_back(attempt: Attempt, reason: str) -> None:
    """running -> queued: the worker was asked to end. That costs the run none of its attempts."""
    Run.objects.filter(pk=attempt.run_id).update(max_attempts=F("max_attempts") + 1)
    if lose(attempt, reason) is State.QUEUED:
        Attempt.objects.filter(pk=attempt.pk).update(outcome=State.QUEUED)


def _end(attempt: Attempt, state: State, *, reason: str) -> None:
    reason = sanitising.reason(reason)
    ended = Run.objects.filter(pk=attempt.run_id, state=State.RUNNING, token=attempt.token).update(
        state=state,
        token=None,
        finished_at=None if state is State.QUEUED else Now(),
        error="" if state is State.QUEUED else reason,
        stage=f"waiting for another worker: {reason}"[:200] if state is State.QUEUED else "",
    )
    if not ended:
        raise Fenced(f"attempt {attempt} no longer holds its run")
    outcome = State.LOST if state is State.QUEUED else state
    Attempt.objects.filter(pk=attempt.pk).update(ended_at=Now(), outcome=outcome, reason=reason)
    GpuSlot.objects.filter(attempt=attempt).update(attempt=None)
    notices.of_end(attempt, state)


@transaction.atomic
def cancel(run: Run) -> bool:
    """Queued: cancelled at once. Running: a flag that its worker obeys. False when it has ended."""
    queued = When(state=State.QUEUED, then=Value(State.CANCELLED.value))
    changed = Run.objects.filter(pk=run.pk, state__in=(State.QUEUED, State.RUNNING)).update(
        cancel_requested_at=Now(),
        state=Case(queued, default=F("state"), output_field=CharField()),
        finished_at=Case(
            When(state=State.QUEUED, then=Now()), default=None, output_field=DateTimeField()
        ),
        stage=Case(
            When(state=State.QUEUED, then=Value("")),
            default=Value("stopping"),
            output_field=CharField(),
        ),
    )
    cancelled_at_once = Run.objects.filter(pk=run.pk, state=State.CANCELLED).exists()
    if changed and cancelled_at_once:
        _end_followers([run.pk])
    run.refresh_from_db()
    return bool(changed)


def _end_followers(run_ids: list[int]) -> None:
    """End everything queued that waits, however indirectly, for runs that ended badly."""
    parents = list(Run.objects.filter(pk__in=run_ids))
    while parents:
        ended: list[int] = []
        for parent in parents:
            waiting = Run.objects.waiting_on([parent.pk])
            ids = list(waiting.select_for_update().values_list("pk", flat=True))
            cancelled = parent.state == State.CANCELLED
            Run.objects.filter(pk__in=ids, state=State.QUEUED).update(
                state=State.CANCELLED if cancelled else State.FAILED,
                finished_at=Now(),
                error=f"{NOT_STARTED}{parent.name} (run {parent.pk}) {_ending(parent)}",
            )
            ended += ids
        parents = list(Run.objects.filter(pk__in=ended))


def _ending(parent: Run) -> str:
    words = {State.CANCELLED: "was cancelled", State.LOST: "was lost"}
    return words.get(State(parent.state), "failed")


def reap() -> list[int]:
    """Take runs from workers whose lease has expired; returns the ids of those runs."""
    silent = Run.objects.with_expired_lease(Now()).values_list("pk", flat=True)
    return [run_id for run_id in list(silent) if _reap_alone(run_id)]


def _reap_alone(run_id: int) -> bool:
    """One run that cannot be taken from its worker keeps no other from it."""
    try:
        return _reap(run_id)
    except (DatabaseError, ValueError):
        log.exception("run %s could not be taken from its worker", run_id)
        return False


@transaction.atomic
def _reap(run_id: int) -> bool:
    # Run first, then attempt: the order in which every ending locks them. The lease is looked at
    # again under the lock, where a heartbeat can no longer renew it unnoticed.
    run = Run.objects.select_for_update().filter(pk=run_id, state=State.RUNNING).first()
    if run is None or run.token is None:
        return False
    expired = Attempt.objects.filter(run=run, token=run.token, lease_expires_at__lt=Now())
    attempt = expired.select_for_update().first()
    if attempt is None:
        return False
    lose(attempt, f"no word from {attempt.host} within the lease")
    return True
