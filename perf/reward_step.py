"""What an optimiser step of the reward model costs in the engine and in a straightforward loop.

Both must come to the same loss and move the weights alike; printed are processor and wall seconds
and the memory on top, each as the median of several steps with the least and the most, and the
ratio of the medians, for both places where facts can stand:

    python -m perf.reward_step [--pairs 8] [--threads 2] [--repeat 5]

The straightforward loop is ``perf.naive_steps``; the model is ``perf.shape``.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from perf import shape
from perf.measuring import Cost, Row, cost_of, table
from perf.naive_steps import PlainRewards, plain_reward_step
from perf.ppo_step import add_shape_options, rating_template, shape_of
from training.rlhf.contract import OptimizerSettings, PreferencePair, RewardSettings, Turn
from training.rlhf.evaluation import sequences_of
from training.rlhf.optimization import Optimizer
from training.rlhf.reward_model import ADAPTER, RewardModel
from training.rlhf.reward_step import train_step

POSITIONS = ("before_response", "after_response")
RATE = OptimizerSettings(learning_rate=1e-4)
SEED = "0"


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    print(
        f"{options.pairs} pairs, {shape_of(options).image_tokens} image tokens, "
        f"{options.threads} threads; medians of {options.repeat} steps (least to most)"
    )
    rows: list[Row] = []
    differences = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Work(options, Path(folder))
        for position in POSITIONS:
            plain, engine, differences[position] = compared(work, position, options.repeat)
            rows.append((f"facts {position}", plain, engine))
    print(*table(rows), sep="\n")
    for position, apart in differences.items():
        for name, difference in apart.items():
            print(f"facts {position}, {name:32}{difference:9.1e} apart")


def compared(
    work: Work, position: str, repeat: int
) -> tuple[list[Cost], list[Cost], dict[str, float]]:
    """Costs of the straightforward and the engine's steps, and how far their results are apart."""
    engine = [work.engine(position) for _ in range(repeat)]
    plain = [work.plain(position) for _ in range(repeat)]
    (loss, moved, _), (plain_loss, plain_moved, _) = engine[0], plain[0]
    apart = {
        "loss": abs(loss - plain_loss),
        "step of the weights, relative": float((moved - plain_moved).norm() / plain_moved.norm()),
    }
    return [cost for *_, cost in plain], [cost for *_, cost in engine], apart


class Work:
    """An optimiser step that can be carried out again and again from the same start."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        form = shape_of(options)
        self.model = shape.model(form)
        self.options = options
        self.model.add_adapter(ADAPTER, shape.LORA)
        self.model.add_head(ADAPTER)
        torch.nn.init.normal_(self.model.heads[ADAPTER].weight, std=0.1)
        shape.disturb(self.model.trainable(ADAPTER))
        self.model.train_only(self.model.trainable(ADAPTER))
        self._begin = {k: p.detach().clone() for k, p in self.model.trainable(ADAPTER).items()}
        files = shape.images(folder, options.pairs, form.image_size)
        self.pairs = [_pair(file, number, options) for number, file in enumerate(files)]
        self.folder = folder

    def engine(self, position: str) -> tuple[float, Tensor, Cost]:
        """Loss, how far the weights moved, and the cost."""
        optimizer = self._fresh_optimizer()
        rewards = RewardModel(self.model, rating_template(position), max_length=4096)
        self.model.encode_images.forget()
        batch = [(pair, SEED) for pair in self.pairs]
        losses: list[float] = []

        def step() -> None:
            metrics = train_step(self._run(position), rewards, optimizer, batch, step=0)
            losses.append(metrics["train/loss"])

        cost = cost_of(step)
        return losses[0], self._moved(), cost

    def plain(self, position: str) -> tuple[float, Tensor, Cost]:
        """The same of the straightforward step."""
        optimizer = self._fresh_optimizer()
        rewards = PlainRewards(self.model, rating_template(position), max_length=4096)
        both = sequences_of(
            self._run(position), rewards, self.pairs, order=[SEED] * len(self.pairs)
        )
        around = [
            len(one) - len(pair.output_1.split())
            for pair, (one, _) in zip(self.pairs, both, strict=True)
        ]
        rewards.width = max(around) + self.options.slots
        rewards.files = {
            id(one.image): self.folder / pair.image
            for pair, (one, _) in zip(self.pairs, both, strict=True)
        }
        losses: list[float] = []
        batch = list(zip(self.pairs, both, strict=True))
        settings = self._settings(position)
        cost = cost_of(
            lambda: losses.append(plain_reward_step(rewards, settings, optimizer, batch))
        )
        return losses[0], self._moved(), cost

    def _fresh_optimizer(self) -> Optimizer:
        for key, parameter in self.model.trainable(ADAPTER).items():
            parameter.data.copy_(self._begin[key])
        return Optimizer(self.model.trainable(ADAPTER), RATE, total_steps=1)

    def _moved(self) -> Tensor:
        parameters = self.model.trainable(ADAPTER).items()
        return torch.cat([(p.detach() - self._begin[key]).flatten() for key, p in parameters])

    def _settings(self, position: str) -> RewardSettings:
        return RewardSettings(
            facts_position=position,  # type: ignore[arg-type]
            optimizer=RATE,
            batch_size=len(self.pairs),
            micro_batch_size=self.options.micro_batch,
        )

    def _run(self, position: str) -> Any:
        return SimpleNamespace(
            spec=SimpleNamespace(settings=self._settings(position), seed=0),
            image_files=lambda record: (self.folder / record.image,),
        )


def _pair(file: Path, number: int, options: argparse.Namespace) -> PreferencePair:
    generator = random.Random(number)
    vocabulary, mean = options.vocabulary, options.slots / 6
    lengths = [min(max(round(generator.expovariate(1 / mean)), 4), options.slots) for _ in range(2)]
    question = shape.text(36 + number % 9, vocabulary, seed=number)
    return PreferencePair(
        id=str(number),
        image=file.name,
        conversation=(Turn(speaker="human", text=f"<image>\n{question}"),),
        captions=tuple(shape.text(11, vocabulary, seed=100 + 5 * number + n) for n in range(5)),
        output_1=shape.text(lengths[0], vocabulary, seed=1000 + number),
        output_2=shape.text(lengths[1], vocabulary, seed=2000 + number),
        preference=1 if number % 2 else 2,
    )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_shape_options(parser)
    parser.add_argument("--pairs", type=int, default=8, help="pairs in the step")
    parser.add_argument("--micro-batch", type=int, default=4, help="pairs in a pass")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5, help="steps of each")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
