"""One round of PPO: answer, score, measure, and make several passes of clipped updates.

Policy and value are two adapters without a shared parameter, so each has its own backward pass and
its own optimiser. Tensors of a round are ``[count, response]`` on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.rlhf.advantages import (
    adapt_kl_coefficient,
    generalized_advantage_estimation,
    kl_penalty,
    shape_rewards,
    whiten,
)
from training.rlhf.contract import PpoSettings, PromptRecord
from training.rlhf.data import TokenSequence, batches, by_length
from training.rlhf.losses import masked_mean, policy_loss, value_loss
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer, clip_gradients
from training.rlhf.reward_model import RewardModel
from training.rlhf.rollout import (
    Responses,
    Trajectory,
    response_hidden,
    sample,
    token_logprobs,
    widened,
)
from training.rlhf.run_directory import Run
from training.rlhf.scoring import Scores, score

POLICY, REFERENCE, VALUE = "policy", "reference", "value"


@dataclass
class Learner:
    """All that PPO holds between rounds."""

    run: Run
    settings: PpoSettings
    model: VisionLanguageModel
    reward_model: RewardModel
    policy: Optimizer
    value: Optimizer
    kl_coefficient: float


def updates_in(settings: PpoSettings) -> int:
    """Optimiser steps of one round."""
    return settings.update_epochs * math.ceil(settings.rollout_batch_size / settings.batch_size)


def rollout(learner: Learner, records: list[PromptRecord]) -> tuple[Trajectory, Scores]:
    """Sample a response to each record, score it, and measure it under every adapter.

    Raises Interrupted between batches: no weight has changed yet, so a round is simply repeated.
    """
    settings, model = learner.settings, learner.model
    prompts = prompts_of(learner, records)
    responses = sample(
        model,
        prompts,
        settings.sampling,
        adapter=POLICY,
        batch_size=settings.rollout_micro_batch_size,
        before_batch=learner.run.check_termination,
    )
    scores = score(learner.reward_model, settings, records, prompts, responses)
    if not settings.mask_padding:
        responses = widened(responses, settings.sampling.response_length, pad_id=model.pad_id)
    return measure(learner, records, prompts, responses), scores


@torch.no_grad()
def measure(
    learner: Learner,
    records: list[PromptRecord],
    prompts: list[TokenSequence],
    responses: Responses,
) -> Trajectory:
    """Log-probabilities of policy and reference, values and entropies of finished responses.

    The policy's are computed here and not taken from sampling, whose rounding differs.
    """
    settings, model = learner.settings, learner.model
    slots = responses.mask if settings.mask_padding else torch.ones_like(responses.mask)
    shape = responses.ids.shape
    found = {name: torch.zeros(shape) for name in ("logprobs", "reference", "values", "entropy")}
    lengths = [len(p) + int(n) for p, n in zip(prompts, responses.lengths, strict=True)]
    for indices in batches(by_length(lengths), settings.rollout_micro_batch_size):
        learner.run.check_termination()
        part = _Part.of(prompts, responses, slots, indices)
        columns = slice(0, part.ids.shape[1])
        for name, adapter in (("logprobs", POLICY), ("reference", REFERENCE)):
            hidden = response_hidden(model, adapter, part.prompts, part.ids, part.mask)
            logprobs, entropy = token_logprobs(
                model, hidden, part.ids, part.mask, temperature=settings.sampling.temperature
            )
            found[name][indices, columns] = logprobs.cpu()
            if adapter == POLICY:
                found["entropy"][indices, columns] = entropy.cpu()
        hidden = response_hidden(model, VALUE, part.prompts, part.ids, part.mask)
        values = model.head_values(VALUE, hidden).cpu()
        found["values"][indices, columns] = values * part.slots
    return Trajectory(
        records=records,
        prompts=prompts,
        responses=responses,
        slots=slots,
        logprobs=found["logprobs"],
        reference_logprobs=found["reference"],
        values=found["values"],
        entropy=found["entropy"],
    )


def update(
    learner: Learner, trajectory: Trajectory, scores: Scores, *, round_number: int
) -> dict[str, float]:
    """Advantages of the round, clipped updates over it, the next beta. Returns the metrics."""
    settings = learner.settings
    mask = trajectory.responses.mask
    kl = kl_penalty(
        trajectory.logprobs, trajectory.reference_logprobs, estimator=settings.kl_estimator
    )
    rewards = settings.reward_scale * shape_rewards(
        scores.total,
        kl,
        trajectory.slots,
        kl_coefficient=learner.kl_coefficient,
        position=settings.score_position,
    )
    advantages, returns = generalized_advantage_estimation(
        rewards, trajectory.values, trajectory.slots, gamma=settings.gamma, lam=settings.lam
    )
    explained = _explained_variance(trajectory.values, returns, trajectory.slots)
    if settings.whiten_advantages:
        advantages = whiten(advantages, trajectory.slots, shift_mean=True)

    figures: dict[str, list[float]] = {}
    step = round_number * updates_in(settings)
    for _ in range(settings.update_epochs):
        for indices in batches(
            torch.randperm(len(trajectory.records)).tolist(), settings.batch_size
        ):
            for name, value in _optimize(
                learner, trajectory, advantages, returns, indices, step=step
            ).items():
                figures.setdefault(name, []).append(value)
            step += 1

    lengths = trajectory.responses.lengths.float()
    per_response_kl = float((kl * mask).sum(1).mean())
    metrics = {
        "ppo/reward": float(scores.total.mean()),
        "ppo/score": float(scores.reward.mean()),
        "ppo/symbolic_reward": float(scores.symbolic.mean()),
        "ppo/length_reward": float(scores.length.mean()),
        "ppo/kl": per_response_kl,
        "ppo/kl_per_token": float(masked_mean(kl, mask)),
        "ppo/kl_coefficient": learner.kl_coefficient,
        "ppo/entropy": float(masked_mean(trajectory.entropy, mask)),
        "ppo/response_tokens": float(lengths.mean()),
        "ppo/finished": sum(trajectory.responses.finished) / len(trajectory.records),
        "ppo/explained_variance": explained,
        **{f"ppo/{name}": sum(values) / len(values) for name, values in figures.items()},
    }
    if settings.kl_target > 0:
        learner.kl_coefficient = adapt_kl_coefficient(
            learner.kl_coefficient,
            per_response_kl,
            target=settings.kl_target,
            rollouts=len(trajectory.records),
            horizon=settings.kl_horizon,
        )
    return metrics


def _optimize(
    learner: Learner,
    trajectory: Trajectory,
    advantages: Tensor,
    returns: Tensor,
    indices: list[int],
    *,
    step: int,
) -> dict[str, float]:
    """One optimiser step of policy and value over the responses ``indices``.

    Micro-batches are weighted by their tokens, so that their sum is the loss of the whole batch.
    """
    settings, model = learner.settings, learner.model
    device = model.device
    count = int(trajectory.slots[indices].sum())
    figures = dict.fromkeys(
        ("policy_loss", "value_loss", "clip_fraction", "value_clip_fraction", "update_kl"), 0.0
    )
    lengths = [len(trajectory.prompts[i]) + int(trajectory.slots[i].sum()) for i in indices]
    for places in batches(by_length(lengths), settings.micro_batch_size):
        rows = [indices[place] for place in places]
        part = _Part.of(trajectory.prompts, trajectory.responses, trajectory.slots, rows)
        columns = part.ids.shape[1]
        slots = part.slots.to(device)
        weight = float(part.slots.sum()) / count

        def of(tensor: Tensor, rows: list[int] = rows, columns: int = columns) -> Tensor:
            return tensor[rows, :columns].to(device)

        hidden = response_hidden(model, POLICY, part.prompts, part.ids, part.mask)
        logprobs, _ = token_logprobs(
            model, hidden, part.ids, part.mask, temperature=settings.sampling.temperature
        )
        old = of(trajectory.logprobs)
        loss, clipped = policy_loss(
            logprobs, old, of(advantages), slots, clip_range=settings.clip_range
        )
        (loss * weight).backward()

        hidden = response_hidden(model, VALUE, part.prompts, part.ids, part.mask)
        value, value_clipped = value_loss(
            model.head_values(VALUE, hidden),
            of(trajectory.values),
            of(returns),
            slots,
            clip_range=settings.value_clip_range,
        )
        (value * settings.value_coefficient * weight).backward()

        kl = masked_mean(kl_penalty(old, logprobs.detach(), estimator="k3"), slots)
        for name, tensor in zip(figures, (loss, value, clipped, value_clipped, kl), strict=True):
            figures[name] += float(tensor.detach()) * weight
    return figures | _apply(learner, step)


def _apply(learner: Learner, step: int) -> dict[str, float]:
    policy, value = learner.policy, learner.value
    if learner.settings.joint_clipping:
        both = {f"policy/{k}": p for k, p in policy.parameters.items()}
        both |= {f"value/{k}": p for k, p in value.parameters.items()}
        norms = {"gradient_norm": clip_gradients(both, policy.settings.gradient_norm)}
    else:
        norms = {"gradient_norm": policy.clip(), "value_gradient_norm": value.clip()}
    value.step(step)
    return norms | {"learning_rate": policy.step(step)}


@dataclass
class _Part:
    """Some rows of a round, cut to the longest response among them."""

    prompts: list[TokenSequence]
    ids: Tensor
    mask: Tensor
    slots: Tensor

    @classmethod
    def of(
        cls,
        prompts: Sequence[TokenSequence],
        responses: Responses,
        slots: Tensor,
        rows: list[int],
    ) -> _Part:
        width = int(slots[rows].sum(1).max())
        return cls(
            [prompts[row] for row in rows],
            responses.ids[rows, :width],
            responses.mask[rows, :width],
            slots[rows, :width],
        )


def prompts_of(learner: Learner, records: Sequence[PromptRecord]) -> list[TokenSequence]:
    images = learner.model.encode_images([learner.run.image_path(record) for record in records])
    return [
        learner.model.chat.prompt(record.conversation, image)
        for record, image in zip(records, images, strict=True)
    ]


def _explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns) over the mask; 0 when returns do not vary."""
    keep = mask.bool()
    variance = float(returns[keep].var(correction=0))
    if variance == 0:
        return 0.0
    return 1 - float((returns - values)[keep].var(correction=0)) / variance
