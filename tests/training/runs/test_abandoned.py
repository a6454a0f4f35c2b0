"""Workers that die on this host are noticed at once, living ones never."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.training.factories import make_run
from tests.training.processes import lives, written_pid
from training.models import Attempt, GpuSlot, Run, State
from training.runs import abandoned, execution, scheduling, trainer

pytestmark = pytest.mark.django_db(transaction=True)

ENDLESS = {"steps": 10_000, "seconds_per_step": 0.05, "helper": True}


def state(run: Run) -> str:
    return Run.objects.values_list("state", flat=True).get(pk=run.pk)


def marks() -> list[Path]:
    return list((execution.run_directory(Run(pk=0)).parent / abandoned.HELD).glob("*"))


@contextmanager
def worker_process(run: Run) -> Iterator[int]:
    """A process of its own that carries the run out; ended with the block."""
    connection.close()
    worker = os.fork()
    if worker == 0:
        try:
            execution.execute(run.pk)
        finally:
            os._exit(0)
    try:
        yield worker
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)


def claimed(run: Run) -> Attempt:
    attempt = scheduling.claim(run.pk, host=execution.host_name(), gpus=0)
    assert attempt is not None
    return attempt


def test_what_a_killed_worker_held_is_free_again_before_its_lease_is_over(settings: Any) -> None:
    settings.WORKER_GPUS = 1
    run = make_run(script=ENDLESS, gpus=1)
    with worker_process(run):
        directory = execution.run_directory(run)
        pids = [written_pid(directory / name) for name in ("trainer-pid", "helper")]
        assert abandoned.release() == []
        assert state(run) == State.RUNNING
    assert abandoned.release() == [run.pk]
    assert not [pid for pid in pids if lives(pid)]
    assert state(run) == State.QUEUED
    assert GpuSlot.objects.get().attempt is None
    assert run.attempts.get().reason == f"its worker on {execution.host_name()} died"
    assert not marks()


def test_an_attempt_in_this_very_process_is_alive_until_it_ends() -> None:
    run = make_run()
    attempt = claimed(run)
    with abandoned.alive(attempt):
        assert len(marks()) == 1
        assert abandoned.release() == []
    assert not marks()
    assert abandoned.release() == []
    assert state(run) == State.RUNNING, "without a mark only the lease tells"


def test_a_mark_of_an_attempt_that_has_ended_is_only_removed() -> None:
    run = make_run()
    attempt = claimed(run)
    mark, _ = abandoned._mark(attempt.token)
    os.close(mark)
    scheduling.fail(attempt, "the data is unusable")
    assert abandoned.release() == []
    assert (state(run), marks()) == (State.FAILED, [])


def test_a_run_that_went_to_another_worker_stays_there() -> None:
    run = make_run()
    mark, _ = abandoned._mark(claimed(run).token)
    os.close(mark)
    scheduling.lose(run.attempts.get(), "no word")
    successor = claimed(run)
    assert abandoned.release() == []
    assert scheduling.heartbeat(successor).held


def test_a_trainer_that_would_not_end_keeps_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "LOCK_SECONDS", 0.1)
    run = make_run()
    attempt = claimed(run)
    mark, _ = abandoned._mark(attempt.token)
    os.close(mark)
    directory = execution.run_directory(run)
    directory.mkdir(parents=True)
    with (directory / trainer.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert abandoned.release() == []
        assert state(run) == State.RUNNING
    assert abandoned.release() == [run.pk]


def test_a_run_goes_on_where_no_mark_can_be_made(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings.RUNS_ROOT = tmp_path / "file"
    with abandoned.alive(claimed(make_run())):
        pass
