"""Runs through a real Slurm of one node: followed, cancelled, preempted, taken up, refused."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import torch
from django.test import Client
from django.utils.html import strip_tags
from safetensors.torch import load

from annotation.exporting import make_release
from tests.factories import make_member
from tests.training.factories import make_common, make_run
from tests.training.labelled import labelled_project
from tests.training.processes import lives, wait_for
from tests.training.rlhf import tiny
from tests.training.runs.test_execution import execute, executing, pid_in
from tests.training.slurm_cluster import Cluster, needs_slurm, slurm_cluster
from training.checkpoints import checkpoint_files, registry
from training.models import Metric, Run, State
from training.runs import execution, in_job, requests, scheduling, shutdown
from training.runs.endings import Vanished
from training.runs.launchers import slurm_commands
from training.runs.launchers.slurm import SlurmTrainer
from training.runs.requests import Step

pytestmark = [pytest.mark.django_db(transaction=True), needs_slurm]

LONG = {"steps": 10_000, "seconds_per_step": 0.05, "checkpoint_every": 10_000}


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with slurm_cluster(tmp_path_factory.mktemp("slurm"), nodes=1) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def through_slurm(settings: Any, cluster: Cluster) -> None:
    settings.RUN_LAUNCHER = "slurm"
    settings.SLURM_POLL_SECONDS = 0.2
    settings.RUN_STOP_SECONDS = 30


def job_of(run: Run) -> str:
    state = json.loads((execution.run_directory(run) / "cluster.json").read_text())
    return str(state["job"])


def stage_of(run: Run) -> str:
    return Run.objects.get(pk=run.pk).stage


def page_of(run: Run) -> str:
    """What a manager reads there."""
    client = Client()
    client.force_login(make_member(run.project, "manager"))
    return unescape(strip_tags(client.get(run.get_absolute_url()).content.decode()))


def starts_of(run: Run) -> int:
    events = (execution.run_directory(run) / "events.jsonl").read_text()
    return events.count("training from step")


def administrator(*words: str) -> None:
    subprocess.run(["scontrol", *words], check=True, capture_output=True)


def trains(run: Run) -> bool:
    return Run.objects.get(pk=run.pk).progress_done > 0


def submit(*options: str, seconds: float) -> str:
    """A job of somebody else."""
    command = ["sbatch", "--parsable", "--output=/dev/null", *options, f"--wrap=sleep {seconds}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def urgent() -> Iterator[None]:
    """Within the block somebody's job needs the whole node and goes before ours."""
    other = submit("--cpus-per-task=2", "--partition=urgent", seconds=600)
    try:
        yield
    finally:
        slurm_commands.cancel(other)


def stand_still(run: Run) -> str:
    """The run's job, whose trainer goes no further until it is told to end, or to go on.

    It could be over before what a test does to it has come.
    """
    _signal_trainer(run, signal.SIGSTOP)
    return job_of(run)


def go_on(run: Run) -> None:
    _signal_trainer(run, signal.SIGCONT)


def _signal_trainer(run: Run, number: int) -> None:
    job = job_of(run)
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_ours = f"SLURM_JOB_ID={job}\0".encode() in (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes()
            trains = b"fake_trainer" in command or b"training.rlhf" in command
            if is_ours and trains and b"in_job" not in command:
                os.kill(int(entry.name), number)


def start_soon(job: str) -> None:
    """Slurm waits two minutes before it starts what it requeued; its operator need not.

    But a node starts no job in the second in which it has ended the same.
    """
    update = ["scontrol", "update", f"JobId={job}", "StartTime=now+2"]
    wait_for(lambda: subprocess.run(update, capture_output=True).returncode == 0)


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


def answering(words: str, code: int) -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda command: subprocess.CompletedProcess(command, code, stdout=words, stderr=words)


@pytest.mark.parametrize(
    ("words", "transient"),
    [
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", True),
        ("sbatch: error: Batch job submission failed: Job violates accounting/QOS policy", True),
        ("sbatch: error: Batch job submission failed: Invalid account specified", False),
    ],
)
def test_a_full_queue_is_waited_for_and_a_wrong_account_is_not(
    monkeypatch: pytest.MonkeyPatch, words: str, transient: bool
) -> None:
    monkeypatch.setattr(slurm_commands, "_run", answering(words, 1))
    with pytest.raises(slurm_commands.Refused) as refused:
        slurm_commands.submit(Path("script"), [])
    assert refused.value.transient is transient
    assert "sbatch: error" not in str(refused.value)


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


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("AssocMaxJobsLimit", "a limit of the account or user is reached (AssocMaxJobsLimit)"),
        ("QOSMaxCpuPerUserLimit", "a limit of its quality of service is reached (QOSMax"),
        ("launch_failed_requeued_held", "a node could not start it, so it is held"),
        ("Prolog", "Prolog"),
    ],
)
def test_reasons_are_put_into_words_by_what_they_begin_with(reason: str, words: str) -> None:
    job = slurm_commands.Job("PENDING", reason, restarts=0, exit_code=0, signal=0)
    assert job.waits.startswith(words)


@pytest.mark.parametrize(
    ("exit_code", "signal_", "code", "trouble"),
    [
        (0, signal.SIGKILL, 137, None),
        (in_job.DIRECTORY_BUSY, 0, in_job.DIRECTORY_BUSY, Vanished),
        (2, 0, 2, None),
    ],
)
def test_a_job_that_left_no_word_ends_as_slurm_saw_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exit_code: int,
    signal_: int,
    code: int,
    trouble: type[Exception] | None,
) -> None:
    (tmp_path / "cluster.json").write_text(json.dumps({"job": "7"}))
    job = slurm_commands.Job("FAILED", "", restarts=0, exit_code=exit_code, signal=signal_)
    monkeypatch.setattr(slurm_commands, "look", lambda number: job)
    trainer = SlurmTrainer(tmp_path, [], "name")
    assert trainer.wait(0)
    assert trainer.close() == code
    assert type(trainer.trouble) is (trouble or type(None))


def answers(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Whatever Slurm is asked, it says that."""
    done = subprocess.CompletedProcess([], 0, stdout=said, stderr="")
    monkeypatch.setattr(slurm_commands, "_run", lambda command: done)


def test_what_a_comment_says_is_not_what_slurm_says(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "JobId=7 JobState=RUNNING Reason=None Restarts=1 ExitCode=0:0 "
    answers(monkeypatch, said + "Comment=x JobState=FAILED Restarts=many ExitCode=1:9")
    job = slurm_commands.Job("RUNNING", "None", restarts=1, exit_code=0, signal=0)
    assert slurm_commands.look("7") == job


def test_a_submission_without_a_job_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "\n")
    with pytest.raises(
        slurm_commands.Refused, match="named no job, as with --test-only"
    ) as refused:
        slurm_commands.submit(Path("script"), ["--test-only"])
    assert not refused.value.transient


@pytest.mark.parametrize(
    ("name", "value"), [("SLURM_GPUS_PER_NODE", "0"), ("SLURM_OPTIONS", "--comment='x")]
)
def test_settings_of_slurm_that_cannot_be_are_named(name: str, value: str) -> None:
    command = [sys.executable, "-c", "import config.settings"]
    done = subprocess.run(command, env={**os.environ, name: value}, capture_output=True, text=True)
    assert f"ImproperlyConfigured: {name} " in done.stderr


def test_a_requeued_job_that_slurm_did_not_get_going_is_submitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cluster.json").write_text(json.dumps({"job": "7", "replayed": 0}))
    job = slurm_commands.Job("FAILED", "", restarts=1, exit_code=1, signal=0)
    monkeypatch.setattr(slurm_commands, "look", lambda number: job)
    monkeypatch.setattr(slurm_commands, "named", lambda name: [])
    submitted = iter(["8"])
    monkeypatch.setattr(slurm_commands, "submit", lambda script, options: next(submitted))
    trainer = SlurmTrainer(tmp_path, [], "name")
    assert trainer.job == "Slurm job 8"
    assert "Slurm job 7 was preempted or ended by Slurm" in trainer.notice()
    assert trainer.wait(0)  # without a checkpoint between, that is once too often
    assert isinstance(trainer.trouble, Vanished)


def started_by(settings: Any, folder: Path, shell: str) -> None:
    """A job's Python is ``shell``, whose ``"$@"`` is what the interpreter was to be told."""
    program = folder / "python"
    program.write_text(f"#!/bin/bash\n{shell}\n")
    program.chmod(0o755)
    settings.TRAINER_PYTHON = str(program)


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


def test_a_job_that_has_succeeded_does_nothing_when_it_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    left = {"job": "7", "restart": 0, "code": 0, "asked_to_end": True}
    (tmp_path / in_job.EXIT).write_text(json.dumps(left))
    assert in_job.main(tmp_path, 60, ["/nowhere/no-such-command"]) == 0


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
