"""What ``test_marking`` and ``test_correcting`` start: dense DPO in each run directory, what came.

A process of its own, because nothing of the web side imports torch. Prints a JSON list.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from pathlib import Path

import torch

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import LORA, RATE
from training.rlhf.__main__ import main
from training.rlhf.adapters import ADAPTER_WEIGHTS
from training.rlhf.contract import DpoSettings, Kind, ModelSettings, RunSpec
from training.rlhf.tensors import read_tensors

SETTINGS = DpoSettings(lora=LORA, optimizer=RATE, max_length=96, max_steps=2, dense=True)


def step(directory: Path) -> str:
    """SHA-256 of the policy's weights after two steps."""
    spec = RunSpec(
        kind=Kind.DPO,
        settings=SETTINGS,
        base_model="base",
        model=ModelSettings(dtype="float32"),
    )
    tiny.save_base(directory / "base")
    (directory / "spec.json").write_text(json.dumps(spec.to_json()))
    with contextlib.redirect_stdout(sys.stderr):
        assert main(["dpo", "--run-dir", str(directory)]) == 0
    weights = directory / "final" / ADAPTER_WEIGHTS
    assert read_tensors(weights)  # which refuses what is not finite
    return hashlib.sha256(weights.read_bytes()).hexdigest()


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps([step(Path(name)) for name in sys.argv[1:]]))
