"""How probable tokens are, without ever holding the logits of a whole batch.

Between a hidden state and one log-probability stand tens of thousands of logits. They are made for
so many tokens at a time as fit ``_NUMBERS``, and what is kept of a token for the backward pass is
the slope of its log-probability, as wide as its hidden state. Where the language head is trained
itself that is not enough: there logits are made again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from training.rlhf.models import VisionLanguageModel

_NUMBERS = 2**24
"""Logits in memory at once: 64 MiB in float32, of which a pass holds a few."""


def token_logprobs(
    model: VisionLanguageModel,
    hidden: Tensor,
    ids: Tensor,
    mask: Tensor,
    *,
    temperature: float,
    suppress: bool = True,
) -> Tensor:
    """Log-probability of each response token, ``[batch, response]``, 0 on padding.

    Logits are divided by the sampling temperature and, with ``suppress``, exclude what sampling
    excludes: these are the probabilities that the tokens were drawn with.
    """

    def of_part(states: Tensor, tokens: Tensor) -> Tensor:
        logits = model.logits(states, temperature=temperature, suppress=suppress)
        return logits.gather(-1, tokens[:, None]).squeeze(-1) - logits.logsumexp(-1)

    wanted = mask.to(hidden.device).bool()
    head_learns = model.base.get_output_embeddings().weight.requires_grad
    parts = []
    for states, tokens in _chunks(model, hidden[wanted], ids.to(hidden.device)[wanted]):
        if not torch.is_grad_enabled():
            parts.append(of_part(states, tokens))
        elif head_learns:
            parts.append(checkpoint(of_part, states, tokens, use_reentrant=False))
        else:
            parts.append(_WithSlope.apply(states, tokens, of_part))
    return _spread(parts, wanted)


class _WithSlope(torch.autograd.Function):
    """A number of each state, which depends on that state alone, and how it changes with it."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, tokens: Tensor, of: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        with torch.enable_grad():
            own = states.detach().requires_grad_()
            found = of(own, tokens)
            [slope] = torch.autograd.grad(found.sum(), own)
        ctx.save_for_backward(slope)
        return found.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        [slope] = ctx.saved_tensors
        return (gradients[0][:, None] * slope.float()).to(slope.dtype), None, None


@torch.no_grad()
def token_entropy(
    model: VisionLanguageModel, hidden: Tensor, mask: Tensor, *, temperature: float
) -> Tensor:
    """Entropy of what stood to choose at each response token, ``[batch, response]``, in nats."""
    wanted = mask.to(hidden.device).bool()
    parts = []
    for (states,) in _chunks(model, hidden[wanted]):
        distribution = torch.log_softmax(model.logits(states, temperature=temperature), dim=-1)
        parts.append(-(distribution.exp() * distribution).sum(-1))
    return _spread(parts, wanted)


def _chunks(model: VisionLanguageModel, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """Rows of all tensors in groups whose logits are few enough; one group if there are no rows."""
    vocabulary = model.base.get_output_embeddings().weight.shape[0]
    size = max(_NUMBERS // vocabulary, 1)
    return list(zip(*(tensor.split(size) for tensor in tensors), strict=True))


def _spread(parts: list[Tensor], wanted: Tensor) -> Tensor:
    found = torch.cat(parts)
    return torch.zeros(wanted.shape, dtype=found.dtype, device=found.device).masked_scatter(
        wanted, found
    )
