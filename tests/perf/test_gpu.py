"""The script for a GPU, in a small shape on whatever is here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from perf import gpu, shape


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_small_shape_goes_through() -> None:
    sizes = ["--rollouts", "4", "--slots", "12", "--micro-batch", "2"]
    found = gpu.figures(gpu.parse(["--small", *sizes, "--responses-per-prompt", "2"]))
    assert 1 <= found["response tokens, mean"] <= 12
    share = found["updating, TFLOP/s"] / found["matrix multiplication, TFLOP/s"]
    assert found["updating, % of matrix multiplication"] == pytest.approx(100 * share)
    assert all(value > 0 for name, value in found.items() if "memory" not in name)
    assert torch.get_default_dtype() is torch.float32


def test_the_large_shape_is_that_of_seven_billion_weights() -> None:
    with torch.device("meta"):
        base = shape.Shape().base()
    decoder = sum(
        layer.weight.numel()
        for layer in base.get_decoder().modules()
        if isinstance(layer, nn.Linear)
    )
    assert decoder == 32 * (4 * 4096**2 + 3 * 4096 * 11008)  # 6.5 billion
    assert sum(p.numel() for p in base.parameters()) == pytest.approx(7.06e9, rel=0.01)
    assert shape.Shape().image_tokens == 576
