"""A kept reference is met again by the very policy and pairs that it is of, and by no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import last_metrics
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind

ONE_STEP: dict[str, Any] = {"max_steps": 1, "batch_size": 6, "checkpoint_every": 9}


def in_spec(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    spec = json.loads((directory / "spec.json").read_text())
    change(spec)
    (directory / "spec.json").write_text(json.dumps(spec))


def in_records(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = directory / "data" / "train.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        change(record)
    tiny.write_lines(path, records)


def another_base(directory: Path) -> None:
    tiny.save_base(directory / "other", seed=7)
    in_spec(directory, lambda spec: spec.update(base_model="other"))


def another_picture(directory: Path) -> None:
    for path in (directory / "images").iterdir():
        Image.effect_noise((10, 12), 90).convert("RGB").save(path)


def another_policy(directory: Path) -> None:
    shutil.copytree(directory / "final", directory / "adapters" / "first")
    in_spec(directory, lambda spec: spec.update(policy_adapter="adapters/first"))


CHANGES: dict[str, Callable[[Path], None]] = {
    "base": another_base,
    "adapter": another_policy,
    "type": lambda d: in_spec(d, lambda spec: spec["model"].update(dtype="bfloat16")),
    "length": lambda d: in_spec(d, lambda spec: spec["settings"].update(max_length=16)),
    "question": lambda d: in_records(
        d, lambda record: record["conversations"][0].update(value="<image>\nis there a cross ?")
    ),
    "answer": lambda d: in_records(d, lambda record: record["output_1"].update(value="a cross")),
    "picture": another_picture,
}


@pytest.mark.parametrize("changed", [None, *CHANGES])
def test_a_reference_is_measured_again_when_anything_it_depends_on_has_changed(
    make_run: MakeRun, changed: str | None
) -> None:
    """A new run in the same directory: at its first step the policy is its own reference."""
    directory = make_run(Kind.DPO, **ONE_STEP)
    assert main(["dpo", "--run-dir", str(directory)]) == 0
    if changed is not None:
        CHANGES[changed](directory)
    shutil.rmtree(directory / "final")
    for checkpoint in (directory / "checkpoints").glob("step-*"):
        shutil.rmtree(checkpoint)
    (directory / "events.jsonl").unlink()
    assert main(["dpo", "--run-dir", str(directory)]) == 0
    texts = [event["text"] for event in events(directory, "stage")]
    assert ("measuring the reference" in texts) == (changed is not None)
    tolerance = 1e-3 if changed == "type" else 1e-6
    margin = last_metrics(events(directory))[1]["train/margin"]
    assert margin == pytest.approx(0, abs=tolerance)
