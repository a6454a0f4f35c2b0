"""Runs one command on the node that a cluster gave, and leaves word of it in the run directory.

    python -m training.runs.in_job --directory DIR --patience SECONDS -- COMMAND ...

The worker that follows the run is on another host, and all that the two share is the directory:

- ``lock`` is held as long as anything of the command lives: two jobs never train in one directory.
- ``cluster-worker`` is touched by the worker. When it has not changed for ``--patience`` seconds,
  nobody follows any more: the command is asked to save, then ended, so that no GPU stays occupied.
- ``cluster-usage.json`` is what the command uses, measured here.
- ``cluster-exit.json`` is the exit code, and whether this process was asked to end: the cluster
  does so before it preempts a job and before a job's time is up. A job that finds there that it has
  succeeded, when it is started again, does nothing.

SIGTERM is passed on to the command and all it started. Standard library only (what it imports of
FactLoop too): it may run under the engine's own interpreter.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import durable
from training.runs.guardian import die_with_parent
from training.runs.locks import try_lock
from training.runs.usage import Meter

WORKER = "cluster-worker"
USAGE = "cluster-usage.json"
EXIT = "cluster-exit.json"
LOCK = "lock"
LOCK_SECONDS = 60.0
LOOK_SECONDS = 2.0
SAVE_SECONDS = 60.0
DIRECTORY_BUSY = os.EX_TEMPFAIL


class Command:
    """The command in a process group of its own, and whether it was asked to end."""

    def __init__(self, command: list[str]) -> None:
        self.asked_to_end = False
        signal.signal(signal.SIGTERM, self._ask)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # The same events stand in events.jsonl.
            close_fds=False,  # The lock goes along.
            process_group=0,
            preexec_fn=_prepare,
        )
        self._exited = os.pidfd_open(self.process.pid)
        if self.asked_to_end:
            self.ask_to_end()

    def wait(self, seconds: float) -> bool:
        return bool(select.select([self._exited], [], [], seconds)[0])

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def ask_to_end(self) -> None:
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)  # One that somebody has stopped would not hear of it.

    def end(self) -> None:
        self.ask_to_end()
        self.wait(SAVE_SECONDS)
        self.signal(signal.SIGKILL)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked_to_end = True
        if hasattr(self, "process"):
            self.ask_to_end()


class Worker:
    """Whether anybody follows: judged by changes seen from here, since clocks of hosts differ."""

    def __init__(self, path: Path, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._seen: int | None = None
        self._seen_at = time.monotonic()

    def is_gone(self) -> bool:
        changed: int | None = None
        with contextlib.suppress(OSError):
            changed = self._path.stat().st_mtime_ns
        if changed is not None and changed != self._seen:
            self._seen, self._seen_at = changed, time.monotonic()
        return time.monotonic() - self._seen_at > self._patience


def write(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all."""
    durable.write(path, json.dumps(content))


def main(directory: Path, patience: float, command: list[str]) -> int:
    with (directory / LOCK).open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        deadline = time.monotonic() + LOCK_SECONDS
        while not try_lock(lock):
            if time.monotonic() > deadline:
                print("another trainer still runs in the run's directory", file=sys.stderr)
                return DIRECTORY_BUSY
            time.sleep(0.5)
        if _succeeded(directory):
            return 0
        return _guard(Command(command), directory, patience)


def _guard(command: Command, directory: Path, patience: float) -> int:
    devices = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    worker = Worker(directory / WORKER, patience)
    with Meter(command.process.pid, gpus=dict(enumerate(devices)), disk=directory) as meter:
        while not command.wait(LOOK_SECONDS):
            with contextlib.suppress(OSError):
                if meter.latest:
                    write(directory / USAGE, meter.latest)
            if worker.is_gone():
                print("no worker follows this run any more: ended", file=sys.stderr)
                command.end()
    code = command.process.wait()
    command.signal(signal.SIGKILL)  # What it started and left.
    code = 128 - code if code < 0 else code
    write(
        directory / EXIT,
        {
            "job": _job(),
            "restart": int(os.environ.get("SLURM_RESTART_COUNT", "0")),
            "code": code,
            "asked_to_end": command.asked_to_end,
        },
    )
    return code


def _job() -> str:
    return os.environ.get("SLURM_JOB_ID", "")


def _succeeded(directory: Path) -> bool:
    """Whether an earlier start of this job did, and was taken away before the cluster knew."""
    with contextlib.suppress(OSError, ValueError):
        left = json.loads((directory / EXIT).read_text())
        return left["job"] == _job() and left["code"] == 0
    return False


def _prepare() -> None:
    # Between fork and exec, while this process may have no second thread yet.
    die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--patience", type=float, required=True)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    sys.exit(main(asked.directory, asked.patience, asked.command[1:]))
