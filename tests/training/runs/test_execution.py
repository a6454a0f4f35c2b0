"""A claimed run carried out: real processes, real rows; only the training is pretended."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models.functions import Now

from tests.training.factories import make_run
from tests.training.processes import lives, wait_for, written_pid
from training.checkpoints import checkpoint_files, registry
from training.models import Attempt, Checkpoint, Metric, Run, Sample, State
from training.runs import (
    execution,
    kinds,
    scheduling,
    shutdown,
)
from training.runs.trainer import Trainer

pytestmark = pytest.mark.django_db(transaction=True)


def execute(run: Run) -> Run:
    execution.execute(run.pk)
    return Run.objects.get(pk=run.pk)


@contextmanager
def executing(run: Run) -> Iterator[threading.Thread]:
    """The run, carried out by a thread that has ended when the block has."""

    def work() -> None:
        try:
            execution.execute(run.pk)
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield worker
    finally:
        worker.join(60)
    assert not worker.is_alive()


def pid_in(run: Run, name: str) -> int:
    return written_pid(execution.run_directory(run) / name)


def test_a_run_succeeds_and_leaves_rows_and_a_checkpoint() -> None:
    run = execute(make_run(script={"steps": 4}))
    assert (run.state, run.error) == (State.SUCCEEDED, "")
    assert (run.progress_done, run.progress_total, run.progress_unit) == (4, 4, "step")
    losses = Metric.objects.filter(run=run).order_by("step").values_list("name", "step", "value")
    assert list(losses) == [("train/loss", step, 1 / step) for step in (1, 2, 3, 4)]
    sample = Sample.objects.filter(run=run).first()
    assert sample is not None
    assert (sample.step, sample.response, sample.facts) == (4, "It is 4.", ["a fact"])
    checkpoint = run.checkpoints.get()
    assert checkpoint.final
    assert checkpoint.kind == Checkpoint.Kind.REWARD_MODEL
    assert checkpoint.base == run.base
    assert checkpoint.metrics == {"held_out/accuracy": 0.75}
    with checkpoint_files.open_file(checkpoint, "adapter_model.safetensors") as stored:
        assert stored.read() == bytes([4]) * 64
    attempt = run.attempts.get()
    assert (attempt.outcome, attempt.host) == (State.SUCCEEDED, execution.host_name())


def test_the_directory_is_tidied_and_checkpoints_on_the_way_are_dropped() -> None:
    run = execute(make_run())
    left = {path.name for path in execution.run_directory(run).iterdir()}
    assert left <= execution.KEPT
    assert {"events.jsonl", "trainer.log"} <= left
    folder = Path(default_storage.path(f"checkpoints/run-{run.pk}"))
    stored = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.parent.name.partition("-")[0] for path in stored} == {"final"}


def test_a_failure_told_by_the_trainer_fails_the_run_with_its_message() -> None:
    run = execute(make_run(script={"fail_at": 3}))
    assert (run.state, run.error) == (State.FAILED, "the data is unusable")
    assert run.attempt_count == 1, "what fails by its data is not tried again"
    assert not run.checkpoints.filter(final=True).exists()


def test_a_trainer_that_dies_without_a_word_leaves_its_last_line() -> None:
    run = execute(make_run(script={"crash_at": 2}))
    assert run.state == State.FAILED
    assert run.error == "the trainer exited with code 3: Traceback: everything broke"
    assert "everything broke" in run.attempts.get().log_tail


def test_lines_that_are_no_events_are_skipped() -> None:
    run = execute(make_run(script={"garbage": True}))
    assert run.state == State.SUCCEEDED
    assert Metric.objects.filter(run=run).count() == 4


def test_a_killed_trainer_is_resumed_from_its_checkpoint_in_the_next_attempt() -> None:
    run = execute(make_run(script={"steps": 6, "checkpoint_every": 2, "kill_at": 5}))
    assert run.state == State.QUEUED
    assert run.attempts.get().reason == "the trainer was ended by signal 9"
    assert run.checkpoints.get().step == 4
    run = execute(run)
    assert run.state == State.SUCCEEDED
    stages = (execution.run_directory(run) / "events.jsonl").read_text()
    assert "training from step 4" in stages
    assert Metric.objects.filter(run=run, name="train/loss").count() == 6


@pytest.mark.parametrize(
    "ending", [{"last_signal": 15}, {"last_signal": 9}, {"last_signal": 6}, {"last_code": 1}]
)
def test_a_whole_result_is_taken_however_its_process_ended(ending: dict[str, Any]) -> None:
    run = execute(make_run(script=ending))
    assert (run.state, run.error, run.attempt_count) == (State.SUCCEEDED, "", 1)
    assert run.checkpoints.get().metrics == {"held_out/accuracy": 0.75}


def test_another_host_resumes_from_the_uploaded_checkpoint() -> None:
    run = execute(make_run(script={"steps": 6, "checkpoint_every": 2, "kill_at": 5}))
    shutil.rmtree(execution.run_directory(run))
    assert execute(run).state == State.SUCCEEDED
    assert "from step 4" in (execution.run_directory(run) / "events.jsonl").read_text()


def test_a_failure_of_an_earlier_attempt_is_not_taken_for_this_one() -> None:
    run = make_run(script={"steps": 2})
    execution._prepare(run)
    past = {"event": "error", "time": 1.0, "message": "long ago"}
    (execution.run_directory(run) / "events.jsonl").write_text(json.dumps(past) + "\n")
    assert execute(run).state == State.SUCCEEDED


def test_a_directory_of_another_run_with_the_same_number_is_not_used() -> None:
    run = make_run(script={"steps": 2})
    stranger = execution.run_directory(run)
    stranger.mkdir(parents=True)
    mark = {"run": run.pk, "created_at": "2020"}
    (stranger / "prepared.json").write_text(json.dumps(mark))
    (stranger / "foreign").touch()
    assert execute(run).state == State.SUCCEEDED
    assert not (stranger / "foreign").exists()


def test_cancelling_ends_the_trainer_and_all_its_helpers() -> None:
    run = make_run(script={"steps": 10_000, "seconds_per_step": 0.05, "helper": True})
    with executing(run):
        pids = [pid_in(run, "trainer-pid"), pid_in(run, "helper")]
        scheduling.cancel(run)
    run.refresh_from_db()
    assert run.state == State.CANCELLED
    assert not [pid for pid in pids if lives(pid)]


def test_a_cancelled_run_goes_on_from_where_it_was_stopped() -> None:
    script = {"steps": 10_000, "seconds_per_step": 0.05, "checkpoint_every": 10_000}
    run = make_run(script=script)
    with executing(run):
        wait_for(lambda: Run.objects.get(pk=run.pk).progress_done)
        scheduling.cancel(run)
    run.refresh_from_db()
    assert run.checkpoints.get(final=False).step == run.progress_done


def test_a_worker_that_is_stopped_gives_its_run_back_as_far_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(
        script={"steps": 10_000, "seconds_per_step": 0.05, "checkpoint_every": 10_000},
        max_attempts=1,
    )
    with executing(run):
        wait_for(lambda: Run.objects.get(pk=run.pk).progress_done)
        monkeypatch.setattr(shutdown, "asked", lambda: True)
    run.refresh_from_db()
    assert (run.state, run.attempt_count, run.max_attempts) == (State.QUEUED, 1, 2)
    assert run.attempts.get().reason == "its worker was stopped"
    assert run.checkpoints.get(final=False).step == run.progress_done
    execution.execute(run.pk)
    assert run.attempts.count() == 1


def test_a_worker_that_is_stopped_takes_in_what_fails_or_succeeds_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [make_run(script={"fail_at": 2}), make_run()]
    begin = Trainer.start

    def begin_and_stop_the_worker(*args: Any, **kwargs: Any) -> Trainer:
        trainer = begin(*args, **kwargs)
        trainer.wait(60)
        monkeypatch.setattr(shutdown, "asked", lambda: True)
        return trainer

    monkeypatch.setattr(Trainer, "start", begin_and_stop_the_worker)
    states = []
    for run in runs:
        monkeypatch.setattr(shutdown, "asked", lambda: False)
        states.append(execute(run).state)
    assert states == [State.FAILED, State.SUCCEEDED]


def test_a_trainer_deaf_to_sigterm_is_killed_after_the_grace(settings: Any) -> None:
    settings.RUN_STOP_SECONDS = 0.3
    run = make_run(script={"steps": 10_000, "seconds_per_step": 0.05, "deaf": True})
    with executing(run):
        pid = pid_in(run, "trainer-pid")
        scheduling.cancel(run)
    run.refresh_from_db()
    assert run.state == State.CANCELLED
    wait_for(lambda: not lives(pid))


def test_a_helper_that_outlives_a_finished_trainer_is_ended() -> None:
    run = make_run(script={"steps": 2, "helper": True, "seconds_per_step": 0.2})
    with executing(run):
        helper = pid_in(run, "helper")
    assert Run.objects.get(pk=run.pk).state == State.SUCCEEDED
    wait_for(lambda: not lives(helper))


def test_an_overtaken_attempt_kills_its_trainer_and_writes_nothing() -> None:
    run = make_run(script={"steps": 10_000, "seconds_per_step": 0.05})
    with executing(run):
        pid = pid_in(run, "trainer-pid")
        wait_for(lambda: Metric.objects.filter(run=run).exists())
        attempt = Attempt.objects.get(run=run)
        scheduling.lose(attempt, "taken away")
        seen = Metric.objects.filter(run=run).count()
    wait_for(lambda: not lives(pid))
    assert Metric.objects.filter(run=run).count() == seen
    run.refresh_from_db()
    assert run.state == State.QUEUED


def test_a_worker_whose_heart_stops_does_not_disturb_its_successor(settings: Any) -> None:
    settings.RUN_HEARTBEAT_SECONDS = 60
    run = make_run(script={"steps": 100, "seconds_per_step": 0.05, "checkpoint_every": 5})
    with executing(run):
        wait_for(lambda: Metric.objects.filter(run=run).exists())
        Attempt.objects.filter(run=run).update(
            lease_expires_at=Now() - timedelta(seconds=1), ended_at=None
        )
        scheduling.reap()
    assert execute(run).state == State.SUCCEEDED
    assert run.attempts.count() == 2
    assert run.checkpoints.filter(final=True).count() == 1


def test_the_trainer_learns_no_secret_of_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "canary")
    monkeypatch.setenv("DATABASE_URL_COPY", "canary")
    monkeypatch.setenv("HF_HOME", "/models")
    monkeypatch.setenv("SAMPLER_SERVERS", "http://gpu7:8000")
    run = make_run(script={"kill_at": 1})
    execute(run)
    environment = json.loads((execution.run_directory(run) / "environment.json").read_text())
    assert "canary" not in environment.values()
    assert environment["HF_HOME"] == "/models"
    assert environment["SAMPLER_SERVERS"] == "http://gpu7:8000"


def test_gpus_of_the_claim_are_those_the_trainer_sees(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WORKER_GPUS = 3
    settings.TRAINER_THREADS = 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    other = make_run(gpus=1)
    scheduling.claim(other.pk, host=execution.host_name(), gpus=3)
    run = make_run(gpus=2, script={"kill_at": 1})
    execute(run)
    environment = json.loads((execution.run_directory(run) / "environment.json").read_text())
    assert environment["CUDA_VISIBLE_DEVICES"] == "5,6"
    assert environment["OMP_NUM_THREADS"] == "2"


def test_a_run_without_gpus_sees_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    run = make_run(script={"kill_at": 1})
    execute(run)
    environment = json.loads((execution.run_directory(run) / "environment.json").read_text())
    assert environment["CUDA_VISIBLE_DEVICES"] == ""


def test_a_chain_hands_its_checkpoints_on() -> None:
    reward = make_run()
    ppo = make_run(kind="fake_ppo", after=reward)
    evaluation = make_run(kind="fake_evaluation", after=ppo)
    for run in (reward, ppo, evaluation):
        assert execute(run).state == State.SUCCEEDED
    ppo.refresh_from_db()
    evaluation.refresh_from_db()
    assert ppo.reward_model == reward.checkpoints.get()
    assert evaluation.policy == ppo.checkpoints.get()
    assert evaluation.reward_model is None
    assert not evaluation.checkpoints.exists()
    assert evaluation.metrics.get(name="answers").value == 2
    roles = [(ancestor.role, ancestor.item) for ancestor in registry.lineage(evaluation.policy)]
    assert roles == [("reward model", ppo.reward_model), ("base", reward.base)]


def test_results_that_cannot_be_taken_in_fail_the_run() -> None:
    run = execute(make_run(kind="fake_evaluation", script={"refuse": True}))
    assert (run.state, run.error) == (State.FAILED, "an answer is missing")


def test_nothing_is_stored_for_good_by_an_attempt_that_lost_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(script={"steps": 2, "checkpoint_every": 9})
    honest = scheduling.finish

    def overtaken(attempt: Attempt) -> None:
        honest(attempt)
        raise scheduling.Fenced("somebody was quicker")

    monkeypatch.setattr(scheduling, "finish", overtaken)
    run = execute(run)
    assert run.state == State.RUNNING
    assert not run.checkpoints.exists()
    folder = Path(default_storage.path(f"checkpoints/run-{run.pk}"))
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_second_trainer_in_one_directory_is_impossible() -> None:
    """An orphan of an earlier attempt is ended before the next one starts."""
    run = make_run(script={"steps": 10_000, "seconds_per_step": 0.05})
    directory = execution._prepare(run)
    orphan = Trainer.start(kinds.get(run.kind).command(run, directory), directory, gpus=[])
    pid = pid_in(run, "trainer-pid")
    (directory / "data/script.json").write_text('{"steps": 2}')
    try:
        assert execute(run).state == State.SUCCEEDED
        wait_for(lambda: not lives(pid))
    finally:
        orphan.close()


def test_killing_the_worker_kills_trainer_and_helpers(tmp_path: Path) -> None:
    run = make_run(script={"steps": 10_000, "seconds_per_step": 0.05, "helper": True})
    connection.close()
    worker = os.fork()
    if worker == 0:
        try:
            execution.execute(run.pk)
        finally:
            os._exit(0)
    pids = [pid_in(run, "trainer-pid"), pid_in(run, "helper")]
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    wait_for(lambda: not [pid for pid in pids if lives(pid)])
    assert Run.objects.get(pk=run.pk).state == State.RUNNING
    Attempt.objects.filter(run=run).update(lease_expires_at=Now() - timedelta(seconds=1))
    scheduling.reap()
    assert Run.objects.get(pk=run.pk).state == State.QUEUED
