"""Runs through a real Celery worker, and what is left when that worker is killed."""

import os
import signal
from pathlib import Path

import pytest

from tests.training.factories import make_run
from tests.training.processes import lives, wait_for, written_pid
from tests.training.workers import celery_worker
from training.models import Run, State
from training.runs import execution

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chain]


def state(run: Run) -> str:
    return Run.objects.values_list("state", flat=True).get(pk=run.pk)


def test_a_worker_carries_out_a_chain_that_was_asked_for_before_it_started(tmp_path: Path) -> None:
    first = make_run()
    last = make_run(kind="fake_ppo", after=first)
    with celery_worker(tmp_path):
        wait_for(lambda: Run.objects.get(pk=last.pk).ended)
    assert [state(first), state(last)] == [State.SUCCEEDED, State.SUCCEEDED]


def test_a_worker_told_to_end_saves_its_run_for_the_next_one(tmp_path: Path) -> None:
    script = {"steps": 40, "seconds_per_step": 0.1, "checkpoint_every": 1000}
    run = make_run(script=script, max_attempts=1)
    with celery_worker(tmp_path) as worker:
        wait_for(lambda: Run.objects.get(pk=run.pk).progress_done)
        os.kill(worker.pid, signal.SIGTERM)
        worker.wait(60)
    run.refresh_from_db()
    assert (run.state, run.max_attempts) == (State.QUEUED, 2)
    saved = run.checkpoints.get(final=False).step
    with celery_worker(tmp_path):
        wait_for(lambda: Run.objects.get(pk=run.pk).ended)
    assert state(run) == State.SUCCEEDED
    events = (execution.run_directory(run) / "events.jsonl").read_text()
    assert f"training from step {saved}" in events


def test_killing_the_worker_frees_everything_and_another_worker_resumes(tmp_path: Path) -> None:
    script = {"steps": 60, "seconds_per_step": 0.1, "checkpoint_every": 5, "helper": True}
    run = make_run(script=script)
    # With such a lease nobody but the worker's watchdog can free anything.
    with celery_worker(tmp_path, RUN_LEASE_SECONDS="3600") as worker:
        directory = execution.run_directory(run)
        pids = [written_pid(directory / name) for name in ("trainer-pid", "helper")]
        wait_for(lambda: run.checkpoints.exists())
        os.kill(worker.pid, signal.SIGKILL)
        wait_for(lambda: not [pid for pid in pids if lives(pid)], seconds=10)
        wait_for(lambda: state(run) == State.QUEUED)
    with celery_worker(tmp_path):
        wait_for(lambda: Run.objects.get(pk=run.pk).ended)
    assert state(run) == State.SUCCEEDED
    events = (directory / "events.jsonl").read_text().splitlines()
    stages = [line for line in events if '"stage"' in line]
    assert len(stages) == run.attempts.count() == 2
    assert "from step 0" not in stages[1]
