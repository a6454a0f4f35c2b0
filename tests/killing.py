"""A process that does some work and is killed before a line of it, chosen by its number."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import count
from types import FrameType, ModuleType
from typing import Any


def killed_at(step: int, work: Callable[[], object], *modules: ModuleType) -> bool:
    """Whether it was killed, with SIGKILL, before its ``step``-th line of the modules."""
    files = {module.__file__ for module in modules}
    child = os.fork()
    if not child:
        left = step

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal left
            if frame.f_code.co_filename not in files:
                return None
            left -= event == "line"
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def killed_at_each(
    work: Callable[[int], object], *modules: ModuleType, every: int = 1
) -> Iterator[int]:
    """The number of each step, once it was killed there; the last one is the end of all work."""
    for step in count(1, every):
        killed = killed_at(step, lambda step=step: work(step), *modules)  # type: ignore[misc]
        yield step
        if not killed:
            return
