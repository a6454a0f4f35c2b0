"""From scores to advantages: KL penalty, reward shaping, GAE, whitening, adaptive beta.

All tensors are ``[batch, response]`` with ``mask`` 1 on response tokens including the end token.
Padding comes out as 0 everywhere and what stands in it going in is never read.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.rlhf.losses import masked_mean


def kl_penalty(logprobs: Tensor, reference_logprobs: Tensor, *, estimator: str) -> Tensor:
    """Estimate KL(policy || reference) per token from the sampled token alone.

    ``k1`` is the plain log-ratio (unbiased, may be negative), ``k1_clamped`` cuts it at 0 (the
    paper's; biased upwards), ``k3`` is ``exp(-k1) - 1 + k1`` (unbiased and never negative).
    Returns ``[batch, response]``; raises ValueError for another name.
    """
    log_ratio = logprobs - reference_logprobs
    if estimator == "k1":
        return log_ratio
    if estimator == "k1_clamped":
        return log_ratio.clamp(min=0)
    if estimator == "k3":
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
    weights = torch.exp(logprobs - sampler_logprobs).clamp(max=cap)
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
