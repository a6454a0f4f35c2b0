"""Three rounds of the ``paper`` preset against figures worked out here from the paper's formulas.

Only what was sampled is taken from the engine. Everything else is computed once more the long way:
whole padded rows with their pixels through the plain model, means over all slots, the optimiser's
moments by hand. The first round's rate is 0, so the second begins where the first did; the third
begins where the policy has moved away from its reference.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.training.rlhf.conftest import LORA, MakeRun, events
from tests.training.rlhf.resuming import last_metrics
from training.rlhf import train_ppo
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, ModelSettings, SamplingSettings
from training.rlhf.experience import Learner
from training.rlhf.models import VisionLanguageModel
from training.rlhf.presets import preset_spec
from training.rlhf.reward_model import RewardModel
from training.rlhf.rollout import Trajectory
from training.rlhf.scoring import Scores
from training.rlhf.tensors import read_tensors

COUNT, SLOTS = 6, 10
RATE = 0.01
WORDS = {"facts_introduction": "facts :", "fact_format": "{caption}", "rating_prompt": "rate :"}
PREFIX = "is : yes"
SPEC = preset_spec(Kind.PPO, "paper").settings


@dataclass
class Seen:
    """What a round was asked to learn from, and the weights it began with."""

    trajectory: Trajectory
    scores: Scores
    weights: dict[str, dict[str, Tensor]]
    run: Any


@pytest.fixture
def rounds(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, base_folder: Path
) -> Iterator[tuple[Path, Path, list[Seen]]]:
    """A run of three rounds, its reward model, and what its rounds were."""
    rated = make_run(
        Kind.REWARD,
        "rated",
        preset="paper",
        lora=LORA,
        max_steps=3,
        batch_size=6,
        rating_prefix=PREFIX,
        **WORDS,
    )
    assert main(["reward", "--run-dir", str(rated)]) == 0
    optimizer = replace(SPEC.policy_optimizer, learning_rate=RATE)
    directory = make_run(
        Kind.PPO,
        preset="paper",
        reward_model=rated / "final",
        lora=LORA,
        policy_optimizer=optimizer,
        value_optimizer=optimizer,
        steps=3,
        epochs=0.0,
        rollout_batch_size=COUNT,
        batch_size=COUNT,
        micro_batch_size=4,
        rollout_micro_batch_size=4,
        sampling=SamplingSettings(temperature=1.0, query_length=48, response_length=SLOTS),
    )
    seen: list[Seen] = []
    original = train_ppo.update

    def update(learner: Learner, trajectory: Trajectory, scores: Scores, **more: Any) -> Any:
        weights = {
            name: {k: v.detach().clone() for k, v in learner.model.trainable(name).items()}
            for name in ("policy", "value", "reference")
        }
        seen.append(Seen(copy.copy(trajectory), copy.copy(scores), weights, learner.run))
        return original(learner, trajectory, scores, **more)

    monkeypatch.setattr(train_ppo, "update", update)
    assert main(["ppo", "--run-dir", str(directory)]) == 0
    yield directory, rated / "final", seen


class LongWay:
    """The plain model, row by row in one padded batch, and what the paper makes of it."""

    def __init__(self, base: Path, reward: Path, seen: Seen) -> None:
        self.model = VisionLanguageModel.load(str(base), ModelSettings(dtype="float32"))
        self.rewards = RewardModel.load(self.model, reward)
        for name in ("policy", "value", "reference"):
            self.model.add_adapter(name, LORA)
        self.model.add_head("value")
        self.begin(seen.weights)
        self.groups = {name: self.model.trainable(name) for name in ("policy", "value")}
        self.model.train_only(*self.groups.values())
        self.moments: dict[str, tuple[Tensor, Tensor]] = {}
        self.count = 0

    def begin(self, weights: dict[str, dict[str, Tensor]]) -> None:
        """Go on from the weights that a round began with."""
        for name, tensors in weights.items():
            mine = self.model.trainable(name)
            assert mine.keys() == tensors.keys()
            for key, tensor in tensors.items():
                mine[key].data.copy_(tensor)

    def hidden(self, adapter: str, rows: list[list[int]], width: int, images: Path, names: Any):
        """Rows end in ``width`` columns, which may be padding; states before each, ``width`` of."""
        longest = max(map(len, rows))
        ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
        real = torch.tensor(
            [[0] * (longest - len(row)) + [int(token != 0) for token in row] for row in rows]
        )
        pictures = [Image.open(images / name).convert("RGB") for name in names]
        pixels = self.model.processor.image_processor(pictures, return_tensors="pt")["pixel_values"]
        with self.model.using(adapter):
            states = self.model.base.model(
                input_ids=ids, attention_mask=real, pixel_values=pixels
            ).last_hidden_state
        return states[:, -width - 1 : -1], states[:, -1]

    def responses(self, adapter: str, seen: Seen) -> Tensor:
        trajectory = seen.trajectory
        rows = [
            prompt.ids + ids
            for prompt, ids in zip(
                trajectory.prompts, trajectory.responses.ids.tolist(), strict=True
            )
        ]
        names = [record.image for record in trajectory.records]
        return self.hidden(adapter, rows, SLOTS, seen.run.images, names)[0]

    def logprobs(self, adapter: str, seen: Seen) -> Tensor:
        """0 on padding, and without the tokens that are never sampled (ours; see the docs)."""
        logits = self.model.base.lm_head(self.responses(adapter, seen))
        logits[..., [0, 1, 4]] = -1e9
        found = logits.log_softmax(-1).gather(-1, seen.trajectory.responses.ids[..., None])
        return found.squeeze(-1) * (seen.trajectory.responses.ids != 0)

    def values(self, seen: Seen) -> Tensor:
        head = self.model.heads["value"]
        return head(self.responses("value", seen)).squeeze(-1)

    def scored(self, seen: Seen) -> Tensor:
        """The reward model on text put together by hand, and the rewards that need no model."""
        tokenizer, scores = self.model.processor.tokenizer, []
        for record, ids in zip(
            seen.trajectory.records, seen.trajectory.responses.ids.tolist(), strict=True
        ):
            question = record.conversation[0].text.removeprefix("<image>\n")
            kept = [token for token in ids if token != 0]
            ended = kept[-1] == 2
            # The reward model reads the answer's text; an unknown word's token is none.
            words = [token for token in kept if token not in (2, 3)]
            said = " ".join(tokenizer.convert_ids_to_tokens(words))
            [fact] = record.captions
            text = (
                f"<s> USER: {'<image> ' * 4}{question} ASSISTANT: {said} </s> "
                f"USER: facts : {fact} rate : ASSISTANT: {PREFIX}"
            )
            row = tokenizer(text, add_special_tokens=False)["input_ids"]
            last = self.hidden("reward", [row], 1, seen.run.images, [record.image])[1]
            score = float(self.model.heads["reward"](last))
            score += -10.0 * len(kept) / SLOTS * record.length_bonus
            score += 0.0 if ended else -8.0
            if record.caption_type == 6:
                score += float(said.startswith("No")) - float(said.startswith("Yes"))
            scores.append(score)
        return torch.tensor(scores)

    def advantages(self, seen: Seen, scores: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            old, reference = self.logprobs("policy", seen), self.logprobs("reference", seen)
            values = self.values(seen)
        rewards = -0.1 * (old - reference).clamp(min=0)
        rewards[:, -1] += scores
        rewards = rewards * 10.0
        # gamma and lambda are 1: what is still to come, against what was expected
        to_come = rewards.flip(1).cumsum(1).flip(1)
        advantages = to_come - values
        whitened = (advantages - advantages.mean()) / (advantages.std(unbiased=False) + 1e-8)
        return whitened, to_come

    def optimize(self, seen: Seen, scores: Tensor, *, rate: float) -> dict[str, float]:
        """Two epochs of one batch, which is the whole round; means of the figures."""
        advantages, returns = self.advantages(seen, scores)
        with torch.no_grad():
            old, old_values = self.logprobs("policy", seen), self.values(seen)
        sums = dict.fromkeys(("policy_loss", "value_loss", "gradient_norm"), 0.0)
        for _ in range(2):
            ratio = (self.logprobs("policy", seen) - old).exp()
            policy = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(0.8, 1.2)).mean()
            values = self.values(seen)
            near = old_values + (values - old_values).clamp(-0.2, 0.2)
            value = 0.5 * torch.maximum((values - returns) ** 2, (near - returns) ** 2).mean()
            parameters = [p for group in self.groups.values() for p in group.values()]
            gradients = torch.autograd.grad(policy + 0.1 * value, parameters)
            norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
            self._adamw(parameters, [g / max(1.0, float(norm) + 1e-6) for g in gradients], rate)
            for name, found in zip(sums, (policy, value, norm), strict=True):
                sums[name] += float(found.detach()) / 2
        return sums

    def _adamw(self, parameters: list[Tensor], gradients: list[Tensor], rate: float) -> None:
        self.count += 1
        for number, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            zero = torch.zeros_like(parameter)
            first, second = self.moments.get(str(number), (zero, zero))
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            self.moments[str(number)] = first, second
            step = first / (1 - 0.9**self.count)
            parameter.data -= rate * step / ((second / (1 - 0.999**self.count)).sqrt() + 1e-8)


def test_rounds_are_what_the_formulas_say(
    rounds: tuple[Path, Path, list[Seen]], base_folder: Path
) -> None:
    directory, reward, seen = rounds
    told = last_metrics(events(directory))
    long_way = LongWay(base_folder, reward, seen[0])
    assert (long_way.rewards.mean, long_way.rewards.deviation) == (0.0, 1.0)
    saved = read_tensors(directory / "checkpoints" / "step-3" / "policy/adapter_model.safetensors")
    names = long_way.model.adapter_weights("policy")
    assert saved.keys() == names.keys()
    last = dict(zip(seen[0].weights["policy"], (saved[name] for name in names), strict=True))
    ends = [one.weights["policy"] for one in seen] + [last]  # of rounds 0 to 3
    rates = [0.0, RATE / 5, RATE * 2 / 5]  # warm-up of five rounds, counted in rounds, from nothing
    for number, (one, rate) in enumerate(zip(seen, rates, strict=True), 1):
        long_way.begin(one.weights)
        figures = told[number]
        with torch.no_grad():
            scores = long_way.scored(one)
            kl = (long_way.logprobs("policy", one) - long_way.logprobs("reference", one)).clamp(0)
        torch.testing.assert_close(one.scores.total, scores, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(one.trajectory.values, long_way.values(one), rtol=0, atol=1e-5)
        found = long_way.optimize(one, scores, rate=rate)
        assert figures["ppo/reward"] == pytest.approx(float(scores.mean()), abs=1e-4)
        assert figures["ppo/kl"] == pytest.approx(float(kl.sum(1).mean()), abs=1e-5)
        assert (figures["ppo/kl"] > 0.01) == (number == 3)
        assert figures["ppo/learning_rate"] == pytest.approx(rate)
        for name in ("policy_loss", "value_loss", "gradient_norm"):
            assert figures[f"ppo/{name}"] == pytest.approx(found[name], rel=2e-3, abs=1e-5), name
        assert figures["ppo/value_clip_fraction"] <= 0.5  # none in the first of two passes
        begun, after = one.weights["policy"], long_way.groups["policy"]
        moved, apart = _distance(begun, ends[number]), _distance(after, ends[number])
        assert (moved > 0.01) == (rate > 0)
        assert apart <= 0.02 * moved


def _distance(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> float:
    assert one.keys() == two.keys()
    return math.sqrt(sum(float((one[name] - two[name]).detach().norm()) ** 2 for name in one))


def test_the_first_round_changes_no_weight(rounds: tuple[Path, Path, list[Seen]]) -> None:
    _, _, [first, second, _] = rounds
    for name, tensors in first.weights.items():
        assert all(torch.equal(t, second.weights[name][key]) for key, t in tensors.items())
