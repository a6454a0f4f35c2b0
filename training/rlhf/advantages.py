"""From scores to advantages: KL penalty, reward shaping, GAE, groups, whitening, adaptive beta.

Scores are ``[batch]``, all other tensors ``[batch, response]`` with ``mask`` 1 on response tokens
including the end token. Padding comes out as 0 everywhere and what stands in it going in is
never read.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.rlhf.losses import bounded_log_ratio, masked_mean


def kl_penalty(logprobs: Tensor, reference_logprobs: Tensor, *, estimator: str) -> Tensor:
    """Estimate KL(policy || reference) per token from the sampled token alone.

    ``k1`` is the plain log-ratio (unbiased, may be negative), ``k1_clamped`` cuts it at 0 (the
    paper's; biased upwards), ``k3`` is ``exp(-k1) - 1 + k1`` (unbiased and never negative;
    its log-ratio is bounded).
    Returns ``[batch, response]``; raises ValueError for another name.
    """
    log_ratio = logprobs - reference_logprobs
    if estimator == "k1":
        return log_ratio
    if estimator == "k1_clamped":
        return log_ratio.clamp(min=0)
    if estimator == "k3":
        log_ratio = bounded_log_ratio(logprobs, reference_logprobs)
        return torch.expm1(-log_ratio) + log_ratio
    raise ValueError(f"estimator is {estimator!r}, not one of 'k1', 'k1_clamped', 'k3'")


def shape_rewards(
    scores: Tensor,
    kl: Tensor,
    mask: Tensor,
    *,
    kl_coefficient: float,
    position: str = "last_token",
) -> Tensor:
    """Per-token rewards: ``-kl_coefficient * kl`` plus the score at one place.

    ``scores`` is ``[batch]``; ``position`` is "last_token" (the last one the mask marks) or
    "last_slot" (the last column, which the paper used). Returns ``[batch, response]``.
    """
    rewards = torch.where(mask.bool(), -kl_coefficient * kl, torch.zeros_like(kl))
    if position == "last_slot":
        index = torch.full((len(scores),), kl.shape[1] - 1, device=kl.device)
    elif position == "last_token":
        index = last_token_index(mask)
    else:
        raise ValueError(f"position is {position!r}, not 'last_token' or 'last_slot'")
    return rewards.scatter_add(1, index[:, None], scores.to(rewards.dtype)[:, None])


def truncated_importance_weights(
    logprobs: Tensor, sampler_logprobs: Tensor, mask: Tensor, *, cap: float
) -> Tensor:
    """``min(p(token) / p_sampler(token), cap)`` per token: corrects for another sampler.

    Unbiased but for the truncation, which bounds the variance (Ionides 2008; as used for samplers
    of another program by Yao et al. 2025). Since it is never negative, weighing the loss by it is
    weighing the advantages by it. Returns ``[batch, response]``.
    """
    weights = torch.exp(bounded_log_ratio(logprobs, sampler_logprobs)).clamp(max=cap)
    return weights.masked_fill(mask == 0, 0)


def last_token_index(mask: Tensor) -> Tensor:
    """Column of the last 1 of each row, ``[batch]``; 0 for an empty row."""
    columns = torch.arange(mask.shape[1], device=mask.device)
    return (mask.long() * columns).argmax(dim=1)


def generalized_advantage_estimation(
    rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """GAE (Schulman et al. 2016, eq. 16) over the tokens of each response.

    ``A_t = sum_k (gamma * lam)^k * (r_{t+k} + gamma * V_{t+k+1} - V_{t+k})`` with V = 0 after the
    last token. Returns ``(advantages, returns)``, ``returns = advantages + values``.
    """
    keep = mask.bool()
    rewards = rewards.masked_fill(~keep, 0)
    values = values.masked_fill(~keep, 0)
    advantages = torch.zeros_like(rewards)
    running = torch.zeros_like(rewards[:, 0])
    next_value = torch.zeros_like(running)
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        running = delta + gamma * lam * running
        advantages[:, t] = running
        next_value = values[:, t]
    advantages = advantages.masked_fill(~keep, 0)
    return advantages, advantages + values


def leave_one_out(scores: Tensor, group_size: int) -> Tensor:
    """Each score minus the mean of the other responses to its prompt (RLOO, arXiv 2402.14740).

    ``scores`` is ``[batch]`` with the ``group_size`` responses of a prompt one after the other;
    returns ``[batch]``, exactly 0 in a group without spread. ValueError unless there are groups of
    at least 2.
    """
    groups = _groups(scores, group_size)
    others = (groups.sum(1, keepdim=True) - groups) / (group_size - 1)
    return _without_flat_groups(groups - others, groups)


def group_relative(
    scores: Tensor, group_size: int, *, divide_by_deviation: bool = True, eps: float = 1e-4
) -> Tensor:
    """Each score minus the mean of its group, over the group's deviation (GRPO, arXiv 2402.03300).

    The deviation is the unbiased one, plus ``eps``; without ``divide_by_deviation`` it is Dr. GRPO
    (arXiv 2503.20783). Shapes and errors are those of ``leave_one_out``.
    """
    groups = _groups(scores, group_size)
    advantages = groups - groups.mean(1, keepdim=True)
    if divide_by_deviation:
        advantages = advantages / (groups.std(1, keepdim=True) + eps)
    return _without_flat_groups(advantages, groups)


def groups_without_spread(scores: Tensor, group_size: int) -> int:
    """How many groups' scores ``[batch]`` are all equal up to rounding: nothing is learnt there."""
    return int(_flat(_groups(scores, group_size)).sum())


def _groups(scores: Tensor, group_size: int) -> Tensor:
    if group_size < 2 or len(scores) % group_size:
        raise ValueError(f"{len(scores)} scores are no groups of {group_size}, at least 2 in each")
    return scores.view(-1, group_size)


def _flat(groups: Tensor) -> Tensor:
    """Whether the scores of each group are equal but for the rounding of their type, [groups]."""
    spread = groups.max(1).values - groups.min(1).values
    return spread <= 8 * torch.finfo(groups.dtype).eps * groups.abs().max(1).values


def _without_flat_groups(advantages: Tensor, groups: Tensor) -> Tensor:
    # A deviation of 1e-8 over eps would still push, and where all are equal nothing should.
    return advantages.masked_fill(_flat(groups)[:, None], 0).flatten()


def whiten(x: Tensor, mask: Tensor, *, shift_mean: bool, epsilon: float = 1e-8) -> Tensor:
    """Scale the masked entries to variance 1 and, with ``shift_mean``, to mean 0.

    Variance is the biased one. Padding comes out as 0. Returns a tensor like ``x``.
    """
    keep = mask.bool()
    x = x.masked_fill(~keep, 0)
    mean = masked_mean(x, mask)
    variance = masked_mean((x - mean) ** 2, mask)
    whitened = (x - mean) * torch.rsqrt(variance + epsilon)
    if not shift_mean:
        whitened = whitened + mean
    return whitened.masked_fill(~keep, 0)


def adapt_kl_coefficient(
    kl_coefficient: float, kl: float, *, target: float, rollouts: int, horizon: float
) -> float:
    """Beta for the next round: up when ``kl`` is above ``target``, down when below.

    Proportional control with the error cut at 20 % (Ziegler et al. 2019, §2.2); ``kl`` and
    ``target`` are nats per response, ``horizon`` is counted in rollouts.
    """
    error = min(max(kl / target - 1, -0.2), 0.2)
    return kl_coefficient * (1 + error * rollouts / horizon)
