"""PPO: the policy learns to give answers that the rewards approve of (fact-rlhf §4).

One round samples responses, scores them, and makes several passes of clipped updates. Policy and
value are two adapters without a shared parameter, so each has its own backward pass and optimiser.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from training.rlhf import checkpoints
from training.rlhf.advantages import (
    adapt_kl_coefficient,
    generalized_advantage_estimation,
    kl_penalty,
    shape_rewards,
    whiten,
)
from training.rlhf.contract import Kind, PpoSettings, PromptRecord
from training.rlhf.data import EndlessOrder, TokenSequence, batches, by_length
from training.rlhf.errors import DataError, EngineError, Interrupted
from training.rlhf.facts import correctness_bonus, length_penalty
from training.rlhf.losses import masked_mean, policy_loss, value_loss
from training.rlhf.models import ADAPTER_WEIGHTS, VisionLanguageModel
from training.rlhf.optimization import Optimizer, clip_gradients, seed_step
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

POLICY, REFERENCE, VALUE = "policy", "reference", "value"
SAMPLE_PROMPTS = 4

log = logging.getLogger(__name__)


@dataclass
class Scores:
    """What each response of a round earned, ``[count]`` on the CPU."""

    reward: Tensor
    """The reward model's, normalised."""
    symbolic: Tensor
    length: Tensor
    no_end: Tensor

    @property
    def total(self) -> Tensor:
        return self.reward + self.symbolic + self.length + self.no_end


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


def train_ppo(run: Run) -> None:
    """Train in ``run`` from its newest checkpoint on, and leave the policy in ``final/``."""
    settings = run.spec.settings
    assert isinstance(settings, PpoSettings)
    check_settings(settings)

    # 1. Prompts, models, optimisers
    run.events.stage("reading prompts")
    records = run.records(PromptRecord)
    run.events.stage("loading the base model")
    learner = _learner(run, settings)
    records = _short_enough(learner, records)

    # 2. Where to begin
    done, stopped = 0, False
    checkpoint = run.newest_checkpoint()
    if checkpoint is not None:
        done, stopped = checkpoint.step, bool(checkpoint.state()["stopped"])
        _resume(learner, checkpoint)

    # 3. Rounds
    order = EndlessOrder(len(records), run.spec.seed)
    metrics: dict[str, float] = {}
    while done < settings.steps and not stopped:
        seed_step(run.spec.seed, Kind.PPO, done)
        chosen = order.slice(done * settings.rollout_batch_size, settings.rollout_batch_size)
        run.events.stage(f"rollout {done + 1}/{settings.steps}")
        trajectory, scores = rollout(learner, [records[index] for _, index in chosen])
        metrics = update(learner, trajectory, scores, round_number=done)
        done += 1
        stopped = 0 < settings.kl_stop < metrics["ppo/kl"]
        run.events.metrics(done, metrics)
        run.events.progress(done, settings.steps, unit="round")
        if done % settings.samples_every == 0 or done in (1, settings.steps):
            _show_samples(learner, records[:SAMPLE_PROMPTS], step=done)
        last = done == settings.steps or stopped
        if last or done % settings.checkpoint_every == 0 or run.terminating:
            _save(learner, step=done, stopped=stopped)
        if run.terminating and not last:
            raise Interrupted

    # 4. The policy to keep
    if stopped:
        run.events.stage(f"stopped after round {done}: the KL passed {settings.kl_stop}")
    with checkpoints.atomic_folder(run.final) as folder:
        learner.model.save_adapter(POLICY, folder)
    run.events.checkpoint(done, run.final.name, final=True, metrics=metrics)


def check_settings(settings: PpoSettings) -> None:
    """EngineError for combinations that would train towards something else than was asked."""
    sampling = settings.sampling
    if sampling.temperature == 0 or sampling.top_p < 1:
        raise EngineError(
            "settings.sampling: PPO needs temperature above 0 and top_p 1, or the probabilities "
            "it learns from are not those the responses were drawn with"
        )
    if settings.score_position == "last_slot" and settings.mask_padding:
        raise EngineError("settings.score_position: 'last_slot' needs mask_padding off")


def updates_in(settings: PpoSettings) -> int:
    """Optimiser steps of one round."""
    return settings.update_epochs * math.ceil(settings.rollout_batch_size / settings.batch_size)


def rollout(learner: Learner, records: list[PromptRecord]) -> tuple[Trajectory, Scores]:
    """Sample a response to each record, score it, and measure it under every adapter."""
    settings, model = learner.settings, learner.model
    prompts = _prompts(learner, records)
    responses = sample(
        model,
        prompts,
        settings.sampling,
        adapter=POLICY,
        batch_size=settings.rollout_micro_batch_size,
    )
    scores = score(learner, records, prompts, responses)
    if not settings.mask_padding:
        responses = widened(responses, settings.sampling.response_length, pad_id=model.pad_id)
    return measure(learner, records, prompts, responses), scores


def score(
    learner: Learner,
    records: Sequence[PromptRecord],
    prompts: Sequence[TokenSequence],
    responses: Responses,
) -> Scores:
    """Reward model, symbolic rewards, length and a missing end (fact-rlhf §4)."""
    settings = learner.settings
    sequences = [
        learner.reward_model.sequence(
            record.conversation,
            prompt.image,
            text,
            record.captions if settings.with_facts else (),
        )
        for record, prompt, text in zip(records, prompts, responses.texts, strict=True)
    ]
    raw = learner.reward_model.score(sequences, batch_size=settings.rollout_micro_batch_size)
    symbolic = [
        correctness_bonus(text, record.caption_type) if settings.symbolic_rewards else 0.0
        for record, text in zip(records, responses.texts, strict=True)
    ]
    length = [
        length_penalty(
            count,
            response_length=settings.sampling.response_length,
            multiplier=record.length_bonus,
            coefficient=settings.length_coefficient,
        )
        for record, count in zip(records, responses.lengths.tolist(), strict=True)
    ]
    no_end = [0.0 if ended else settings.no_end_token_penalty for ended in responses.finished]
    return Scores(
        learner.reward_model.normalised(raw),
        torch.tensor(symbolic),
        torch.tensor(length),
        torch.tensor(no_end),
    )


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


def _learner(run: Run, settings: PpoSettings) -> Learner:
    if run.spec.reward_model is None:
        raise EngineError("spec.json, reward_model: PPO needs one")
    seed_step(run.spec.seed, Kind.PPO, -1)
    model = VisionLanguageModel.load(run.base_model(), run.spec.model)
    reward_folder = run.folder(run.spec.reward_model, field="reward_model")
    reward_model = RewardModel.load(model, reward_folder)
    model.load_adapter(VALUE, reward_folder)  # it already knows what will be rewarded (paper)
    model.add_head(VALUE)
    if run.spec.policy_adapter is not None:
        model.load_adapter(POLICY, run.folder(run.spec.policy_adapter, field="policy_adapter"))
    else:
        model.add_adapter(POLICY, settings.lora)
    model.copy_adapter(POLICY, REFERENCE)

    policy, value = model.trainable(POLICY), model.trainable(VALUE)
    model.train_only(policy, value)
    model.base.eval()
    total = settings.steps * updates_in(settings)
    return Learner(
        run=run,
        settings=settings,
        model=model,
        reward_model=reward_model,
        policy=Optimizer(policy, settings.policy_optimizer, total_steps=total),
        value=Optimizer(value, settings.value_optimizer, total_steps=total),
        kl_coefficient=settings.kl_coefficient,
    )


def _prompts(learner: Learner, records: Sequence[PromptRecord]) -> list[TokenSequence]:
    images = learner.model.encode_images([learner.run.image_path(record) for record in records])
    return [
        learner.model.chat.prompt(record.conversation, image)
        for record, image in zip(records, images, strict=True)
    ]


def _short_enough(learner: Learner, records: list[PromptRecord]) -> list[PromptRecord]:
    """Records whose prompt fits ``query_length``; a record takes its image and facts with it."""
    limit = learner.settings.sampling.query_length
    chat = learner.model.chat
    kept = [r for r in records if chat.prompt_text_length(r.conversation) <= limit]
    if not kept:
        raise DataError(
            f"no prompt has at most {limit} text tokens (settings.sampling.query_length)"
        )
    if len(kept) < len(records):
        log.warning(
            "%d of %d prompts are too long and left out", len(records) - len(kept), len(records)
        )
    return kept


def _show_samples(learner: Learner, records: list[PromptRecord], *, step: int) -> None:
    """The same prompts each time, answered at the training temperature with a fixed seed."""
    seed_step(learner.run.spec.seed, "samples", 0)
    prompts = _prompts(learner, records)
    responses = sample(
        learner.model,
        prompts,
        learner.settings.sampling,
        adapter=POLICY,
        batch_size=len(prompts),
    )
    rewards = score(learner, records, prompts, responses).total.tolist()
    for record, text, reward in zip(records, responses.texts, rewards, strict=True):
        learner.run.events.sample(
            step,
            prompt_id=record.id,
            image=record.image,
            prompt=record.conversation[-1].text,
            response=text,
            reward=reward,
            facts=record.captions,
        )


def _save(learner: Learner, *, step: int, stopped: bool) -> None:
    run, model = learner.run, learner.model
    state: dict[str, Any] = {"stopped": stopped, "kl_coefficient": learner.kl_coefficient}
    with checkpoints.saving(run.checkpoints, step, state) as folder:
        for name, optimizer in ((POLICY, learner.policy), (VALUE, learner.value)):
            model.save_adapter(name, folder / name)
            checkpoints.save_optimizer(folder, name, optimizer.state())
        model.save_head(VALUE, folder / VALUE)
    run.events.checkpoint(step, f"{run.checkpoints.name}/step-{step}")


def _resume(learner: Learner, checkpoint: checkpoints.Checkpoint) -> None:
    for name, optimizer in ((POLICY, learner.policy), (VALUE, learner.value)):
        weights = load_file(checkpoint.folder / name / ADAPTER_WEIGHTS)
        learner.model.load_adapter_weights(name, weights)
        optimizer.load_state(checkpoint.optimizer(name))
    learner.model.load_head(VALUE, checkpoint.folder / VALUE)
    learner.kl_coefficient = float(checkpoint.state()["kl_coefficient"])


def _explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns) over the mask; 0 when returns do not vary."""
    keep = mask.bool()
    variance = float(returns[keep].var(correction=0))
    if variance == 0:
        return 0.0
    return 1 - float((returns - values)[keep].var(correction=0)) / variance
