"""What parts of the engine cost now and as they were before, by turns in one run.

    python -m perf.engine_parts [decoding] [places] [generate] [logprobs] [passes] [images] [order]
                                [--repeat 3]

Before means: a batch is decoded until its longest response ends, also in a run that generates;
log-probabilities are taken from float32 copies of the whole vocabulary, with an entropy beside
each; passes are filled by rows; images are decoded when they are wanted; an order over the data is
shuffled anew at every step. Printed are the least processor seconds of several turns, since others
on the machine can only add to them, and what else counts.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from perf import shape
from perf.measuring import cost_of
from perf.round_on_gpu import ByPython
from training.rlhf import data, generate
from training.rlhf.adapters import POLICY
from training.rlhf.contract import (
    GenerateSettings,
    Generation,
    Kind,
    LoraSettings,
    PromptRecord,
    RunSpec,
    SamplingSettings,
    Turn,
)
from training.rlhf.data import EndlessOrder, TokenSequence, length_batches
from training.rlhf.events import EventWriter
from training.rlhf.logprobs import token_logprobs
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prefixes import family_batches, key_of
from training.rlhf.rollout import response_hidden, sample
from training.rlhf.run_directory import OWN_BASE, Run

Work = Callable[[], object]
Line = tuple[str, str, str, str]


def by_turns(before: Work, now: Work, repeat: int) -> tuple[float, float]:
    """The least processor seconds of both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeat):
        for found, work in zip(times, (before, now), strict=True):
            started = time.process_time()
            work()
            found.append(time.process_time() - started)
    return min(times[0]), min(times[1])


def line(what: str, before: float, now: float, unit: str = "s") -> Line:
    ratio = f"{before / max(now, 1e-9):.2f}"
    return what, f"{before:,.4g} {unit}", f"{now:,.4g} {unit}", ratio


def decoding(folder: Path, repeat: int) -> Iterator[Line]:
    """64 responses, 8 at once, to prompts of 441 image tokens and a question."""
    form = shape.Shape.small(hidden=192, layers=4, vocabulary=512)
    model = shape.model(form)
    shape.shorten(model, form, slots=256)
    prompts = _prompts(model, folder)
    settings = SamplingSettings(temperature=1.0, response_length=256)
    steps: dict[str, list[int]] = {"before": [], "now": []}
    running, run = "", model.run

    def counted(**inputs: Any) -> Tensor:
        if inputs["input_ids"].shape[1] == 1:
            steps[running].append(len(inputs["input_ids"]))
        return run(**inputs)

    model.run = counted  # type: ignore[method-assign]

    def start(name: str) -> None:
        nonlocal running
        running, steps[name] = name, []
        torch.manual_seed(0)

    def before() -> None:
        start("before")
        keys, lengths = [key_of(prompt) for prompt in prompts], [len(p) for p in prompts]
        for rows in family_batches(keys, lengths, 8):
            part = [prompts[row] for row in rows]
            sample(model, part, settings, adapter=None, batch_size=8)

    def now() -> None:
        start("now")
        sample(model, prompts, settings, adapter=None, batch_size=8)

    old, new = by_turns(before, now, repeat)
    yield line("decoding, processor seconds", old, new)
    yield line("decoding, steps", len(steps["before"]), len(steps["now"]), "")
    shares = [100 * sum(found) / len(found) / 8 for found in (steps["before"], steps["now"])]
    yield "decoding, rows in a step", *(f"{share:.0f} %" for share in shares), ""


def places(folder: Path, repeat: int) -> Iterator[Line]:
    """The same in fixed places and steps of fixed shapes, as they are captured on a GPU.

    Nothing is captured here. Before is how a CPU decodes.
    """
    form = shape.Shape.small(hidden=192, layers=4, vocabulary=512)
    model = shape.model(form)
    shape.shorten(model, form, slots=256)
    prompts = _prompts(model, folder)
    settings = SamplingSettings(temperature=1.0, response_length=256)
    found: list[Tensor] = []

    def decode(graphs: type[ByPython] | None) -> None:
        model.graphs = graphs
        torch.manual_seed(0)
        found.append(sample(model, prompts, settings, adapter=None, batch_size=8).ids)

    yield line(
        "decoding in fixed places, processor seconds",
        *by_turns(lambda: decode(None), lambda: decode(ByPython), repeat),
    )
    assert all(torch.equal(ids, found[0]) for ids in found)


def _prompts(model: VisionLanguageModel, folder: Path) -> list[TokenSequence]:
    """64, each of 441 image tokens and a question of its own."""
    return [
        model.chat.prompt((Turn(speaker="human", text=f"<image>\n{question}"),), image)
        for number, image in enumerate(model.encode_images(shape.images(folder, 64, 84)))
        for question in [shape.text(36 + number % 9, 512, seed=number)]
    ]


def generation(folder: Path, repeat: int) -> Iterator[Line]:
    """A run that answers 96 prompts, 8 at once, in the order of its records."""
    form = shape.Shape.small(hidden=192, layers=4, vocabulary=512)
    model = shape.model(form)
    shape.shorten(model, form, slots=256)
    (folder / "images").mkdir()
    files = shape.images(folder / "images", 96, 84)
    questions = [shape.text(36 + number % 9, 512, seed=number) for number in range(96)]
    records = [
        PromptRecord(
            id=str(number),
            image=file.name,
            conversation=(Turn(speaker="human", text=f"<image>\n{question}"),),
        )
        for number, (file, question) in enumerate(zip(files, questions, strict=True))
    ]
    settings = GenerateSettings(
        batch_size=8, sampling=SamplingSettings(temperature=1.0, response_length=256)
    )
    spec = RunSpec(kind=Kind.GENERATE, settings=settings, base_model=OWN_BASE)
    answers: dict[int, list[Generation]] = {}

    with (folder / "events").open("w") as file:
        run = Run(folder, spec, EventWriter(folder / "events.jsonl", stream=file))

        def answer(window: int) -> None:
            parts = data.batches(records, window * settings.batch_size)
            told = [generate._answers(run, model, None, part, lambda _: None) for part in parts]
            answers[window] = [*chain.from_iterable(told)]

        old, new = by_turns(lambda: answer(1), lambda: answer(generate._WINDOW), repeat)
    assert answers[1] == answers[generate._WINDOW]
    yield line("a run that generates, processor seconds", old, new)


def logprobs(folder: Path, repeat: int) -> Iterator[Line]:
    """1,024 tokens of a vocabulary of 32,064, forward and backward."""
    form = shape.Shape.small(hidden=192, layers=2, vocabulary=32064)
    model = shape.model(form)
    torch.manual_seed(0)
    hidden = torch.randn(8, 128, 192, requires_grad=True)
    ids, mask = torch.randint(10, 32000, (8, 128)), torch.ones(8, 128, dtype=torch.long)
    found: dict[str, Tensor] = {}

    def before() -> None:
        whole = torch.log_softmax(model.logits(hidden.flatten(0, 1)), dim=-1)
        chosen = whole.gather(-1, ids.flatten()[:, None]).squeeze(-1)
        with torch.no_grad():
            -(whole.exp() * whole).sum(-1)
        found["before"], *_ = torch.autograd.grad(chosen.sum(), hidden)

    def now() -> None:
        chosen = token_logprobs(model, hidden, ids, mask, temperature=1.0)
        found["now"], *_ = torch.autograd.grad(chosen.sum(), hidden)

    yield line("log-probabilities, processor seconds", *by_turns(before, now, repeat))
    peaks = [cost_of(work).peak_bytes / 2**20 for work in (before, now)]
    yield line("log-probabilities, peak memory", *peaks, "MiB")
    assert torch.allclose(found["before"], found["now"], atol=1e-5)


def passes(folder: Path, repeat: int) -> Iterator[Line]:
    """Forward and backward over 32 responses of 1 to 896 tokens, 8 at once; now by their tokens.

    As many at once as 8 have on average, so passes are about as many.
    """
    form = shape.Shape.small(hidden=192, layers=4, vocabulary=512)
    model = shape.model(form)
    model.add_adapter(POLICY, LoraSettings(rank=8))
    learnt = model.trainable(POLICY)
    model.train_only(learnt)
    chance, lengths = random.Random(0), list[int]()
    while len(lengths) < 32:
        lengths.append(min(1 + int(chance.expovariate(1 / 150)), 896))
    prompts = _prompts(model, folder)[:32]
    ids = torch.randint(10, 500, (32, 896), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(896) < torch.tensor(lengths)[:, None]).long()
    whole = [len(prompt) + length for prompt, length in zip(prompts, lengths, strict=True)]
    found: dict[int, Tensor] = {}

    def learn(size: int, tokens: int) -> None:
        for parameter in learnt.values():
            parameter.grad = None
        for rows in length_batches(whole, size, tokens):
            width = max(lengths[row] for row in rows)
            part = ids[rows, :width], mask[rows, :width]
            hidden = response_hidden(model, POLICY, [prompts[row] for row in rows], *part)
            token_logprobs(model, hidden, *part, temperature=1.0).sum().backward()
        found[tokens] = torch.cat([p.grad.flatten() for p in learnt.values() if p.grad is not None])

    tokens = 8 * sum(whole) // 32
    turns = (lambda: learn(8, 0)), (lambda: learn(32, tokens))
    yield line("passes, processor seconds", *by_turns(*turns, repeat))
    yield line("passes, peak memory", *(cost_of(work).peak_bytes / 2**20 for work in turns), "MiB")
    assert torch.allclose(found[0], found[tokens], atol=1e-3, rtol=1e-3)


def order(folder: Path, repeat: int) -> Iterator[Line]:
    """Steps of 128 from 212,000 conversations, as in the paper's fine-tuning."""

    def before() -> None:
        for number in range(20):
            shuffled = list(range(212_000))
            random.Random("order-0-0").shuffle(shuffled)
            shuffled[number * 128 : number * 128 + 128]

    def now() -> None:
        data._epoch.cache_clear()
        order_of_all = EndlessOrder(212_000, 0)
        for number in range(4969):
            order_of_all.slice(number * 128, 128)

    old, new = by_turns(before, now, repeat)
    yield line("order, 4,969 steps (before: of 20 reckoned)", old * 4969 / 20, new)


def images(folder: Path, repeat: int) -> Iterator[Line]:
    """48 photographs of 640 x 480 for a tower of 336: what the training process does for them."""
    form = shape.Shape.small(hidden=64, layers=1, vocabulary=128)
    model = shape.model(replace(form, image_size=336, patch_size=28))
    files = [photograph(folder / f"{number}.jpg", number) for number in range(48)]
    encoder = model.encode_images
    encoder.expect(files, 1)  # workers are started once in a run
    encoder(files)

    def waiting(work: Work) -> float:
        encoder.forget()
        started = time.process_time()
        work()
        return time.process_time() - started

    def ahead() -> None:
        encoder.expect(files, 1)
        encoder(files)

    try:
        times = [(waiting(lambda: encoder(files)), waiting(ahead)) for _ in range(repeat)]
    finally:
        encoder.close()
    here, there = (1000 * min(each) / len(files) for each in zip(*times, strict=True))
    yield line("an image, in the training process", here, there, "ms")


def photograph(file: Path, seed: int) -> Path:
    """A JPEG with detail, so that decoding it costs what a photograph costs."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 30, 40, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (480, 640), mode="bicubic").clamp(0, 1)
    fine = (fine + 0.05 * torch.rand(1, 3, 480, 640, generator=generator)).clamp(0, 1)
    array = (fine[0].permute(1, 2, 0) * 255).byte().numpy()
    Image.fromarray(array).save(file, quality=90)
    return file


PARTS = {
    "decoding": decoding,
    "places": places,
    "generate": generation,
    "logprobs": logprobs,
    "passes": passes,
    "images": images,
    "order": order,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':44}{'before':>16}{'now':>16}{'ratio':>8}")
    for name in options.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            for what, before, now, ratio in PARTS[name](Path(folder), options.repeat):
                print(f"{what:44}{before:>16}{now:>16}{ratio:>8}", flush=True)


if __name__ == "__main__":
    main()
