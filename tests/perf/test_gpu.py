"""The script for a GPU, in a small shape on whatever is here."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from perf import gpu, memory_estimate, round_on_gpu, shape
from training.rlhf.contract import LoraSettings


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


@pytest.mark.parametrize(
    ("arguments", "missing", "message"),
    [
        (["--small", "--quantization", "nf4"], "bitsandbytes", "needs the bitsandbytes package"),
        ([], "a GPU", "there is no GPU; --small runs on the CPU"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_built(
    arguments: list[str],
    missing: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name != missing or None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: missing != "a GPU")
    with pytest.raises(SystemExit):
        gpu.parse(arguments)
    assert message in capsys.readouterr().err


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


def test_what_an_update_of_the_large_shape_takes() -> None:
    """Adapters fit the real architecture, and nothing but them is wider than the base's type."""
    made = memory_estimate.model(LoraSettings())
    adapter = made.trainable(memory_estimate.POLICY)
    places = {name.partition(".lora_")[0].rpartition(".layers.")[2] for name in adapter}
    projections = {place.rpartition(".")[2] for place in places}
    assert len(places) == 32 * 7 and len(adapter) == 2 * len(places)
    assert projections == {
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    }
    assert sum(p.numel() for p in adapter.values()) == 64 * 32 * (4 * 2 * 4096 + 3 * 15104)
    found = memory_estimate.figures(made)
    assert found["base, GiB"] == pytest.approx(2 * 7.06e9 / 2**30, rel=0.01)
    assert found["merged copy while sampling, GiB"] == pytest.approx(2 * 6.476e9 / 2**30, rel=0.01)
    assert found["keys and values, MiB a token"] == 0.5
    whole = found["the whole language model trained in float32, with gradients and AdamW, GiB"]
    assert whole == pytest.approx(16 * (6.476e9 + 2 * 32064 * 4096 + 65 * 4096) / 2**30, rel=1e-3)
    assert found["multiplications in float32, %"] == 0
    assert 5 < found["kept for the backward pass, MiB a token"] < 5.5


def test_a_larger_base_is_cut_over_gpus() -> None:
    """The figures of docs/performance.md, in the shape of Qwen2.5-VL-32B."""
    made = memory_estimate.large("qwen2.5-vl-32b", LoraSettings())
    assert sum(p.numel() for n, p in made.base.named_parameters() if ".lora_" not in n) == (
        pytest.approx(33.45e9, rel=0.005)
    )
    layer = 5120 * (2 * 5120 + 2 * 1024) + 3 * 5120 * 27648 + 2 * 5120 + (5120 + 2 * 1024)
    found = memory_estimate.shared_figures(made, 8)
    whole, cut = found["base, GiB"]
    assert whole - cut == pytest.approx(2 * 64 * layer * 7 / 8 / 2**30, rel=1e-6)
    assert found["layers that are whole for a while, at most, GiB"][1] == 4 * 2 * layer / 2**30
    assert found["keys and values, MiB a token"] == (0.25, 0.25)
    assert (round(whole, 1), round(cut, 1)) == (62.3, 11.4)
    whole, cut = found["all of these, GiB"]
    assert (round(whole, 1), round(cut, 1)) == (82.3, 35.1)


def test_what_training_the_whole_language_model_takes() -> None:
    found = memory_estimate.full_figures(memory_estimate.whole(), gpus=8)
    weights = 16 * (6.476e9 + 2 * 32064 * 4096 + 65 * 4096) / 2**30
    assert found["weights, gradients and AdamW in float32, GiB"] == pytest.approx(weights, rel=1e-3)
    cut = found["weights, gradients and AdamW cut over 8 GPUs, GiB"]
    layers = 16 * 6.476e9 / 2**30
    assert cut == pytest.approx(layers / 8 + weights - layers, rel=1e-3)
    layer = 4 * (4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096) / 2**30
    passing = found["layers and gradients that are whole for a while, at most, GiB"]
    assert passing == pytest.approx(7.5 * layer)
    kept = found["kept for the backward pass, MiB a token"]
    # Two norms' inputs and outputs, queries, keys, values, attention's result; gate, up, product.
    assert kept > 32 * 4 * (8 * 4096 + 3 * 11008) / 2**20
    assert found["kept with checkpointing, MiB a token"] == pytest.approx(kept / 32 + 0.5)
    assert found["all of these, GiB"] == pytest.approx(114.6, abs=0.1)
    assert found["cut, GiB"] == pytest.approx(35.8, abs=0.1)
    assert found["cut and with checkpointing, GiB"] == pytest.approx(23.9, abs=0.1)


def test_a_reckoned_round_counts_steps_and_kernels() -> None:
    """Refilled, a place is empty only at the end; a step has kernels for each of 32 layers."""
    ends = [round_on_gpu.steps(512, 16, refilled=refilled) for refilled in (False, True)]
    tokens = 512 * round_on_gpu.RESPONSE
    assert tokens / 16 < ends[1] < 1.3 * tokens / 16 < ends[0]
    one_at_a_time = [round_on_gpu.steps(20, 1, refilled=refilled) for refilled in (False, True)]
    assert one_at_a_time[0] == one_at_a_time[1]
    kernels = round_on_gpu.kernels_of_a_step()
    assert kernels > 32 * 2 * 7  # at least two products for each linear layer
    found = round_on_gpu.reckoned(512, 16, kernels, refilled=True, ahead=True)
    later = round_on_gpu.reckoned(512, 16, kernels, refilled=False, ahead=False)
    assert found["updates"] == later["updates"] and found["decoding"] < later["decoding"]


def test_a_captured_step_is_reckoned_by_what_the_gpu_does() -> None:
    """So it gains where launching takes longer than that, and nothing where reading does."""
    eager, captured = (round_on_gpu.kernels_of_a_step(captured=how) for how in (False, True))
    assert abs(captured - eager) < 0.2 * eager
    read = 2 * round_on_gpu.WEIGHTS / 3.35e12
    few, many = (round_on_gpu.step_seconds(rows, captured, captured=True) for rows in (1, 64))
    assert read < few < round_on_gpu.step_seconds(1, eager) < many
    assert many == pytest.approx(round_on_gpu.step_seconds(64, eager), rel=0.1)
