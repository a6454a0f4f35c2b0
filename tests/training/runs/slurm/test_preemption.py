"""A job that Slurm preempts, requeues or loses, or whose worker goes: its run goes on."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

from annotation.exporting import make_release
from tests.training.factories import make_common, make_run
from tests.training.labelled import labelled_project
from tests.training.processes import wait_for
from tests.training.rlhf import tiny
from tests.training.runs.slurm.jobs import (
    LONG,
    administrator,
    go_on,
    job_of,
    page_of,
    stage_of,
    stand_still,
    start_soon,
    started_by,
    starts_of,
    trains,
    urgent,
)
from tests.training.runs.test_execution import execute, executing
from tests.training.slurm_cluster import Cluster, needs_slurm
from training.checkpoints import checkpoint_files, registry
from training.models import Metric, Run, State
from training.runs import execution, in_job, requests, shutdown
from training.runs.launchers import slurm_commands
from training.runs.requests import Step

pytestmark = [pytest.mark.django_db(transaction=True), needs_slurm]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "for the second time, since its node was lost, or it was ended before it had saved"),
        (["--no-requeue"], "was lost with its node"),
    ],
)
def test_a_job_whose_node_is_lost_says_so_and_goes_on_from_its_checkpoint(
    cluster: Cluster, settings: Any, options: list[str], words: str
) -> None:
    settings.SLURM_OPTIONS = options
    run = make_run(script={"steps": 120, "seconds_per_step": 0.05, "checkpoint_every": 5})
    with executing(run):
        wait_for(lambda: Run.objects.get(pk=run.pk).progress_done >= 5)
        lost = stand_still(run)
        cluster.lose_node(0)
        if not options:
            start_soon(lost)  # It waits for the node, not for the two minutes of a requeued job.
        told = wait_for(lambda: "nodes that it needs are down" in stage_of(run) and page_of(run))
        cluster.bring_node_back(0)
    run.refresh_from_db()
    assert (run.state, run.error, run.attempt_count) == (State.SUCCEEDED, "", 1)
    assert words in told
    # Slurm itself may end the requeued job once more, when it hears of the node again.
    assert starts_of(run) >= 2


def test_a_job_that_slurm_preempts_goes_on_from_its_last_checkpoint() -> None:
    run = make_run(script={"steps": 120, "seconds_per_step": 0.05, "checkpoint_every": 5})
    with executing(run):
        wait_for(lambda: Run.objects.get(pk=run.pk).progress_done >= 5)
        job = stand_still(run)
        again = "waits in the queue, for the second time, since it was preempted: "
        with urgent():
            wait_for(lambda: again in stage_of(run))
        start_soon(job)
    run.refresh_from_db()
    assert (run.state, run.error) == (State.SUCCEEDED, "")
    assert run.attempt_count == 1
    assert Metric.objects.filter(run=run, name="train/loss").count() == 120
    assert starts_of(run) == 2


def test_a_job_told_to_end_by_slurm_is_submitted_again_and_goes_on() -> None:
    run = make_run(script={"steps": 120, "seconds_per_step": 0.05, "checkpoint_every": 5})
    with executing(run):
        wait_for(lambda: Run.objects.get(pk=run.pk).progress_done >= 5)
        job = stand_still(run)
        slurm_commands.ask_to_end(job)  # As before its time is up.
    run.refresh_from_db()
    assert (run.state, run.error) == (State.SUCCEEDED, "")
    attempt = run.attempts.get()
    assert attempt.job not in ("", f"Slurm job {job}")


def test_a_job_cancelled_in_slurm_fails_the_run_in_words() -> None:
    run = make_run(script=LONG)
    with executing(run):
        wait_for(lambda: trains(run))
        job = job_of(run)
        slurm_commands.cancel(job)
    run.refresh_from_db()
    assert (run.state, run.error) == (
        State.FAILED,
        f"Slurm job {job} was cancelled in Slurm, not here",
    )


def test_the_job_outlives_its_worker_and_the_next_takes_it_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(script={"steps": 40, "seconds_per_step": 0.05, "checkpoint_every": 5})
    with executing(run):
        wait_for(lambda: trains(run))
        job = stand_still(run)
        monkeypatch.setattr(shutdown, "asked", lambda: True)
    given_back = Run.objects.get(pk=run.pk)
    assert given_back.state == State.QUEUED
    monkeypatch.setattr(shutdown, "asked", lambda: False)
    go_on(run)
    run = execute(run)
    assert (run.state, run.error) == (State.SUCCEEDED, "")
    assert {attempt.job for attempt in run.attempts.all()} == {f"Slurm job {job}"}
    events = (execution.run_directory(run) / "events.jsonl").read_text()
    assert events.count("training from step") == 1
    assert Metric.objects.filter(run=run, name="train/loss").count() == 40


@pytest.mark.parametrize(("script", "state"), [({}, State.SUCCEEDED), ({"fail_at": 2}, "failed")])
def test_what_ended_while_nobody_followed_is_taken_in_not_done_again(
    monkeypatch: pytest.MonkeyPatch, script: dict[str, Any], state: str
) -> None:
    run = make_run(script={"steps": 10, "seconds_per_step": 0.1, **script})
    with executing(run):
        wait_for(lambda: (execution.run_directory(run) / "trainer-pid").exists())
        monkeypatch.setattr(shutdown, "asked", lambda: True)
    monkeypatch.setattr(shutdown, "asked", lambda: False)
    wait_for(lambda: (execution.run_directory(run) / in_job.EXIT).exists())
    run = execute(run)
    assert run.state == state
    events = (execution.run_directory(run) / "events.jsonl").read_text()
    assert events.count("training from step") == 1


def test_a_job_whose_number_was_never_written_down_is_found_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(script={"steps": 40, "seconds_per_step": 0.05})
    with executing(run):
        wait_for(lambda: trains(run))
        job = stand_still(run)
        monkeypatch.setattr(shutdown, "asked", lambda: True)
    go_on(run)
    (execution.run_directory(run) / "cluster.json").unlink()
    monkeypatch.setattr(shutdown, "asked", lambda: False)
    run = execute(run)
    assert run.state == State.SUCCEEDED
    assert {attempt.job for attempt in run.attempts.all()} == {f"Slurm job {job}"}


def test_a_job_that_nobody_follows_saves_and_ends_itself(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.SLURM_PATIENCE_SECONDS = 1
    run = make_run(script=LONG)
    with executing(run):
        wait_for(lambda: trains(run))
        job = job_of(run)
        monkeypatch.setattr(shutdown, "asked", lambda: True)
    directory = execution.run_directory(run)
    wait_for(lambda: (directory / in_job.EXIT).exists())
    assert list((directory / "checkpoints").glob("step-*"))
    found = wait_for(lambda: (one := slurm_commands.look(job)) and one.ended and one)
    assert found


def test_a_job_taken_away_before_it_began_goes_on(settings: Any, tmp_path: Path) -> None:
    here = tmp_path / "here"
    started_by(
        settings,
        tmp_path,
        f'[ -e {here} ] && exec {sys.executable} "$@"; touch {here}; exec sleep 600',
    )
    run = make_run()
    with executing(run):
        wait_for(here.exists)
        slurm_commands.ask_to_end(job_of(run))
    run.refresh_from_db()
    assert (run.state, run.error, run.attempt_count) == (State.SUCCEEDED, "", 1)


def test_a_job_that_had_finished_when_slurm_took_it_away_is_not_done_again(
    settings: Any, tmp_path: Path
) -> None:
    started_by(settings, tmp_path, f'{sys.executable} "$@"; sleep 600')
    run = make_run()
    with executing(run):
        wait_for(lambda: (execution.run_directory(run) / in_job.EXIT).exists())
        administrator("requeue", job_of(run))
    run.refresh_from_db()
    assert (run.state, run.error, run.attempt_count) == (State.SUCCEEDED, "", 1)
    assert starts_of(run) == 1


@pytest.mark.chain
def test_a_preempted_training_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, settings: Any
) -> None:
    settings.TRAINER_THREADS = 1
    project = labelled_project()
    release = make_release(project, held_out_share=0.3)
    base = registry.register_base("tiny", folder=tiny.save_base(tmp_path / "tiny"))
    common = make_common(project, base=base, release=release, preset="small-world", seed=3)
    changes = {"lora": {"rank": 4, "alpha": 4}, "max_steps": 120, "checkpoint_every": 8}
    batches = {"batch_size": 2, "micro_batch_size": 2, "evaluate_every": 1000, "epochs": 200}
    step = Step("reward", changes={**changes, **batches})
    preempted, whole = (requests.request_run(common, step) for _ in range(2))
    with executing(preempted):
        saved = execution.run_directory(preempted) / "checkpoints"
        wait_for(lambda: list(saved.glob("step-*")), seconds=120)
        job = stand_still(preempted)
        with urgent():
            wait_for(lambda: "for the second time" in stage_of(preempted))
        start_soon(job)
    settings.RUN_LAUNCHER = "local"
    execute(whole)
    preempted.refresh_from_db()
    assert (preempted.state, preempted.attempt_count) == (State.SUCCEEDED, 1), preempted.error
    tensors = []
    for run in (preempted, whole):
        with checkpoint_files.open_file(
            run.checkpoints.get(), "adapter_model.safetensors"
        ) as stored:
            tensors.append(load(stored.read()))
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    assert any(tensor.any() for name, tensor in tensors[0].items() if "lora_B" in name)
