"""What a round of PPO costs on a GPU: a LLaVA in the shape of LLaVA-1.5-7B with random weights.

    python -m perf.gpu [--quantization nf4] [--cuda-graphs] [--rollouts 128]
    python -m perf.gpu --small            # a small shape, on the CPU if there is no GPU

Printed are responses an hour (sampling, scoring, measuring and updating), tokens a second of
sampling, the share that updating has of the rate at which the device multiplies matrices, and peak
memory. The operations of attention are not counted, so that share is a lower bound.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from perf import shape
from perf.measuring import Cost
from perf.ppo_step import Result, Work
from training.rlhf.adapters import POLICY
from training.rlhf.contract import LoraSettings, ModelSettings
from training.rlhf.devices import own_device
from training.rlhf.experience import prompts_of
from training.rlhf.models import VisionLanguageModel
from training.rlhf.reward_model import RewardModel
from training.rlhf.rollout import sample

SMALL = shape.Shape.small(hidden=64, layers=2, vocabulary=256)


def main() -> None:
    options = parse()
    for name, value in figures(options).items():
        print(f"{name:44}{value:16,.2f}")


def figures(options: argparse.Namespace) -> dict[str, float]:
    """The round's figures, by what they are called."""
    form = SMALL if options.small else shape.Shape()
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        folder = Path(name)
        model = _model(form, folder / "base", options)
        work = Work(options, folder, form=form, model=model, lora=LoraSettings())
        work.settings = replace(work.settings, micro_batch_size=options.update_batch)
        speed = _sampling_speed(work)  # this also warms up
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        result, (rollout, update) = work.engine()
    rate = _matrix_rate(model.device, 128 if options.small else 8192)
    seconds = rollout.wall_seconds + update.wall_seconds
    return {
        "responses an hour": 3600 * options.rollouts / seconds,
        "response tokens, mean": float(result.trajectory.responses.lengths.float().mean()),
        "sampling, tokens a second": speed,
        "sampling, scoring and measuring, seconds": rollout.wall_seconds,
        "updating, seconds": update.wall_seconds,
        "updating, TFLOP/s": _operations(work, result) / update.wall_seconds / 1e12,
        "matrix multiplication, TFLOP/s": rate / 1e12,
        "updating, % of matrix multiplication": 100
        * _operations(work, result)
        / update.wall_seconds
        / rate,
        "peak memory, GiB": _peak(rollout, update) / 2**30,
    }


def _model(form: shape.Shape, folder: Path, options: argparse.Namespace) -> VisionLanguageModel:
    """Written and loaded as any base is, so that 4 bits go the engine's own way."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with own_device():
            base = form.base()
    finally:
        torch.set_default_dtype(before)
    base.save_pretrained(folder)
    form.processor().save_pretrained(folder)
    del base
    settings = ModelSettings(
        dtype="bfloat16", quantization=options.quantization, cuda_graphs=options.cuda_graphs
    )
    return VisionLanguageModel.load(str(folder), settings)


def _sampling_speed(work: Work) -> float:
    """Response tokens a second, the passes over the prompts included."""
    learner = work.learner(RewardModel)
    prompts = prompts_of(learner, work.records)
    size = work.settings.rollout_micro_batch_size
    started = time.perf_counter()
    responses = sample(work.model, prompts, work.settings.sampling, adapter=POLICY, batch_size=size)
    return float(responses.lengths.sum()) / (time.perf_counter() - started)


def _operations(work: Work, result: Result) -> float:
    """Multiplications and additions of the linear layers in the round's updates.

    Forward and backward through a frozen layer are two each for a weight and a token. A prompt is
    counted once for all responses to it; padding is not counted.
    """
    decoder = work.model.base.get_decoder()
    weights = sum(
        layer.in_features * layer.out_features
        for name, layer in decoder.named_modules()
        if isinstance(layer, nn.Linear) and "lora_" not in name
    )
    head = work.model.base.get_output_embeddings()
    each = work.settings.responses_per_prompt
    prompts = sum(len(prompt) for prompt in result.trajectory.prompts[::each])
    responses = int(result.trajectory.responses.mask.sum())
    adapters = 2 * weights * (prompts + responses)
    return 4.0 * work.settings.update_epochs * (adapters + head.weight.numel() * responses)


def _matrix_rate(device: torch.device, size: int) -> float:
    """Operations a second of multiplying two square matrices in bfloat16."""
    one, two = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        _synchronise()
        started = time.perf_counter()
        for _ in range(4):
            one @ two
        _synchronise()
        best = min(best, (time.perf_counter() - started) / 4)
    return 2 * size**3 / best


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _peak(*costs: Cost) -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return max(cost.peak_bytes for cost in costs)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a small shape instead of 7B")
    parser.add_argument("--quantization", choices=("none", "nf4"), default="none")
    parser.add_argument("--cuda-graphs", action="store_true", help="capture decoding steps")
    parser.add_argument("--slots", type=int, default=896, help="longest response")
    parser.add_argument("--rollouts", type=int, default=128, help="responses in the round")
    parser.add_argument("--responses-per-prompt", type=int, default=1)
    parser.add_argument("--micro-batch", type=int, default=32, help="responses sampled at once")
    parser.add_argument("--update-batch", type=int, default=8, help="responses in an update's pass")
    parser.add_argument("--scratch", help="a folder with room for the base (15 GB)")
    options = parser.parse_args(arguments)
    if options.quantization == "nf4" and importlib.util.find_spec("bitsandbytes") is None:
        parser.error("--quantization nf4 needs the bitsandbytes package")
    if not options.small and not torch.cuda.is_available():
        parser.error("there is no GPU; --small runs on the CPU")
    return options


if __name__ == "__main__":
    main()
