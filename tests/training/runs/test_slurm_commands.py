"""What Slurm may say, said by a stand-in: a cluster that says it is not always to be had."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.slurm_cluster import needs_slurm
from training.runs import in_job
from training.runs.endings import Vanished
from training.runs.launchers import slurm_commands
from training.runs.launchers.slurm import SlurmTrainer

pytestmark = [pytest.mark.django_db(transaction=True), needs_slurm]


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
    ("name", "value"),
    [
        ("SLURM_GPUS_PER_NODE", "0"),
        ("SLURM_OPTIONS", "--comment='x"),
        ("SLURM_OPTIONS", "--partition=gpu --clusters=east"),
    ],
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


def test_a_job_that_has_succeeded_does_nothing_when_it_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    left = {"job": "7", "restart": 0, "code": 0, "asked_to_end": True}
    (tmp_path / in_job.EXIT).write_text(json.dumps(left))
    assert in_job.main(tmp_path, 60, ["/nowhere/no-such-command"]) == 0
