"""The losses of the method, and DPO's, as pure functions of tensors.

Everything here sees finished numbers: which tokens count is said by ``mask`` alone, so a mask of
ones reproduces the paper's averages over all response slots.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LOG_RATIO_LIMIT = 20.0
"""Log-ratios are cut here before they are exponentiated, as verl does: e^20 is 5e8."""


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``x`` where ``mask`` is 1; both of one shape; 0 where the mask is empty. Scalar."""
    weights = mask.to(x.dtype)
    return (x * weights).sum() / weights.sum().clamp(min=1)


def preference_loss(
    chosen_rewards: Tensor,
    rejected_rewards: Tensor,
    *,
    margin: Tensor | None = None,
    labels: Tensor | None = None,
    weights: Tensor | None = None,
    center_coefficient: float = 1e-3,
    center_rewards_coefficient: float = 0.0,
) -> Tensor:
    """Bradley-Terry loss that also keeps rewards near zero (the paper's).

    ``BCE(r_better - r_worse - margin, label) + center_coefficient * |mean(r_better + r_worse)|
    + center_rewards_coefficient * mean((r_better + r_worse)^2)``

    The last term is that of Eisenstein et al. 2023 (arXiv 2312.09244, section 3), its weight's name
    TRL's. All tensors are ``[batch]``; ``labels`` is the probability that the chosen one is better
    (1 by default, the share of votes with soft labels), ``weights`` how often a pair counts in the
    BCE. Of an ensemble, rewards and weights are ``[batch, heads]``, the other tensors ``[batch]``,
    and the loss is the mean of the heads' losses. Returns a scalar.
    """
    difference, both = chosen_rewards - rejected_rewards, chosen_rewards + rejected_rewards
    rows = (-1,) + (1,) * (difference.dim() - 1)
    logits = difference if margin is None else difference - margin.view(rows)
    targets = torch.ones_like(logits) if labels is None else labels.view(rows).to(logits.dtype)
    loss = functional.binary_cross_entropy_with_logits(
        logits, targets.expand_as(logits), weight=weights
    )
    loss = loss + center_coefficient * both.mean(0).abs().mean()
    if center_rewards_coefficient:
        loss = loss + center_rewards_coefficient * both.square().mean()
    return loss


def bounded_log_ratio(logprobs: Tensor, other_logprobs: Tensor) -> Tensor:
    """Their difference within +-``LOG_RATIO_LIMIT``, without gradient beyond; like ``logprobs``."""
    return (logprobs - other_logprobs).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)


def cut_share(logprobs: Tensor, other_logprobs: Tensor, mask: Tensor) -> Tensor:
    """Share of the masked tokens whose log-ratio ``bounded_log_ratio`` cuts; scalar, detached."""
    cut = (logprobs - other_logprobs).detach().abs() > LOG_RATIO_LIMIT
    return masked_mean(cut.to(logprobs.dtype), mask)


def reduced(x: Tensor, mask: Tensor, reduction: str) -> Tensor:
    """Mean over all masked tokens ("tokens") or of the means of the sequences ("sequences").

    ``x`` and ``mask`` are ``[batch, response]``; a sequence without a masked token is left out.
    Returns a scalar, 0 where the mask is empty; ValueError for another ``reduction``.
    """
    if reduction == "tokens":
        return masked_mean(x, mask)
    if reduction != "sequences":
        raise ValueError(f"reduction is {reduction!r}, not 'tokens' or 'sequences'")
    weights = mask.to(x.dtype)
    counts = weights.sum(1)
    means = torch.where(mask.bool(), x, torch.zeros_like(x)).sum(1) / counts.clamp(min=1)
    return means.sum() / (counts > 0).sum().clamp(min=1)


def policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_range: float,
    reduction: str = "tokens",
) -> tuple[Tensor, Tensor]:
    """PPO's clipped surrogate (Schulman et al. 2017, eq. 7), to be minimised.

    All tensors are ``[batch, response]``. ``reduction`` is "tokens", where a long response weighs
    more, or "sequences", where each weighs the same (GRPO, arXiv 2402.03300, eq. 3). Returns the
    scalar loss and the share of masked tokens whose loss was the clipped one (detached).
    """
    ratio = torch.exp(bounded_log_ratio(logprobs, old_logprobs))
    unclipped = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - clip_range, 1 + clip_range)
    clip_fraction = masked_mean((clipped > unclipped).to(logprobs.dtype), mask)
    return reduced(torch.maximum(unclipped, clipped), mask, reduction), clip_fraction.detach()


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, *, clip_range: float
) -> tuple[Tensor, Tensor]:
    """Half the squared error, with the value kept within ``clip_range`` of its old self.

    All tensors are ``[batch, response]``. Returns the scalar loss and the share of masked tokens
    whose loss was the clipped one (detached).
    """
    near = old_values + (values - old_values).clamp(-clip_range, clip_range)
    unclipped = (values - returns) ** 2
    clipped = (near - returns) ** 2
    clip_fraction = masked_mean((clipped > unclipped).to(values.dtype), mask)
    return 0.5 * masked_mean(torch.maximum(unclipped, clipped), mask), clip_fraction.detach()


def direct_preference_loss(
    chosen_logratios: Tensor,
    rejected_logratios: Tensor,
    *,
    beta: float,
    labels: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """DPO's loss (Rafailov et al. 2023, arXiv 2305.18290, eq. 7), with labels that may be wrong.

    ``BCE(beta * (chosen_logratios - rejected_logratios), label)``

    A log-ratio is log policy(response) - log reference(response), summed over the response's
    tokens. All tensors are ``[batch]``; ``labels`` is the probability that the chosen one is better
    (1 by default, the share of votes with soft labels), and ``label_smoothing`` the share of labels
    expected to be the wrong way round. Returns a scalar.
    """
    logits = beta * (chosen_logratios - rejected_logratios)
    right = torch.ones_like(logits) if labels is None else labels.to(logits.dtype)
    targets = right * (1 - label_smoothing) + (1 - right) * label_smoothing
    return functional.binary_cross_entropy_with_logits(logits, targets)


def conditional_preference_loss(
    chosen_logratios: Tensor, damaged_logratios: Tensor, *, beta: float
) -> Tensor:
    """Prefer the chosen response with its image to the same one with a damaged image.

    ``-log sigmoid(beta * (chosen_logratios - damaged_logratios))``: mDPO's conditional term (Wang
    et al. 2024, arXiv 2406.11839, section 3.2). Both are ``[batch]`` log-ratios of one response,
    each to the reference that saw the same image. Returns a scalar.
    """
    return direct_preference_loss(chosen_logratios, damaged_logratios, beta=beta)


def anchor_loss(chosen_logratios: Tensor, *, beta: float, delta: float = 0.0) -> Tensor:
    """Keep the chosen response at least as probable as under the reference (mDPO, section 3.3).

    ``-log sigmoid(beta * chosen_logratios - delta)``; ``chosen_logratios`` is ``[batch]``. Without
    it both responses of a pair may become improbable together. Returns a scalar.
    """
    return -functional.logsigmoid(beta * chosen_logratios - delta).mean()


def marked_token_loss(
    logits: Tensor, marked: Tensor, mask: Tensor, *, positive_weight: float
) -> Tensor:
    """Binary cross-entropy of "people marked this token as hallucinated".

    All tensors are ``[batch, response]``; ``marked`` is 1 on marked tokens, ``mask`` is 1 on the
    tokens of responses that somebody looked through, and a marked token weighs
    ``positive_weight`` times, because few are. Returns the mean over masked tokens, 0 for none.
    """
    targets = marked.to(logits.dtype)
    weight = torch.tensor(positive_weight, dtype=logits.dtype, device=logits.device)
    losses = functional.binary_cross_entropy_with_logits(
        logits, targets, reduction="none", pos_weight=weight
    )
    return masked_mean(losses, mask)


def answer_loss(
    logprobs: Tensor, mask: Tensor, *, average: str, total: float | None = None
) -> Tensor:
    """Negative log-likelihood of answers, for supervised fine-tuning.

    ``logprobs`` and ``mask`` are ``[batch, response]``. ``average`` is "token" (every token weighs
    the same) or "example" (every answer does, so that one-word answers are heard among long ones).
    ``total`` is what the sum is divided by, tokens or examples of the whole optimiser step, so that
    micro-batches add up to exactly the loss of the batch; by default those of this call.
    """
    weights = mask.to(logprobs.dtype)
    negative = -(logprobs * weights)
    if average == "example":
        per_example = negative.sum(1) / weights.sum(1).clamp(min=1)
        return per_example.sum() / (total if total is not None else len(logprobs))
    return negative.sum() / (total if total is not None else float(weights.sum().clamp(min=1)))
