"""Processes that end with the one that started them, however that ends.

``training.runs.guardian`` has the same of its own: it runs under interpreters without this package.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
from multiprocessing import connection

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Have the kernel send this process the signal when the thread that forked it ends."""
    if _libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def die_with_starter(number: int = signal.SIGTERM) -> None:
    """Have this process sent the signal when the one that called ``Process.start`` ends.

    For processes of a fork server, whose parent is the server: it may outlive the starter. Raises
    RuntimeError in a process that ``multiprocessing`` did not start.
    """
    starter = multiprocessing.parent_process()
    if starter is None:
        raise RuntimeError("this process was not started by multiprocessing")

    def watch(sentinel: int) -> None:
        connection.wait([sentinel])
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, args=[starter.sentinel], daemon=True).start()
