"""What a round of PPO would take on one H100, reckoned: no GPU was there to ask.

    python -m perf.round_on_gpu [--rollouts 512]

The model is LLaVA-1.5-7B in bfloat16 with adapters of rank 64, responses end after 150 tokens on
average (of 896 allowed), each token as likely as the one before. What is assumed stands in
``ASSUMED``; the kernels of a decoding step are counted on a small model in the engine itself.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from perf import shape
from training.rlhf.adapters import POLICY
from training.rlhf.contract import LoraSettings, SamplingSettings, Turn
from training.rlhf.data import TokenSequence, batches, length_batches
from training.rlhf.models import VisionLanguageModel
from training.rlhf.rollout import sample

ASSUMED = {
    "share of 989 TFLOP/s that passes over many tokens reach": 0.4,
    "microseconds to launch a kernel, eagerly": 6.0,
    "milliseconds to decode and preprocess an image in the process itself": 8.0,
}
WEIGHTS, LAYERS = 6.476e9, 32
PROMPT, RESPONSE, SLOTS, FACTS = 626, 150, 896, 120
TOWER = 0.35e12
"""Operations for an image: 24 layers of 12.6 million weights, 577 patches."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rollouts", type=int, default=512)
    count = parser.parse_args().rollouts
    kernels = kernels_of_a_step()
    print(*(f"assumed: {what}: {value:g}" for what, value in ASSUMED.items()), sep="\n")
    print(f"kernels of a decoding step, counted: {kernels}")
    columns = {
        "a batch of 16 to its end": reckoned(count, 16, kernels, refilled=False, ahead=False),
        "refilled, 16 at once": reckoned(count, 16, kernels, refilled=True, ahead=True),
        "refilled, 64 at once": reckoned(count, 64, kernels, refilled=True, ahead=True),
    }
    for at_once in (16, 64):
        seconds = dict(columns[f"refilled, {at_once} at once"])
        seconds["decoding"] = max(seconds["decoding"] - seconds["updates"], 0.0)
        columns[f"the same on a GPU of its own, a round ahead, {at_once} at once"] = seconds
    for name, seconds in columns.items():
        total = sum(seconds.values())
        parts = ", ".join(f"{what} {value:.0f} s" for what, value in seconds.items())
        print(f"{name}: {parts}; {3600 * count / total:,.0f} responses an hour")

    for name, most in {"8 rows": (8, 0), "6,208 tokens": (64, 6208)}.items():
        padding, largest = filled(*most)
        print(
            f"passes of an update, {name} at most: {padding:.1%} padding, {largest:,} in the most"
        )


def filled(rows: int, tokens: int, *, updates: int = 8, batch: int = 256) -> tuple[float, int]:
    """Share of padding in the passes of ``updates`` of ``batch`` each; tokens of the largest."""
    sizes, real = list[int](), 0
    lengths = [PROMPT + length for length in response_lengths(updates * batch)]
    for part in batches(lengths, batch):
        passes = length_batches(part, rows, tokens)
        sizes += [len(chosen) * part[chosen[0]] for chosen in passes]
        real += sum(part)
    return 1 - real / sum(sizes), max(sizes)


def response_lengths(count: int) -> list[int]:
    """Random ones, the same each time."""
    generator = random.Random(0)
    return [min(1 + int(generator.expovariate(1 / RESPONSE)), SLOTS) for _ in range(count)]


def reckoned(
    count: int, at_once: int, kernels: int, *, refilled: bool, ahead: bool
) -> dict[str, float]:
    """Seconds of each part of a round of ``count`` responses."""
    peak, launch, decode = ASSUMED.values()
    rate = 989e12 * peak
    one = 2 * WEIGHTS * (PROMPT + RESPONSE)  # a pass forward
    return {
        "images": count * (TOWER / rate + (0 if ahead else decode / 1e3)),
        "decoding": steps(count, at_once, refilled=refilled) * kernels * launch / 1e6,
        "passes of the rollout": count * (4 * one + 2 * WEIGHTS * FACTS) / rate,
        "updates": count * 2 * 2 * 2 * one / rate,  # epochs, adapters, forward and backward
    }


def steps(count: int, at_once: int, *, refilled: bool) -> int:
    """Decoding steps for responses of random length, let in by quarters or by whole batches."""
    lengths = response_lengths(count)
    if not refilled:
        return sum(max(lengths[at : at + at_once]) for at in range(0, count, at_once))
    under_way, taken = list[int](), 0
    while lengths or under_way:
        room = at_once - len(under_way)
        if lengths and room >= at_once // 4:
            under_way, lengths = under_way + lengths[:room], lengths[room:]
        taken += 1
        under_way = [left - 1 for left in under_way if left > 1]
    return taken


def kernels_of_a_step() -> int:
    """Operations dispatched for one token of each row, those without a kernel left out."""
    one, two = (_Kernels.of(layers) for layers in (2, 3))
    return one + (two - one) * (LAYERS - 2)


class _Kernels(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, call: Any, types: Any, given: Any = (), more: Any = None) -> Any:
        self.count += not (call.is_view or call.overloadpacket in _NO_KERNEL)
        return call(*given, **(more or {}))

    @classmethod
    def of(cls, layers: int) -> int:
        form = shape.Shape.small(hidden=64, layers=layers, vocabulary=128)
        model = VisionLanguageModel(
            form.base().bfloat16(), form.processor(), device=torch.device("cpu")
        )
        model.stop_ids = ()
        model.add_adapter(POLICY, LoraSettings(rank=8))
        with tempfile.TemporaryDirectory() as folder:
            images = model.encode_images(shape.images(Path(folder), 2, form.image_size))
        questions = ("<image>\nw1 w2", "<image>\nw1 w2 w3")
        prompts = [
            model.chat.prompt((Turn(speaker="human", text=question),), image)
            for question, image in zip(questions, images, strict=True)
        ]
        return _steps_apart(model, prompts)


def _steps_apart(model: VisionLanguageModel, prompts: list[TokenSequence]) -> int:
    """What one more token adds."""
    counts = []
    for slots in (4, 5):
        with _Kernels() as found:
            settings = SamplingSettings(response_length=slots)
            sample(model, prompts, settings, adapter=POLICY, batch_size=2)
        counts.append(found.count)
    return counts[1] - counts[0]


_NO_KERNEL = (
    torch.ops.aten.empty,
    torch.ops.aten.detach,
    torch.ops.aten._unsafe_view,
    torch.ops.aten.empty_strided,
)


if __name__ == "__main__":
    main()
