"""Runs one command and sees that nothing of it outlives the process that asked for it.

    python -m training.runs.guardian -- COMMAND ...

The guardian leads a process group of its own, which the command and all its descendants join.
When the worker dies, however it dies, the pipe on the guardian's stdin closes and the whole group
is killed. When the guardian itself is killed, the kernel kills the command (PR_SET_PDEATHSIG).
A SIGTERM to the group is for the command alone: the guardian waits for it and passes on its exit
code, 128 + n when signal n ended it. Standard library only: it may run under another interpreter.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from types import FrameType

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: int) -> None:
    """Have the kernel send this process the signal when the thread that forked it ends."""
    if _libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def _prepare_command() -> None:
    # Runs between fork and exec; the guardian has a single thread, so this is safe.
    die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _kill_group() -> None:
    os.killpg(0, signal.SIGKILL)


def main(command: list[str]) -> int:
    parent = os.getppid()

    def parent_may_be_gone(number: int, frame: FrameType | None) -> None:
        # The signal also comes when only the thread that started us ends.
        if os.getppid() != parent:
            _kill_group()

    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.signal(signal.SIGHUP, parent_may_be_gone)
    die_with_parent(signal.SIGHUP)
    if os.getppid() != parent:
        return 128 + signal.SIGHUP
    # Open descriptors are passed on: among them is the lock on the run directory.
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, close_fds=False, preexec_fn=_prepare_command
    )
    exited = os.pidfd_open(child.pid)
    ready, _, _ = select.select([exited, sys.stdin], [], [])
    if exited not in ready:
        _kill_group()
    code = child.wait()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :]))
