"""What a killed worker held is given back by the watchdog that it leaves."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection

from tests.training.factories import make_run
from tests.training.processes import lives, wait_for, written_pid
from training.models import GpuSlot, Run, State
from training.runs import abandoned, execution, host_cleanup, scheduling, worker_watchdog

pytestmark = pytest.mark.django_db(transaction=True)

ENDLESS = {"steps": 1000, "seconds_per_step": 0.05, "helper": True}


def state(run: Run) -> str:
    return Run.objects.values_list("state", flat=True).get(pk=run.pk)


@contextmanager
def worker_with_watchdog(run: Run, said: Path) -> Iterator[tuple[int, int]]:
    """A process that leaves a watchdog and carries ``run`` out, and the watchdog's id. The block
    ends when both have."""
    connection.close()
    ended, inherited = os.pipe()
    worker = os.fork()
    if worker == 0:
        try:
            os.close(ended)
            os.setpgid(0, 0)
            said.write_text(str(worker_watchdog.start()))
            execution.execute(run.pk)
        finally:
            os._exit(0)
    os.close(inherited)
    try:
        yield worker, written_pid(said)
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        assert os.read(ended, 1) == b""
        os.close(ended)


def test_run_and_gpu_are_free_when_the_worker_dies_though_its_group_is_told_to_end(
    settings: Any, tmp_path: Path
) -> None:
    settings.WORKER_GPUS, settings.RUN_LEASE_SECONDS = 1, 3600
    run = make_run(script=ENDLESS, gpus=1)
    with worker_with_watchdog(run, tmp_path / "watchdog") as (worker, watching):
        directory = execution.run_directory(run)
        pids = [written_pid(directory / name) for name in ("trainer-pid", "helper")]
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(watching, number)
        assert os.getsid(watching) != os.getsid(worker)
        os.killpg(worker, signal.SIGKILL)
        wait_for(lambda: state(run) == State.QUEUED)
        assert GpuSlot.objects.get().attempt is None
        assert not [pid for pid in pids if lives(pid)]
        wait_for(lambda: not lives(watching))
    assert run.attempts.get().reason == f"its worker on {execution.host_name()} died"


def test_it_ends_with_a_worker_that_held_nothing(settings: Any, tmp_path: Path) -> None:
    settings.RUN_LEASE_SECONDS = 3600
    run = make_run(script={"steps": 1})
    with worker_with_watchdog(run, tmp_path / "watchdog") as (_, watching):
        wait_for(lambda: state(run) == State.SUCCEEDED)
        wait_for(lambda: not lives(watching))


def test_an_absence_of_the_database_is_outlived(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    attempt = scheduling.claim(run.pk, host=execution.host_name(), gpus=0)
    assert attempt is not None
    mark, _ = abandoned._mark(attempt.token)
    os.close(mark)
    honest, refusals = scheduling.lose, iter([True])

    def away_at_first(*args: Any) -> State:
        if next(refusals, False):
            raise OperationalError("no route to host")
        return honest(*args)

    monkeypatch.setattr(scheduling, "lose", away_at_first)
    worker_watchdog.look()
    assert (state(run), abandoned.anything_held()) == (State.RUNNING, True)
    worker_watchdog.look()
    assert (state(run), abandoned.anything_held()) == (State.QUEUED, False)


def test_it_leaves_a_living_worker_of_the_host_alone_and_waits_no_longer_than_a_lease(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RUN_LEASE_SECONDS = 0.05
    run = make_run()
    attempt = scheduling.claim(run.pk, host=execution.host_name(), gpus=0)
    assert attempt is not None
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    ended = os.pidfd_open(gone)
    with abandoned.alive(attempt):
        worker_watchdog.watch(ended)
    os.close(ended)
    os.waitpid(gone, 0)
    assert state(run) == State.RUNNING


def test_the_disk_is_cleared_again_though_it_failed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_watchdog, "FIRST_CLEARING_SECONDS", 0)
    monkeypatch.setattr(worker_watchdog, "CLEARING_SECONDS", 0)
    ended = threading.Event()
    tries: list[int] = []

    def clear() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("the disk is away")
        ended.set()
        return 0

    monkeypatch.setattr(host_cleanup, "clear", clear)
    worker_watchdog._clear_now_and_then(ended)
    assert len(tries) == 2
