"""How many web workers are started where nobody says how many."""

import os
import runpy
from pathlib import Path
from typing import Any

import pytest

CONFIGURATION = Path(__file__).resolve().parents[2] / "config" / "gunicorn.py"


def read(monkeypatch: pytest.MonkeyPatch, *, cores: int, **variables: str) -> dict[str, Any]:
    for name in ("BEHIND_PROXY", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    return runpy.run_path(str(CONFIGURATION))


@pytest.mark.parametrize(("cores", "workers"), [(2, 8), (14, 32), (128, 32)])
def test_behind_a_proxy_workers_grow_with_cores_but_leave_postgres_connections(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: int
) -> None:
    found = read(monkeypatch, cores=cores, BEHIND_PROXY="true")
    assert (found["workers"], found["threads"]) == (workers, 1)


def test_who_names_a_number_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = read(monkeypatch, cores=4, BEHIND_PROXY="true", WEB_CONCURRENCY="60")
    assert asked["workers"] == 60


def test_without_a_proxy_workers_are_few_and_have_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, cores=128)
    assert (found["workers"], found["threads"]) == (2, 4)
