"""The fault run in its smallest form: real servers, workers and trainers, one kill of each run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (
    "perf.faults --storage 0 --runs 2 --kinds sft --kills 1 --every 0.3 --seconds 60 --queued 0 "
    "--away 0 --slack 60"
)


@pytest.mark.chain
def test_two_runs_survive_a_kill_each_and_end_with_the_same_weights() -> None:
    done = subprocess.run(
        [sys.executable, "-m", *COMMAND.split()],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = dict(re.findall(r"^\| (.+?) \| (.+?) \|", done.stdout, re.MULTILINE))
    killed = [int(figure) for what, figure in figures.items() if re.match("kill -9|SIGTERM", what)]
    assert sum(killed) == 2
    assert figures["runs tried"] == "2"
    for what in (
        "runs that did not succeed",
        "final weights unequal",
        "two trainers of a run",
        "processes left after all workers were killed",
    ):
        assert figures[what] == "0"
