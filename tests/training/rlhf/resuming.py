"""Ways in which a training run ends before its time, and how the result is compared."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from training.rlhf.events import EventWriter


class PowerCut(BaseException):
    """Like kill -9: nothing may handle it."""


def cut_power() -> None:
    raise PowerCut


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int, interrupt: Callable[[], None]) -> None:
    """Call ``interrupt`` when the run reports the metrics of ``step``."""
    original = EventWriter.metrics

    def metrics(self: EventWriter, number: int, values: dict[str, float]) -> None:
        original(self, number, values)
        if number == step:
            interrupt()

    monkeypatch.setattr(EventWriter, "metrics", metrics)


def assert_same_weights(one: Path, two: Path) -> None:
    """All safetensors files below two folders are equal bit for bit."""
    files = sorted(path.relative_to(one) for path in one.rglob("*.safetensors"))
    assert files
    assert files == sorted(path.relative_to(two) for path in two.rglob("*.safetensors"))
    for name in files:
        first, second = load_file(one / name), load_file(two / name)
        assert first.keys() == second.keys()
        for key in first:
            assert torch.equal(first[key], second[key]), f"{name}: {key}"


def last_metrics(events: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """Metrics by step, the latest report of a step winning."""
    return {event["step"]: event["values"] for event in events if event["event"] == "metric"}
