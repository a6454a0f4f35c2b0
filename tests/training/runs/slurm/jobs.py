"""The job of a run, as Slurm, its page and its directory tell of it, and what is done to it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import unescape
from pathlib import Path
from typing import Any

from django.test import Client
from django.utils.html import strip_tags

from tests.factories import make_member
from tests.training.processes import wait_for
from training.models import Run
from training.runs import execution
from training.runs.launchers import slurm_commands

LONG = {"steps": 10_000, "seconds_per_step": 0.05, "checkpoint_every": 10_000}


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


def started_by(settings: Any, folder: Path, shell: str) -> None:
    """A job's Python is ``shell``, whose ``"$@"`` is what the interpreter was to be told."""
    program = folder / "python"
    program.write_text(f"#!/bin/bash\n{shell}\n")
    program.chmod(0o755)
    settings.TRAINER_PYTHON = str(program)
