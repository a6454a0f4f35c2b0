"""What one round of PPO costs in the engine and in a straightforward loop.

Both sample, score, measure and update on the same model, prompts and responses, and must come to
the same result; printed are processor and wall seconds and the memory on top, each as the median of
several rounds with the least and the most, and the ratio of the medians:

    python -m perf.ppo_step [--responses-per-prompt 4] [--rollouts 16] [--threads 2] [--repeat 5]
    python -m perf.ppo_step --image-size 96 --slots 896 --responses-per-prompt 1 --rollouts 8

The second has the lengths of the preset ``paper``: 576 tokens an image, 896 places for a response.

The straightforward loop is ``perf.naive_steps``; the model is ``perf.shape``. With
``--engine-layers`` that loop, too, has the engine's own LoRA layers instead of PEFT's.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor

from perf import shape
from perf.measuring import Cost, Row, cost_of, table
from perf.naive_steps import PlainPpo, PlainRewards, peft_layers
from training.rlhf.adapters import POLICY, REFERENCE, VALUE
from training.rlhf.contract import (
    LoraSettings,
    OptimizerSettings,
    PpoSettings,
    PromptRecord,
    RewardSettings,
    SamplingSettings,
    Turn,
)
from training.rlhf.experience import Learner, prompts_of, rollout
from training.rlhf.facts import RatingTemplate
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer
from training.rlhf.ppo import update, updates_in
from training.rlhf.reward_model import ADAPTER, RewardModel
from training.rlhf.rollout import Trajectory
from training.rlhf.scoring import Scores

PHASES = ("sampling, scoring and measuring", "updating")
RATE = OptimizerSettings(learning_rate=1e-4)


@dataclass
class Result:
    """What a round came to."""

    trajectory: Trajectory
    scores: Scores
    losses: dict[str, float]
    moved: Tensor
    """How far each trained parameter moved, all in one vector."""


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        work = Work(options, Path(folder))
        engines = [work.engine()]
        engine, _ = engines[0]
        plains = [work.plain(engine, engine_layers=options.engine_layers)]
        for _ in range(options.repeat - 1):  # by turns: a busy machine is as busy for both
            engines.append(work.engine())
            plains.append(work.plain(engine, engine_layers=options.engine_layers))
    response = float(engine.trajectory.responses.lengths.float().mean())
    print(
        f"{options.rollouts} responses, {options.responses_per_prompt} to a prompt; "
        f"{work.image_tokens} image tokens, {response:.0f} of {options.slots} response tokens; "
        f"{options.threads} threads; medians of {options.repeat} rounds (least to most)"
    )
    costs = [[costs for _, costs in runs] for runs in (plains, engines)]
    rows: list[Row] = [
        (name, *([run[phase] for run in runs] for runs in costs))
        for phase, name in enumerate(PHASES)
    ]
    whole: Row = ("whole round", *([one + two for one, two in runs] for runs in costs))
    print(*table([*rows, whole]), sep="\n")
    for name, difference in differences(plains[0][0], engine).items():
        print(f"{name:34}{difference:9.1e} apart")


def differences(one: Result, two: Result) -> dict[str, float]:
    """How far two results are apart, each in the measure that suits it."""
    width = two.trajectory.logprobs.shape[1]

    def largest(name: str) -> float:
        first, second = getattr(one.trajectory, name), getattr(two.trajectory, name)
        return float((first[:, :width] - second).abs().max())

    return {
        "log-probabilities, policy": largest("logprobs"),
        "log-probabilities, reference": largest("reference_logprobs"),
        "values": largest("values"),
        "rewards": float((one.scores.total - two.scores.total).abs().max()),
        "losses": max(abs(one.losses[name] - two.losses[name]) for name in one.losses),
        "steps of the weights, relative": float((one.moved - two.moved).norm() / two.moved.norm()),
    }


class Work:
    """One round of PPO that can be carried out again and again from the same start."""

    def __init__(
        self,
        options: argparse.Namespace,
        folder: Path,
        *,
        form: shape.Shape | None = None,
        model: VisionLanguageModel | None = None,
        lora: LoraSettings = shape.LORA,
    ) -> None:
        """``form`` and ``model`` instead of the small one that ``options`` describe."""
        form = form or shape_of(options)
        self.model = model or shape.model(form)
        shape.shorten(self.model, form, slots=options.slots)
        self.settings = _settings(options)
        for name in (POLICY, REFERENCE, VALUE, ADAPTER):
            self.model.add_adapter(name, lora)
            shape.disturb(self.model.trainable(name))
        for name in (VALUE, ADAPTER):
            self.model.add_head(name)
            torch.nn.init.normal_(self.model.heads[name].weight, std=0.1)
        self.model.train_only(self.model.trainable(POLICY), self.model.trainable(VALUE))
        prompts = options.rollouts // options.responses_per_prompt
        self.files = shape.images(folder, prompts, form.image_size)
        self.records = [
            _record(file, number, form.vocabulary)
            for number, file in enumerate(self.files)
            for _ in range(options.responses_per_prompt)
        ]
        self._begin = {
            name: {k: p.detach().clone() for k, p in self.model.trainable(name).items()}
            for name in (POLICY, VALUE)
        }
        self.image_tokens = form.image_tokens

    def engine(self) -> tuple[Result, list[Cost]]:
        learner = self.learner(RewardModel)
        self.model.encode_images.forget()  # a round begins with images it has not seen
        return self._round(learner, lambda: rollout(learner, self.records), update)

    def plain(self, engine: Result, *, engine_layers: bool = False) -> tuple[Result, list[Cost]]:
        """The same round in the straightforward loop."""
        learner = self.learner(PlainRewards)
        rewards = learner.reward_model
        assert isinstance(rewards, PlainRewards)
        prompts = prompts_of(learner, self.records)
        loop = PlainPpo(learner, self.records, prompts, engine.trajectory.responses)
        rewards.files = {id(p.image): f for p, f in zip(prompts, loop.files, strict=True)}
        rewards.width = loop.width + 120  # facts and rating prompt
        layers = contextlib.nullcontext() if engine_layers else peft_layers(self.model)
        with layers:
            return self._round(
                learner, loop.rollout, lambda _, found, scores, **__: loop.update(found, scores)
            )

    def _round(
        self,
        learner: Learner,
        sample: Callable[[], tuple[Trajectory, Scores]],
        learn: Callable[..., dict[str, float]],
    ) -> tuple[Result, list[Cost]]:
        found: list[tuple[Trajectory, Scores]] = []
        figures: dict[str, float] = {}
        torch.manual_seed(1)
        costs = [cost_of(lambda: found.append(sample()))]
        torch.manual_seed(2)
        costs.append(cost_of(lambda: figures.update(learn(learner, *found[0], round_number=0))))
        moved = [
            (parameter.detach() - self._begin[name][key]).flatten()
            for name in (POLICY, VALUE)
            for key, parameter in self.model.trainable(name).items()
        ]
        losses = {name: figures[f"ppo/{name}"] for name in ("policy_loss", "value_loss")}
        return Result(*found[0], losses, torch.cat(moved)), costs

    def learner(self, rewards: type[RewardModel]) -> Learner:
        """What PPO holds before its first round, as it was at the beginning."""
        for name, weights in self._begin.items():
            for key, parameter in self.model.trainable(name).items():
                parameter.data.copy_(weights[key])
        total = updates_in(self.settings)
        run = SimpleNamespace(
            spec=SimpleNamespace(seed=0),
            position="round 1: ",
            check_termination=lambda: None,
            image_files=lambda record: (self.files[0].parent / record.image,),
        )
        return Learner(
            run=run,  # type: ignore[arg-type]
            settings=self.settings,
            model=self.model,
            reward_model=rewards(self.model, rating_template(), max_length=4096),
            policy=Optimizer(self.model.trainable(POLICY), RATE, total_steps=total),
            value=Optimizer(self.model.trainable(VALUE), RATE, total_steps=total),
            kl_coefficient=0.1,
        )


def add_shape_options(parser: argparse.ArgumentParser) -> None:
    """What ``shape_of`` reads, and how long responses may be."""
    parser.add_argument("--hidden", type=int, default=192, help="width of the language model")
    parser.add_argument("--layers", type=int, default=4, help="its layers")
    parser.add_argument("--vocabulary", type=int, default=512, help="tokens")
    parser.add_argument("--image-size", type=int, default=84, help="pixels of a side, 4 a patch")
    parser.add_argument("--slots", type=int, default=256, help="longest response")


def shape_of(options: argparse.Namespace) -> shape.Shape:
    return shape.Shape.small(
        hidden=options.hidden,
        layers=options.layers,
        vocabulary=options.vocabulary,
        image_size=options.image_size,
    )


def rating_template(facts_position: str = "before_response") -> RatingTemplate:
    """Of words that the model knows, in about the paper's lengths."""
    settings = RewardSettings(
        facts_position=facts_position,  # type: ignore[arg-type]
        facts_introduction=shape.text(14, 100, seed=1),
        fact_format="{caption}",
        rating_prompt=shape.text(40, 100, seed=2),
    )
    return RatingTemplate.from_settings(settings)


def _record(file: Path, number: int, vocabulary: int) -> PromptRecord:
    question = shape.text(36 + number % 9, vocabulary, seed=number)
    return PromptRecord(
        id=str(number),
        image=file.name,
        conversation=(Turn(speaker="human", text=f"<image>\n{question}"),),
        captions=tuple(shape.text(11, vocabulary, seed=100 + 5 * number + n) for n in range(5)),
    )


def _settings(options: argparse.Namespace) -> PpoSettings:
    return PpoSettings(
        sampling=SamplingSettings(temperature=1.0, response_length=options.slots),
        responses_per_prompt=options.responses_per_prompt,
        rollout_batch_size=options.rollouts,
        rollout_micro_batch_size=options.micro_batch,
        batch_size=options.rollouts // 2,
        micro_batch_size=options.micro_batch,
        policy_optimizer=RATE,
        value_optimizer=RATE,
    )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_shape_options(parser)
    parser.add_argument("--rollouts", type=int, default=16, help="responses in the round")
    parser.add_argument("--responses-per-prompt", type=int, default=4)
    parser.add_argument("--micro-batch", type=int, default=8, help="responses in a pass")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5, help="rounds of each")
    parser.add_argument(
        "--engine-layers", action="store_true", help="LoRA is the engine's in both loops"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
