"""Fixtures of the training tests outside the engine: fake kinds, a run directory, quick leases."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.fake_app import fake_kinds


@pytest.fixture(scope="session", autouse=True)
def fake_kinds_are_registered() -> None:
    fake_kinds.register_all()


@pytest.fixture(autouse=True)
def quick_runs(settings: Any, tmp_path: Path) -> None:
    """Runs of a test live in its own folder and notice within a moment what happens to them."""
    settings.RUNS_ROOT = tmp_path / "runs"
    settings.RUN_HEARTBEAT_SECONDS = 0.1
    settings.RUN_STOP_SECONDS = 5


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A folder in which no file is what its name says; only its bytes count."""
    folder = tmp_path / "model"
    (folder / "deeper").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "deeper" / "note.txt").write_text("hello")
    return folder
