"""Nothing that a user could supply is unpickled (torch CVE-2025-32434, CVAT CVE-2025-23045)."""

from __future__ import annotations

import base64
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kombu.exceptions import ContentDisallowed
from kombu.serialization import loads

from config.celery import app

ROOT = Path(__file__).resolve().parents[2]
"""Where the linter finds its rules."""


class Canary:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """The file that unpickling ``pickle.dumps(Canary(path))`` makes."""
    path = tmp_path / "fired"
    pickle.loads(pickle.dumps(Canary(path)))
    assert path.exists(), "the canary must be able to sing"
    path.unlink()
    return path


@pytest.mark.parametrize("kind", ["pickle", "application/x-python-serialize"])
def test_a_worker_refuses_a_pickled_message(canary: Path, kind: str) -> None:
    body = base64.b64encode(pickle.dumps(Canary(canary)))
    accepted = app.conf.accept_content
    assert set(accepted) == {"json"}
    with pytest.raises(ContentDisallowed):
        loads(body, kind, "binary", accept=["application/json"])
    assert not canary.exists()


def test_tasks_are_sent_as_json_and_results_are_not_kept() -> None:
    assert app.conf.task_serializer == "json"
    assert app.conf.result_backend is None
    assert all(task.serializer in (None, "json") for task in app.tasks.values())


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("pickle", "import pickle"),
        ("pickle", "from pickle import loads"),
        ("torch.load", "import torch\n\ntorch.load('x')"),
        ("joblib", "import joblib"),
    ],
)
def test_the_linter_refuses_what_unpickles(name: str, line: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "json"]
    command += ["--select", "TID251", "--stdin-filename", "training/some.py", "-"]
    done = subprocess.run(
        command, input=f"{line}\n", capture_output=True, text=True, cwd=ROOT, check=False
    )
    found = json.loads(done.stdout)
    assert [one["code"] for one in found] == ["TID251"], done.stderr
    assert name in found[0]["message"]
