"""The trainer as a process: started in a group of its own, stopped politely, then not.

A run directory has at most one trainer: it inherits a lock on the directory, which the kernel
keeps as long as any descendant lives, whatever became of the worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from django.conf import settings

from config.places import CHECKOUT
from training.runs.locks import try_lock

LOG = "trainer.log"
LOCK = "lock"
PROCESS = "process.json"
TAIL_BYTES = 16_384
LOCK_SECONDS = 10
# What a trainer may know of the worker's environment: never a database, broker or secret key.
PASSED_NAMES = {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "LD_LIBRARY_PATH"}
PASSED_PREFIXES = (
    "LC_",
    "CUDA_",
    "NVIDIA_",
    "NCCL_",
    "TORCH",
    "PYTORCH_",
    "HF_",
    "OMP_",
    "MKL_",
    "VLLM_",
    "SAMPLER_SERVERS",
)


class DirectoryBusy(RuntimeError):
    """Another trainer still runs in the directory and would not end."""


class Trainer:
    """One trainer process with its group, in one run directory."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._exited = os.pidfd_open(process.pid)
        self._reaping = threading.Lock()

    @classmethod
    def start(cls, command: list[str], directory: Path, *, gpus: list[int]) -> Trainer:
        """Start ``command``; raises DirectoryBusy while an earlier trainer holds the directory."""
        with _locked(directory) as lock, (directory / LOG).open("ab") as log:
            process = subprocess.Popen(
                [engine_python(), "-m", "training.runs.guardian", "--", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # The same events stand in events.jsonl.
                stderr=log,
                # Where a folder named `training` of somebody else's cannot come before ours.
                cwd=settings.BASE_DIR,
                env=_environment(gpus),
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
        trainer = cls(process)
        try:
            (directory / PROCESS).write_text(json.dumps({"group": process.pid}))
        except OSError:
            trainer.close()
            raise
        return trainer

    @property
    def group(self) -> int:
        """The process group that the trainer and all it starts are in."""
        return self._process.pid

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds``; whether it has exited. It is not reaped yet: until then the
        kernel gives its group's number to nobody else."""
        return bool(select.select([self._exited], [], [], seconds)[0])

    def stop(self, *, grace_seconds: float) -> None:
        """SIGTERM, so that it saves its work; SIGKILL for whatever is left after the grace."""
        self._signal(signal.SIGTERM)
        self.wait(grace_seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole group; may be called from any thread, any number of times."""
        self._signal(signal.SIGKILL)

    def close(self) -> int:
        """Kill what is left and return the exit code: 128 + n when signal n ended it."""
        self.kill()
        with self._reaping:
            code = self._process.wait()
            if self._process.stdin is not None and not self._process.stdin.closed:
                self._process.stdin.close()
                os.close(self._exited)
        return code if code >= 0 else 128 - code

    def _signal(self, number: int) -> None:
        with self._reaping:
            if self._process.returncode is None:
                _signal_group(self._process.pid, number)


def engine_command(kind: str, directory: Path, *, gpus: int) -> list[str]:
    """How the engine is started; several GPUs go through accelerate.

    ``--multi_gpu`` is said: accelerate sees several only on a host that has them, and would start
    one process alone on each of many nodes. Port 0 is a free one, for two such runs on a host.
    """
    engine = ["training.rlhf", kind, "--run-dir", str(directory)]
    if gpus > 1:
        options = ["--multi_gpu", "--num_processes", str(gpus), "--main_process_port", "0"]
        launch = ["-m", "accelerate.commands.launch", *options, "--module"]
        return [engine_python(), *launch, *engine]
    return [engine_python(), "-m", *engine]


def log_tail(directory: Path) -> str:
    """The end of what the trainer said, whole lines, fit for a text column."""
    path = directory / LOG
    if not path.exists():
        return ""
    with path.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(0, size - TAIL_BYTES))
        text = handle.read().decode(errors="replace").replace("\x00", "")
    return text if size <= TAIL_BYTES else text.partition("\n")[2]


def engine_python() -> str:
    """The interpreter that has the engine."""
    return settings.TRAINER_PYTHON or sys.executable


def device_names(gpus: list[int]) -> dict[int, str]:
    """What the driver calls the devices behind the slots: where only some are visible to the
    worker, slots count among those."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return {gpu: visible[gpu] if gpu < len(visible) else str(gpu) for gpu in gpus}


def passed_environment() -> dict[str, str]:
    """What a trainer gets of the worker's environment, and what it needs to find the engine."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_NAMES or name.startswith(PASSED_PREFIXES)
    }
    if CHECKOUT:
        # Installed packages need none, and would put theirs before those of TRAINER_PYTHON.
        passed["PYTHONPATH"] = str(settings.BASE_DIR)
    passed["PYTHONUNBUFFERED"] = "1"
    if settings.TRAINER_THREADS:
        passed["OMP_NUM_THREADS"] = str(settings.TRAINER_THREADS)
    return passed


def _environment(gpus: list[int]) -> dict[str, str]:
    devices = ",".join(device_names(gpus).values())
    return {**passed_environment(), "CUDA_VISIBLE_DEVICES": devices}


def _locked(directory: Path) -> IO[str]:
    """A lock that lasts as long as anybody has the file open: soon the trainer's group alone."""
    lock = (directory / LOCK).open("w")
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        if try_lock(lock):
            return lock
        _kill_leftovers(directory)
        if time.monotonic() > deadline:
            lock.close()
            raise DirectoryBusy("another trainer still runs in the run's directory on this host")
        time.sleep(0.2)


def is_free(directory: Path) -> bool:
    """Whether no trainer, guardian or anything they started works in the directory."""
    try:
        with (directory / LOCK).open() as lock:
            return try_lock(lock)
    except FileNotFoundError:
        return True


def end_leftovers(directory: Path) -> bool:
    """Kill what an earlier attempt left in the directory; whether nothing of it is left."""
    if not (directory / LOCK).exists():
        return True
    try:
        _locked(directory).close()
    except DirectoryBusy:
        return False
    return True


def _kill_leftovers(directory: Path) -> None:
    """Kill the group of an earlier attempt, whose lease is over: this attempt holds the run."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        group = int(json.loads((directory / PROCESS).read_text())["group"])
        if _in_directory(group, directory):
            _signal_group(group, signal.SIGKILL)


def _in_directory(group: int, directory: Path) -> bool:
    """Whether a process of the group works on this directory: numbers are used again."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            same_group = os.getpgid(int(entry.name)) == group
            if same_group and str(directory).encode() in (entry / "cmdline").read_bytes():
                return True
    return False


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
