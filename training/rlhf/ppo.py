"""The updates of a round of PPO: advantages, and several passes of clipped steps over them.

Policy and value are two adapters without a shared parameter, so each has its own backward pass and
its own optimiser.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from training.rlhf.adapters import POLICY, VALUE
from training.rlhf.advantages import (
    adapt_kl_coefficient,
    generalized_advantage_estimation,
    kl_penalty,
    shape_rewards,
    truncated_importance_weights,
    whiten,
)
from training.rlhf.contract import PpoSettings
from training.rlhf.data import batches
from training.rlhf.experience import Learner, Part
from training.rlhf.losses import masked_mean, policy_loss, value_loss
from training.rlhf.optimization import clip_gradients, steps_in
from training.rlhf.prefixes import family_batches, key_of
from training.rlhf.processes import processes
from training.rlhf.rollout import Trajectory, response_hidden, token_logprobs
from training.rlhf.scoring import Scores


def prompts_in(settings: PpoSettings) -> int:
    """Prompts of one round."""
    return settings.rollout_batch_size // settings.responses_per_prompt


def rounds_in(settings: PpoSettings, prompts: int) -> int:
    """Rounds of a run over so many ``prompts``."""
    return settings.steps or steps_in(settings.epochs, prompts, prompts_in(settings), 0)


def updates_in(settings: PpoSettings) -> int:
    """Optimiser steps of one round."""
    return settings.update_epochs * math.ceil(settings.rollout_batch_size / settings.batch_size)


def update(
    learner: Learner, trajectory: Trajectory, scores: Scores, *, round_number: int
) -> dict[str, float]:
    """Advantages of the round, clipped updates over it, the next beta. Returns the metrics."""
    settings = learner.settings
    count = len(trajectory.records)
    kl = kl_penalty(
        trajectory.logprobs, trajectory.reference_logprobs, estimator=settings.kl_estimator
    )
    advantages, returns = advantages_of(learner, trajectory, scores, kl)
    metrics = _figures(learner, trajectory, scores, kl, returns)

    sums: dict[str, float] = {}
    step = round_number * updates_in(settings)
    for _ in range(settings.update_epochs):
        for rows in batches(
            shuffled_rows(count, settings.responses_per_prompt), settings.batch_size
        ):
            for name, value in _optimize(
                learner, trajectory, advantages, returns, rows, step=step
            ).items():
                sums[name] = sums.get(name, 0.0) + value
            step += 1
    metrics |= {f"ppo/{name}": total / updates_in(settings) for name, total in sums.items()}

    if settings.kl_target > 0:
        learner.kl_coefficient = adapt_kl_coefficient(
            learner.kl_coefficient,
            metrics["ppo/kl"],
            target=settings.kl_target,
            rollouts=count,
            horizon=settings.kl_horizon,
        )
    return metrics


def shuffled_rows(count: int, together: int) -> list[int]:
    """Rows in random order, but those of one prompt, which are consecutive, stay together."""
    first = torch.randperm(count // together) * together
    return (first[:, None] + torch.arange(together)).flatten().tolist()


def advantages_of(
    learner: Learner, trajectory: Trajectory, scores: Scores, kl: Tensor
) -> tuple[Tensor, Tensor]:
    """Advantages, whitened if asked, and returns of a round."""
    settings = learner.settings
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
    if settings.whiten_advantages:
        advantages = whiten(advantages, trajectory.slots, shift_mean=True)
    if trajectory.sampler_logprobs is not None:
        advantages = advantages * truncated_importance_weights(
            trajectory.logprobs,
            trajectory.sampler_logprobs,
            trajectory.responses.mask,
            cap=settings.importance_cap,
        )
    return advantages, returns


def _figures(
    learner: Learner, trajectory: Trajectory, scores: Scores, kl: Tensor, returns: Tensor
) -> dict[str, float]:
    """What the round looked like before it changed anything."""
    responses = trajectory.responses
    figures = {
        "ppo/reward": float(scores.total.mean()),
        "ppo/score": float(scores.reward.mean()),
        "ppo/hallucination_estimate": _hallucination_estimate(learner, scores),
        "ppo/symbolic_reward": float(scores.symbolic.mean()),
        "ppo/length_reward": float(scores.length.mean()),
        "ppo/kl": float((kl * responses.mask).sum(1).mean()),
        "ppo/kl_per_token": float(masked_mean(kl, responses.mask)),
        "ppo/kl_coefficient": learner.kl_coefficient,
        "ppo/entropy": float(masked_mean(trajectory.entropy, responses.mask)),
        "ppo/response_tokens": float(responses.lengths.float().mean()),
        "ppo/finished": sum(responses.finished) / len(responses.finished),
        "ppo/explained_variance": _explained_variance(trajectory.values, returns, trajectory.slots),
    }
    if trajectory.sampler_logprobs is not None:
        gap = (trajectory.logprobs - trajectory.sampler_logprobs).abs()
        figures["ppo/sampler_gap"] = float(masked_mean(gap, responses.mask))
    return figures


def _optimize(
    learner: Learner,
    trajectory: Trajectory,
    advantages: Tensor,
    returns: Tensor,
    rows: list[int],
    *,
    step: int,
) -> dict[str, float]:
    """One optimiser step of policy and value over the responses ``rows``.

    Micro-batches are weighted by their tokens, so that their sum is the loss of the whole batch,
    however many there are and whichever process computes them.
    """
    settings, fit = learner.settings, learner.model.fit("updating")
    count = int(trajectory.slots[rows].sum())
    figures = dict.fromkeys(_FIGURES, 0.0)
    batch = _Targets(learner, trajectory, advantages, returns, count)
    lengths = [len(trajectory.prompts[row]) + int(trajectory.slots[row].sum()) for row in rows]
    keys = [key_of(trajectory.prompts[row]) for row in rows]
    size = processes().part_size(settings.micro_batch_size, len(rows))
    for places in processes().share([*family_batches(keys, lengths, size)]):
        chosen = [rows[place] for place in places]
        for learn in (_policy_part, _value_part):
            fit.in_parts(chosen, partial(learn, batch, figures))
    return processes().totals(figures) | _apply(learner, step)


_FIGURES = ("policy_loss", "clip_fraction", "update_kl", "value_loss", "value_clip_fraction")


@dataclass
class _Targets:
    """What an optimiser step learns from."""

    learner: Learner
    trajectory: Trajectory
    advantages: Tensor
    returns: Tensor
    count: int
    """Slots of the whole step, which the parts are weighed by."""

    def of(self, rows: list[int], *tensors: Tensor) -> tuple[Part, float, list[Tensor]]:
        """These rows, their share of the step, and theirs of ``tensors``, cut to their width."""
        part = Part.of(
            self.trajectory.prompts, self.trajectory.responses, self.trajectory.slots, rows
        )
        columns = part.ids.shape[1]
        cut = [tensor[rows, :columns].to(self.learner.model.device) for tensor in tensors]
        return part, float(part.slots.sum()) / self.count, cut


def _policy_part(batch: _Targets, figures: dict[str, float], rows: list[int]) -> None:
    """Accumulate the policy's gradient over ``rows``; the last step, so it can be called again."""
    settings, model = batch.learner.settings, batch.learner.model
    part, weight, (old_logprobs, advantages) = batch.of(
        rows, batch.trajectory.logprobs, batch.advantages
    )
    slots = part.slots.to(model.device)
    hidden = response_hidden(model, POLICY, part.prompts, part.ids, part.mask, slots=part.slots)
    logprobs, _ = token_logprobs(
        model, hidden, part.ids, part.mask, temperature=settings.sampling.temperature
    )
    loss, clipped = policy_loss(
        logprobs, old_logprobs, advantages, slots, clip_range=settings.clip_range
    )
    batch.learner.policy.accumulate(loss * weight)
    moved = kl_penalty(old_logprobs, logprobs.detach(), estimator="k3")
    figures["policy_loss"] += float(loss.detach()) * weight
    figures["clip_fraction"] += float(clipped) * weight
    figures["update_kl"] += float(masked_mean(moved, slots)) * weight


def _value_part(batch: _Targets, figures: dict[str, float], rows: list[int]) -> None:
    settings, model = batch.learner.settings, batch.learner.model
    part, weight, (old_values, returns) = batch.of(rows, batch.trajectory.values, batch.returns)
    hidden = response_hidden(model, VALUE, part.prompts, part.ids, part.mask, slots=part.slots)
    loss, clipped = value_loss(
        model.head_values(VALUE, hidden),
        old_values,
        returns,
        part.slots.to(model.device),
        clip_range=settings.value_clip_range,
    )
    batch.learner.value.accumulate(loss * settings.value_coefficient * weight)
    figures["value_loss"] += float(loss.detach()) * weight
    figures["value_clip_fraction"] += float(clipped) * weight


def _apply(learner: Learner, step: int) -> dict[str, float]:
    policy, value = learner.policy, learner.value
    policy.gather()
    value.gather()
    if learner.settings.joint_clipping:
        both = {f"policy/{k}": p for k, p in policy.parameters.items()}
        both |= {f"value/{k}": p for k, p in value.parameters.items()}
        norms = {"gradient_norm": clip_gradients(both, policy.settings.gradient_norm)}
    else:
        norms = {"gradient_norm": policy.clip(), "value_gradient_norm": value.clip()}
    value.step(step)
    return norms | {"learning_rate": policy.step(step)}


def _hallucination_estimate(learner: Learner, scores: Scores) -> float:
    """The mean chance, by the reward model itself, that an answer as good as the average one it
    was normalised on is better: 0.5 there, falling as the policy improves in its eyes. What the
    reward model is fooled by, this estimate is fooled by too."""
    return float(torch.sigmoid(-scores.reward * learner.reward_model.deviation).mean())


def _explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns) over the mask; 0 when returns do not vary."""
    keep = mask.bool()
    variance = float(returns[keep].var(correction=0))
    if variance == 0:
        return 0.0
    return 1 - float((returns - values)[keep].var(correction=0)) / variance
