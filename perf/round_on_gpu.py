"""What a round of PPO would take on one H100, reckoned: no GPU was there to ask.

    python -m perf.round_on_gpu [--rollouts 512] [--launch 6]

The model is LLaVA-1.5-7B in bfloat16 with adapters of rank 64, responses end after 150 tokens on
average (of 896 allowed), each token as likely as the one before. What is assumed stands in
``ASSUMED``; the kernels of a decoding step are counted on a small model in the engine itself.
A step takes as long as the GPU reads weights, keys and values and pauses between kernels, or as the
processor launches those, whichever is longer; one that is captured is launched at once.
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
from training.rlhf.graphs import Step
from training.rlhf.models import VisionLanguageModel
from training.rlhf.rollout import sample
from training.rlhf.static_decoding import COLUMNS

_LAUNCH = "microseconds to launch a kernel, eagerly"
ASSUMED = {
    "share of 989 TFLOP/s that passes over many tokens reach": 0.4,
    _LAUNCH: 6.0,
    "milliseconds to decode and preprocess an image in the process itself": 8.0,
    "share of 3.35 TB/s that a decoding step reads with": 0.7,
    "microseconds between kernels that are launched already": 1.0,
    "microseconds to launch a captured step": 20.0,
    "eager steps that capturing one takes as long as": 4.0,
}
WEIGHTS, LAYERS = 6.476e9, 32
PROMPT, RESPONSE, SLOTS, FACTS = 626, 150, 896, 120
TOWER = 0.35e12
"""Operations for an image: 24 layers of 12.6 million weights, 577 patches."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rollouts", type=int, default=512)
    parser.add_argument("--launch", type=float, default=ASSUMED[_LAUNCH], help=_LAUNCH)
    options = parser.parse_args()
    count, ASSUMED[_LAUNCH] = options.rollouts, options.launch
    kernels, captured = kernels_of_a_step(), kernels_of_a_step(captured=True)
    print(*(f"assumed: {what}: {value:g}" for what, value in ASSUMED.items()), sep="\n")
    print(f"kernels of a decoding step, counted: {kernels}, {captured} where it is captured")
    columns = {
        "a batch of 16 to its end": reckoned(count, 16, kernels, refilled=False, ahead=False),
        "refilled, 16 at once": reckoned(count, 16, kernels, refilled=True, ahead=True),
        "refilled, 64 at once": reckoned(count, 64, kernels, refilled=True, ahead=True),
    }
    for at_once in (16, 64):
        seconds = dict(columns[f"refilled, {at_once} at once"])
        seconds["decoding"] = captured_seconds(count, at_once, captured)
        columns[f"captured, {at_once} at once"] = seconds
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
    peak, _, decode, *_ = ASSUMED.values()
    rate = 989e12 * peak
    one = 2 * WEIGHTS * (PROMPT + RESPONSE)  # a pass forward
    return {
        "images": count * (TOWER / rate + (0 if ahead else decode / 1e3)),
        "decoding": steps(count, at_once, refilled=refilled) * step_seconds(at_once, kernels),
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


def step_seconds(at_once: int, kernels: int, *, captured: bool = False) -> float:
    """Of one token for each of ``at_once`` responses.

    Each row is read as far as the longest of them; ages of responses under way are as random as
    lengths.
    """
    _, launch, _, share, pause, replay, _ = ASSUMED.values()
    longest = PROMPT + RESPONSE * sum(1 / place for place in range(1, at_once + 1))
    columns = longest + COLUMNS / 2 * captured  # rounded up
    read = 2 * WEIGHTS + at_once * columns * 2 * 2 * LAYERS * 4096
    busy = read / (3.35e12 * share) + kernels * pause / 1e6
    return busy + replay / 1e6 if captured else max(busy, kernels * launch / 1e6)


def captured_seconds(count: int, at_once: int, kernels: int) -> float:
    """Of decoding where steps are captured, for each halving of places and 128 columns more.

    The first step is launched kernel by kernel each time that responses have been let in.
    """
    graphs = at_once.bit_length() + -(-SLOTS // COLUMNS)
    eager = (
        count / (at_once // 4) + ASSUMED["eager steps that capturing one takes as long as"] * graphs
    )
    whole = steps(count, at_once, refilled=True) * step_seconds(at_once, kernels, captured=True)
    return whole + eager * step_seconds(at_once, kernels)


def kernels_of_a_step(*, captured: bool = False) -> int:
    """Operations dispatched for one token of each row, those without a kernel left out.

    Of a step of fixed shapes, as it is ``captured``, or of one that is launched kernel by kernel.
    """
    one, two = (_Kernels.of(layers, captured=captured) for layers in (2, 3))
    return one + (two - one) * (LAYERS - 2)


class ByPython:
    """``Graphs`` that captures nothing: Python makes every step."""

    def capture(self, step: Step) -> Step:
        """See ``Graphs``."""
        step()
        return step


class _Kernels(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, call: Any, types: Any, given: Any = (), more: Any = None) -> Any:
        self.count += not (call.is_view or call.overloadpacket in _NO_KERNEL)
        return call(*given, **(more or {}))

    @classmethod
    def of(cls, layers: int, *, captured: bool) -> int:
        form = shape.Shape.small(hidden=64, layers=layers, vocabulary=128)
        model = VisionLanguageModel(
            form.base().bfloat16(), form.processor(), device=torch.device("cpu")
        )
        model.stop_ids = ()
        model.graphs = ByPython if captured else None
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
    """What one more token adds; captured steps are made by eights."""
    counts, slots = [], (8, 16) if model.graphs else (4, 5)
    for length in slots:
        with _Kernels() as found:
            settings = SamplingSettings(response_length=length)
            sample(model, prompts, settings, adapter=POLICY, batch_size=2)
        counts.append(found.count)
    return (counts[1] - counts[0]) // (slots[1] - slots[0])


_NO_KERNEL = (
    torch.ops.aten.empty,
    torch.ops.aten.detach,
    torch.ops.aten._unsafe_view,
    torch.ops.aten.empty_strided,
)


if __name__ == "__main__":
    main()
