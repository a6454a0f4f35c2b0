"""No process outlives the one that asked for it, however that one ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.parent_death import die_with_starter

STARTER = """
import multiprocessing
import signal
import sys

from config.parent_death import die_with_starter


def wait():
    die_with_starter()
    print("waiting", flush=True)
    signal.pause()


if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    context.Process(target=wait).start()
    sys.stdout.flush()
    signal.pause()
"""


def test_a_fork_of_a_fork_server_ends_with_its_starter(tmp_path: Path) -> None:
    (tmp_path / "starter.py").write_text(STARTER)
    with subprocess.Popen(
        [sys.executable, tmp_path / "starter.py"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"waiting\n"
        starter.send_signal(signal.SIGKILL)
        # The fork holds the other end, so this comes to an end only with it.
        assert starter.stdout.read() == b""


def test_a_process_that_nobody_started_has_no_starter() -> None:
    with pytest.raises(RuntimeError, match="not started by multiprocessing"):
        die_with_starter()
