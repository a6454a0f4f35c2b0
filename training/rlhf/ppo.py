"""The updates of a round of PPO: advantages, and several passes of clipped steps over them.

Policy and value are two adapters without a shared parameter, so each has its own backward pass and
its own optimiser. RLOO and GRPO go the same way without a value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from training.rlhf.adapters import POLICY, VALUE
from training.rlhf.advantages import adapt_kl_coefficient, kl_penalty
from training.rlhf.contract import PpoSettings
from training.rlhf.credit import advantages_of
from training.rlhf.data import batches
from training.rlhf.experience import Learner, Part
from training.rlhf.finite import check_finite
from training.rlhf.logprobs import token_logprobs
from training.rlhf.losses import cut_share, masked_mean, policy_loss, reduced, value_loss
from training.rlhf.optimization import clip_gradients, steps_in
from training.rlhf.prefixes import family_batches, key_of
from training.rlhf.processes import processes
from training.rlhf.rollout import Trajectory, response_hidden
from training.rlhf.round_figures import round_figures
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


def rate_steps(settings: PpoSettings, rounds: int) -> int:
    """What the schedules of the learning rates count over so many rounds."""
    return rounds if settings.rate_per == "round" else rounds * updates_in(settings)


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
    check_finite("advantage", advantages, [record.id for record in trajectory.records])
    metrics = round_figures(learner, trajectory, scores, kl, returns)

    sums: dict[str, float] = {}
    per_round = settings.rate_per == "round"
    step = round_number * (1 if per_round else updates_in(settings))
    for _ in range(settings.update_epochs):
        order = shuffled_rows(count, settings.responses_per_prompt)
        processes().check_alike("order of the responses", order)
        for rows in batches(order, settings.batch_size):
            for name, value in _optimize(
                learner, trajectory, advantages, returns, rows, step=step
            ).items():
                sums[name] = sums.get(name, 0.0) + value
            step += not per_round
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


def _optimize(
    learner: Learner,
    trajectory: Trajectory,
    advantages: Tensor,
    returns: Tensor | None,
    rows: list[int],
    *,
    step: int,
) -> dict[str, float]:
    """One optimiser step of policy and value over the responses ``rows``.

    ``step`` is where the schedules of their learning rates stand.

    Micro-batches are weighted by what the loss averages over, so that their sum is the loss of the
    whole batch, however many there are and whichever process computes them.
    """
    settings = learner.settings
    parts = [(_policy_part, learner.model.fit("updating"))]
    if settings.has_critic:
        parts.append((_value_part, learner.valuing.fit("updating")))
    figures = dict.fromkeys(_figures_of(settings), 0.0)
    batch = _Targets(learner, trajectory, advantages, returns, rows)
    lengths = [len(trajectory.prompts[row]) + int(trajectory.slots[row].sum()) for row in rows]
    keys = [key_of(trajectory.prompts[row]) for row in rows]
    size = processes().part_size(settings.micro_batch_size, len(rows))
    groups = [*family_batches(keys, lengths, size, settings.micro_batch_tokens)]
    for places in processes().share(groups):
        chosen = [rows[place] for place in places]
        for learn, fit in parts:
            fit.in_parts(chosen, partial(learn, batch, figures))
    return processes().totals(figures) | _apply(learner, step)


def _figures_of(settings: PpoSettings) -> tuple[str, ...]:
    return (
        *("policy_loss", "clip_fraction", "ratio_cut", "update_kl"),
        *(("value_loss", "value_clip_fraction") if settings.has_critic else ()),
        *(("kl_loss",) if settings.kl_in == "loss" else ()),
    )


class _Targets:
    """What an optimiser step learns from."""

    def __init__(
        self,
        learner: Learner,
        trajectory: Trajectory,
        advantages: Tensor,
        returns: Tensor | None,
        rows: list[int],
    ) -> None:
        self.learner, self.trajectory = learner, trajectory
        self.advantages, self.returns = advantages, returns
        self._totals = {"tokens": int(trajectory.slots[rows].sum()), "sequences": len(rows)}

    def part(self, rows: list[int], *, valued: bool = False) -> Part:
        """These rows, cut to the longest of them; ``valued``, as the critic reads the prompts."""
        trajectory = self.trajectory
        prompts = trajectory.value_prompts if valued else None
        return Part.of(prompts or trajectory.prompts, trajectory.responses, trajectory.slots, rows)

    def cut(self, part: Part, rows: list[int], *tensors: Tensor) -> list[Tensor]:
        """The rows of ``tensors``, as wide as ``part``, on the model's device."""
        columns = part.ids.shape[1]
        return [tensor[rows, :columns].to(self.learner.model.device) for tensor in tensors]

    def records(self, rows: list[int]) -> list[str]:
        """Ids of the records of these rows."""
        return [self.trajectory.records[row].id for row in rows]

    def share(self, part: Part, reduction: str = "tokens") -> float:
        """What a mean over ``part`` counts for in the mean over the whole step."""
        own = float(part.slots.sum()) if reduction == "tokens" else len(part.ids)
        return own / self._totals[reduction]


def _policy_part(batch: _Targets, figures: dict[str, float], rows: list[int]) -> None:
    """Accumulate the policy's gradient over ``rows``; the last step, so it can be called again."""
    learner, trajectory = batch.learner, batch.trajectory
    settings, model, part = learner.settings, learner.model, batch.part(rows)
    old_logprobs, reference, advantages = batch.cut(
        part, rows, trajectory.logprobs, trajectory.reference_logprobs, batch.advantages
    )
    slots = part.slots.to(model.device)
    hidden = response_hidden(model, POLICY, part.prompts, part.ids, part.mask, slots=part.slots)
    logprobs = token_logprobs(
        model, hidden, part.ids, part.mask, temperature=settings.sampling.temperature
    )
    check_finite("log-probability", logprobs, batch.records(rows))
    loss, clipped = policy_loss(
        logprobs,
        old_logprobs,
        advantages,
        slots,
        clip_range=settings.clip_range,
        reduction=settings.reduction,
    )
    weight, tokens = batch.share(part, settings.reduction), batch.share(part)
    moved = kl_penalty(old_logprobs, logprobs.detach(), estimator="k3")
    found = {
        "policy_loss": (loss, weight),
        "clip_fraction": (clipped, tokens),
        "ratio_cut": (cut_share(logprobs, old_logprobs, slots), tokens),
        "update_kl": (masked_mean(moved, slots), tokens),
    }
    whole = loss
    if settings.kl_in == "loss":
        away = reduced(kl_penalty(logprobs, reference, estimator="k3"), slots, settings.reduction)
        whole = loss + learner.kl_coefficient * away
        found["kl_loss"] = away, weight
    learner.policy.accumulate(whole * weight)
    _add(figures, found)


def _value_part(batch: _Targets, figures: dict[str, float], rows: list[int]) -> None:
    """As ``_policy_part``, for the value."""
    learner, old = batch.learner, batch.trajectory.values
    settings, model, part = learner.settings, learner.valuing, batch.part(rows, valued=True)
    assert learner.value is not None and old is not None and batch.returns is not None
    old_values, returns = batch.cut(part, rows, old, batch.returns)
    hidden = response_hidden(model, VALUE, part.prompts, part.ids, part.mask, slots=part.slots)
    values = model.head_values(VALUE, hidden)
    check_finite("value", values[part.slots.bool().to(values.device)])
    loss, clipped = value_loss(
        values,
        old_values,
        returns,
        part.slots.to(model.device),
        clip_range=settings.value_clip_range,
    )
    weight = batch.share(part)
    learner.value.accumulate(loss * settings.value_coefficient * weight)
    _add(figures, {"value_loss": (loss, weight), "value_clip_fraction": (clipped, weight)})


def _add(figures: dict[str, float], found: Mapping[str, tuple[Tensor, float]]) -> None:
    """Add numbers with their weights. They come from the device together: a GPU is waited for."""
    values = torch.stack([value.detach() for value, _ in found.values()]).tolist()
    for (name, (_, weight)), value in zip(found.items(), values, strict=True):
        figures[name] += value * weight


def _apply(learner: Learner, step: int) -> dict[str, float]:
    policy, value = learner.policy, learner.value
    policy.gather()
    if value is None:
        return {"gradient_norm": policy.clip(), "learning_rate": policy.step(step)}
    value.gather()
    if learner.settings.joint_clipping:
        both = {f"policy/{k}": p for k, p in policy.parameters.items()}
        both |= {f"value/{k}": p for k, p in value.parameters.items()}
        norms = {"gradient_norm": clip_gradients(both, policy.settings.gradient_norm)}
    else:
        norms = {"gradient_norm": policy.clip(), "value_gradient_norm": value.clip()}
    value.step(step)
    return norms | {"learning_rate": policy.step(step)}
