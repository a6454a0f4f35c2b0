"""What one round's measuring and updating costs in the engine and in a straightforward loop.

Both do the same work on the same random model; printed are processor seconds and their ratio:

    python -m perf.ppo_step [--hidden 128] [--layers 4] [--rollouts 8] [--repeat 3]

The straightforward loop is how the paper's code goes about it: it encodes each image anew for every
pass, builds logits over the vocabulary for every token, also for value and reward, and always
pads to the longest response allowed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from tests.training.rlhf import tiny
from training.rlhf.contract import LoraSettings, Turn
from training.rlhf.data import TokenSequence, batches, by_length
from training.rlhf.models import VisionLanguageModel
from training.rlhf.rollout import response_hidden, token_logprobs

ADAPTERS = ("policy", "reference", "value", "reward")
MICRO_BATCH = 8


def main() -> None:
    options = _options()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model, files = _model(options, Path(folder))
        prompts = [
            model.chat.prompt((Turn(speaker="human", text="<image>\nwhat is there ?"),), image)
            for image in model.encode_images(files)
        ]
        ids, mask = _responses(options)
        pixels = torch.cat([_pixels(model, file) for file in files])
        passes: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
            "measuring": (
                lambda: _straightforward(model, prompts, pixels, ids, mask, train=False),
                lambda: _engine(model, prompts, ids, mask, train=False),
            ),
            "updating": (
                lambda: _straightforward(model, prompts, pixels, ids, mask, train=True),
                lambda: _engine(model, prompts, ids, mask, train=True),
            ),
        }
        tokens = float(mask.sum(1).float().mean())
        print(
            f"{options.rollouts} rollouts, {len(prompts[0].image.placeholder_ids)} image tokens, "
            f"{tokens:.0f} of {options.slots} response tokens, {torch.get_num_threads()} threads"
        )
        print(f"{'':12}{'plain s':>10}{'engine s':>10}{'ratio':>8}")
        for name, (plain, engine) in passes.items():
            slow, fast = _seconds(plain, options.repeat), _seconds(engine, options.repeat)
            print(f"{name:12}{slow:10.2f}{fast:10.2f}{slow / fast:8.2f}")


def _straightforward(
    model: VisionLanguageModel,
    prompts: Sequence[TokenSequence],
    pixels: Tensor,
    ids: Tensor,
    mask: Tensor,
    *,
    train: bool,
) -> None:
    """Four full passes with pixels, all logits and all slots; two of them with gradients."""
    prompt_ids = torch.tensor([prompt.ids for prompt in prompts])
    for rows in batches(range(len(prompts)), MICRO_BATCH):
        inputs = {
            "input_ids": torch.cat([prompt_ids[rows], ids[rows]], dim=1),
            "attention_mask": torch.cat([torch.ones_like(prompt_ids[rows]), mask[rows]], dim=1),
            "pixel_values": pixels[rows],
        }
        for adapter in ("policy", "value") if train else ADAPTERS:
            with torch.set_grad_enabled(train), model.using(adapter):
                output = model.base(**inputs, output_hidden_states=True, use_cache=False)
            start = prompt_ids.shape[1] - 1
            logprobs = torch.log_softmax(output.logits[:, start:-1].float(), -1)
            chosen = logprobs.gather(-1, ids[rows][..., None]).squeeze(-1)
            values = output.hidden_states[-1][:, start:-1].float().mean(-1)
            if train:
                ((chosen if adapter == "policy" else values) * mask[rows]).mean().backward()


def _engine(
    model: VisionLanguageModel,
    prompts: Sequence[TokenSequence],
    ids: Tensor,
    mask: Tensor,
    *,
    train: bool,
) -> None:
    """The engine's own passes: cached images, no needless logits, no needless slots."""
    for rows in batches(by_length(mask.sum(1).tolist()), MICRO_BATCH):
        width = int(mask[rows].sum(1).max())
        part = [prompts[row] for row in rows], ids[rows, :width], mask[rows, :width]
        for adapter in ("policy", "value") if train else ADAPTERS:
            with torch.set_grad_enabled(train):
                hidden = response_hidden(model, adapter, *part)
                if adapter in ("policy", "reference"):
                    result, _ = token_logprobs(model, hidden, *part[1:], temperature=1.0)
                else:
                    result = hidden.float().mean(-1)
            if train:
                (result * part[2]).mean().backward()


def _model(options: argparse.Namespace, folder: Path) -> tuple[VisionLanguageModel, list[Path]]:
    base = tiny.model(
        hidden_size=options.hidden,
        layers=options.layers,
        image_size=options.image,
        vocabulary=options.vocabulary,
    )
    model = VisionLanguageModel(
        base, tiny.processor(image_size=options.image), device=torch.device("cpu")
    )
    for name in ADAPTERS:
        model.add_adapter(name, LoraSettings(rank=16, alpha=16))
    model.train_only(model.trainable("policy"), model.trainable("value"))
    files = []
    for number in range(options.rollouts):
        path = folder / f"{number}.png"
        Image.new("RGB", (options.image, options.image), (number % 256, 80, 160)).save(path)
        files.append(path)
    return model, files


def _responses(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Random tokens, with lengths as uneven as real responses are: a sixth of the slots on mean."""
    generator = random.Random(0)
    mean = options.slots / 6
    lengths = [
        min(max(round(generator.expovariate(1 / mean)), 4), options.slots)
        for _ in range(options.rollouts)
    ]
    ids = torch.randint(len(tiny.SPECIAL), len(tiny.SPECIAL) + 10, (len(lengths), options.slots))
    mask = torch.tensor([[int(n < length) for n in range(options.slots)] for length in lengths])
    return ids, mask


def _pixels(model: VisionLanguageModel, file: Path) -> Tensor:
    inputs: Any = model.processor.image_processor(Image.open(file), return_tensors="pt")
    pixels: Tensor = inputs["pixel_values"]
    return pixels


def _seconds(work: Callable[[], None], repeat: int) -> float:
    """Median processor time of ``repeat`` calls, after one that warms up."""
    work()
    found = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return statistics.median(found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=128, help="width of the language model")
    parser.add_argument("--layers", type=int, default=4, help="its layers")
    parser.add_argument("--image", type=int, default=40, help="image size; a patch is 4 pixels")
    parser.add_argument("--vocabulary", type=int, default=4000, help="tokens")
    parser.add_argument("--slots", type=int, default=96, help="longest response")
    parser.add_argument("--rollouts", type=int, default=8, help="responses in the round")
    parser.add_argument("--repeat", type=int, default=3, help="timed repetitions")
    return parser.parse_args()


if __name__ == "__main__":
    main()
