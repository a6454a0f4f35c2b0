"""Runs through a real Slurm: followed, cancelled, refused, waited for."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from annotation.exporting import make_release
from tests.training.factories import make_common, make_run
from tests.training.labelled import labelled_project
from tests.training.processes import lives, wait_for
from tests.training.rlhf import tiny
from tests.training.runs.slurm.jobs import (
    LONG,
    administrator,
    job_of,
    page_of,
    stage_of,
    submit,
    trains,
)
from tests.training.runs.test_execution import execute, executing, pid_in
from tests.training.slurm_cluster import Cluster, needs_slurm, slurm_cluster
from training.checkpoints import registry
from training.models import Metric, State
from training.runs import execution, requests, scheduling
from training.runs.launchers import slurm_commands
from training.runs.requests import Step

pytestmark = [pytest.mark.django_db(transaction=True), needs_slurm]


def test_a_run_is_a_job_and_leaves_what_it_leaves_everywhere(settings: Any, tmp_path: Path) -> None:
    settings.RUNS_ROOT = tmp_path / "our 'runs', 100%j"
    run = execute(make_run(script={"steps": 4}, gpus=2))
    assert (run.state, run.error) == (State.SUCCEEDED, "")
    assert Metric.objects.filter(run=run, name="train/loss").count() == 4
    assert run.checkpoints.get().final
    assert run.attempts.get().job.startswith("Slurm job ")
    left = {path.name for path in execution.run_directory(run).iterdir()}
    assert left <= execution.KEPT


def test_a_job_knows_no_secret_of_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "canary-of-the-worker")
    run = make_run(script=LONG)
    with executing(run):
        found = execution.run_directory(run) / "environment.json"
        environment = wait_for(lambda: found.exists() and trains(run) and found.read_text())
        scheduling.cancel(run)
    assert "canary-of-the-worker" not in str(environment)
    assert "DATABASE" not in str(environment)
    assert json.loads(str(environment))["SLURM_JOB_ID"]


def test_a_failure_is_told_with_the_words_of_the_trainer() -> None:
    told = execute(make_run(script={"fail_at": 3}))
    assert (told.state, told.error) == (State.FAILED, "the data is unusable")
    silent = execute(make_run(script={"crash_at": 2}))
    assert silent.error == "the trainer exited with code 3: Traceback: everything broke"


def test_cancelling_saves_ends_the_job_and_all_it_started() -> None:
    run = make_run(script={**LONG, "helper": True})
    with executing(run):
        pids = [pid_in(run, "trainer-pid"), pid_in(run, "helper")]
        wait_for(lambda: trains(run))
        job = job_of(run)
        scheduling.cancel(run)
    run.refresh_from_db()
    assert run.state == State.CANCELLED
    assert run.checkpoints.get(final=False).step == run.progress_done
    wait_for(lambda: not [pid for pid in pids if lives(pid)])
    found = slurm_commands.look(job)
    assert found is not None
    assert found.ended


def test_a_job_that_waits_says_why_and_can_be_cancelled(cluster: Cluster) -> None:
    other = submit("--cpus-per-task=2", "--partition=urgent", seconds=600)
    run = make_run(script=LONG)
    with executing(run):
        wait_for(lambda: "(Resources)" in stage_of(run))
        told = page_of(run)
        administrator("hold", job_of(run))
        wait_for(lambda: "an administrator of the cluster holds it (JobHeldAdmin)" in stage_of(run))
        administrator("release", job_of(run))
        with cluster.partition("batch", "DOWN"):
            wait_for(lambda: "the partition is down (PartitionDown)" in stage_of(run))
        scheduling.cancel(run)
    slurm_commands.cancel(other)
    run.refresh_from_db()
    assert "it is next, and waits until enough is free (Resources)" in told
    assert run.state == State.CANCELLED


def full(cluster: Cluster) -> AbstractContextManager[None]:
    return cluster.configured("MaxJobCount=1")


def drained(cluster: Cluster) -> AbstractContextManager[None]:
    return cluster.partition("batch", "DRAIN")


@pytest.mark.parametrize(
    ("hindered", "words"),
    [(full, "(its queue is full)"), (drained, "partition not available (inactive or drain)")],
)
def test_what_slurm_does_not_take_now_is_told_and_waited_for(
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    hindered: Callable[[Cluster], AbstractContextManager[None]],
    words: str,
) -> None:
    monkeypatch.setattr(slurm_commands, "COMMAND_SECONDS", 2)  # sbatch itself tries for minutes.
    slurm_commands.cancel(submit(seconds=600))  # One that Slurm remembers.
    run = make_run(script={"steps": 2})
    with ExitStack() as afterwards, hindered(cluster):
        afterwards.enter_context(executing(run))
        wait_for(lambda: "Slurm takes no job now" in stage_of(run))
        told = page_of(run)
    run.refresh_from_db()
    assert words in told
    assert (run.state, run.error) == (State.SUCCEEDED, "")


def test_gpus_that_do_not_divide_among_nodes_are_refused(settings: Any) -> None:
    settings.SLURM_GPUS_PER_NODE = 2
    run = execute(make_run(gpus=3))
    assert run.state == State.FAILED
    assert "do not divide evenly among 2 nodes" in run.error


def test_a_host_without_slurm_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    run = execute(make_run())
    assert run.state == State.FAILED
    assert "install Slurm's client commands" in run.error


def test_a_controller_that_is_away_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = os.environ["SLURM_CONF"]
    away = tmp_path / "slurm.conf"
    away.write_text(Path(there).read_text().replace("SlurmctldPort=", "SlurmctldPort=1 #"))
    (tmp_path / "gres.conf").write_text("")
    monkeypatch.setenv("SLURM_CONF", str(away))
    monkeypatch.setattr(
        slurm_commands, "COMMAND_SECONDS", 2
    )  # Slurm's own tries take half a minute.
    run = make_run(script={"steps": 2})
    with executing(run):
        wait_for(lambda: "takes no job now" in stage_of(run), seconds=120)
        monkeypatch.setenv("SLURM_CONF", there)
    run.refresh_from_db()
    assert (run.state, run.error) == (State.SUCCEEDED, "")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("which", [int, parent_of], ids=["trainer", "what watches over it"])
def test_killing_what_runs_on_the_node_is_told_like_any_killed_trainer(
    which: Callable[[int], int],
) -> None:
    run = make_run(script=LONG)
    with executing(run):
        wait_for(lambda: trains(run))
        os.kill(which(pid_in(run, "trainer-pid")), signal.SIGKILL)
    run.refresh_from_db()
    assert run.state == State.QUEUED
    assert run.attempts.get().reason == "the trainer was ended by signal 9"


@pytest.mark.chain
def test_a_training_on_two_nodes_meets_on_the_first(tmp_path: Path, settings: Any) -> None:
    settings.TRAINER_THREADS = 1
    settings.SLURM_GPUS_PER_NODE = 1
    project = labelled_project()
    release = make_release(project, held_out_share=0.3)
    base = registry.register_base("tiny", folder=tiny.save_base(tmp_path / "tiny"))
    common = make_common(project, base=base, release=release, preset="small-world", gpus=2)
    changes = {"lora": {"rank": 4, "alpha": 4}, "max_steps": 2, "batch_size": 2}
    run = requests.request_run(common, Step("reward", changes=changes))
    (tmp_path / "two").mkdir()
    with slurm_cluster(tmp_path / "two", nodes=2):
        run = execute(run)
        number = run.attempts.get().job.removeprefix("Slurm job ")
        told = ["scontrol", "--oneliner", "show", "job", number]
        described = subprocess.run(told, capture_output=True, text=True, check=True).stdout
    assert run.state == State.SUCCEEDED, run.attempts.get().log_tail
    assert "NumNodes=2" in described
    events = (execution.run_directory(run) / "events.jsonl").read_text()
    assert events.count("2 processes train together") == 1
    assert events.count("loading the base model") == 1  # nobody trained alone beside it
    assert run.checkpoints.get().metrics["held_out/accuracy"] >= 0


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--partition=nowhere", "invalid partition specified: nowhere"),
        ("--gpus-per-node=9", "Requested node configuration is not available"),
        ("--no-such-option", "unrecognized option"),
    ],
)
def test_what_slurm_refuses_fails_at_once_with_its_words(
    settings: Any, option: str, words: str
) -> None:
    settings.SLURM_OPTIONS = [option]
    run = execute(make_run())
    assert run.state == State.FAILED
    told = page_of(run)
    assert "Slurm refused the job: " in told
    assert words in told
    assert "SLURM_OPTIONS" in told
