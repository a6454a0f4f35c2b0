"""A secret that is made on first use is whole or absent, wherever its maker dies."""

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from config import kept_secrets
from config.kept_secrets import kept_secret


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Whether a process that does the work was killed before its ``step``-th line of the module."""
    child = os.fork()
    if not child:
        left = step

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal left
            if frame.f_code.co_filename != kept_secrets.__file__:
                return None
            left -= event == "line"
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_it_is_whole_or_absent_wherever_its_maker_is_killed(tmp_path: Path) -> None:
    for step in count(1):
        path = tmp_path / str(step) / "secret"
        killed = killed_at(step, lambda path=path: kept_secret(path, random_bytes=24))
        assert not path.exists() or len(path.read_text()) == 32
        kept = kept_secret(path, random_bytes=24)
        assert len(kept) == 32 and kept_secret(path, random_bytes=24) == kept
        assert path.stat().st_mode & 0o077 == 0
        if not killed:
            break
    assert step > 10


@pytest.mark.parametrize("left", ["", "\n"])
def test_what_an_older_version_left_empty_is_no_secret(tmp_path: Path, left: str) -> None:
    path = tmp_path / "secret"
    path.write_text(left)
    assert kept_secret(path, random_bytes=24) == path.read_text() != left
