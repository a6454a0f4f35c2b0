"""The processes of a small installation, started and stopped together.

Each gets a process group of its own and the kernel's promise to end it when we end
(PR_SET_PDEATHSIG), so that not even ``kill -9`` of the demo leaves a server behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from config.parent_death import die_with_parent
from config.places import CODE

GRACE_SECONDS = 20


class ProcessDied(RuntimeError):
    """A server process ended by itself; the message carries the end of its log."""


class Processes:
    """A context manager around named processes; their output goes to ``logs/NAME.log``."""

    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.logs = logs
        self.environment = environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str) -> None:
        """Start ``python ARGUMENTS`` where the packages are: nothing lies before them there."""
        with (self.logs / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=CODE,
                env=self.environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def check(self) -> None:
        """Raise ProcessDied if one has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                log = self.logs / f"{name}.log"
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
                raise ProcessDied(f"{name} ended with {process.returncode}; {log} ends:\n{tail}")

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._running.values():
            # The leader alone: gunicorn and Celery end their own children in good order.
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout=GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
