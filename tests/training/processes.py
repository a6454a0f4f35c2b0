"""What tests ask about processes and conditions that take a moment."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], *, seconds: float = 60) -> T:
    """The first value of ``condition`` that is true; fails the test when none comes."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return value


def written_pid(path: Path) -> int:
    """The process id that somebody writes to ``path``, once it is there."""
    return int(wait_for(lambda: path.read_text() if path.exists() else ""))


def lives(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
