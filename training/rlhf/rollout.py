"""The policy answers prompts, and what was answered is measured under every adapter.

Rows are left-padded prompts followed by right-padded responses, so column ``q - 1 + t`` of the
hidden states predicts response token ``t`` in every row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig

from training.rlhf.contract import PromptRecord, SamplingSettings
from training.rlhf.data import Batch, TokenSequence, batches, by_length
from training.rlhf.models import VisionLanguageModel


@dataclass
class Responses:
    """Sampled responses; ``ids`` and ``mask`` are ``[count, response]`` on the CPU."""

    ids: Tensor
    mask: Tensor
    """1 on response tokens including the end token."""
    finished: list[bool]
    texts: list[str]

    @property
    def lengths(self) -> Tensor:
        """Tokens of each response, end token included, ``[count]``."""
        return self.mask.sum(1)


@dataclass
class Trajectory:
    """One round of rollouts. Tensors are ``[count, response]`` on the CPU, 0 on padding."""

    records: list[PromptRecord]
    prompts: list[TokenSequence]
    responses: Responses
    slots: Tensor
    """What the losses average over: the response mask, or all ones as in the paper."""
    logprobs: Tensor
    reference_logprobs: Tensor
    values: Tensor
    entropy: Tensor


@torch.no_grad()
def sample(
    model: VisionLanguageModel,
    prompts: Sequence[TokenSequence],
    settings: SamplingSettings,
    *,
    adapter: str | None,
    batch_size: int,
    before_batch: Callable[[], None] = lambda: None,
) -> Responses:
    """One response to each prompt, in the order of ``prompts``.

    Prompts of like length are answered together; the image, padding and begin tokens cannot be
    sampled; the earliest of all stop tokens ends a response. ``before_batch`` may raise to give up.
    """
    model.base.eval()
    config = _generation_config(model, settings)
    ids = torch.full((len(prompts), settings.response_length), model.pad_id)
    for indices in batches(by_length([len(prompt) for prompt in prompts]), batch_size):
        before_batch()
        batch = Batch.pad(
            [prompts[i] for i in indices], pad_id=model.pad_id, device=model.device, side="left"
        )
        with model.using(adapter):
            output = model.base.generate(**model.model_inputs(batch), generation_config=config)
        new = output[:, batch.input_ids.shape[1] :].cpu()
        ids[torch.tensor(indices)[:, None], torch.arange(new.shape[1])] = new
    return cut_at_stop(model, ids)


def cut_at_stop(model: VisionLanguageModel, ids: Tensor) -> Responses:
    """Responses from raw samples ``[count, slots]``: what follows the first stop token is padding.

    The result is as wide as the longest response.
    """
    stops = torch.isin(ids, torch.tensor(model.stop_ids))
    finished = stops.any(1)
    before_stop = stops.long().cumsum(1) - stops.long() == 0
    width = int(before_stop.sum(1).max())
    mask = before_stop[:, :width].long()
    ids = ids[:, :width].masked_fill(mask == 0, model.pad_id)
    texts = []
    for row, keep, ended in zip(ids, mask, finished.tolist(), strict=True):
        content = row[keep.bool()]
        texts.append(model.chat.decode((content[:-1] if ended else content).tolist()))
    return Responses(ids, mask, finished.tolist(), texts)


def widened(responses: Responses, width: int, *, pad_id: int) -> Responses:
    """The same responses padded to ``width`` columns, for averages over all slots (the paper)."""
    gap = width - responses.ids.shape[1]
    ids = functional.pad(responses.ids, (0, gap), value=pad_id)
    mask = functional.pad(responses.mask, (0, gap))
    return replace(responses, ids=ids, mask=mask)


def _generation_config(model: VisionLanguageModel, settings: SamplingSettings) -> GenerationConfig:
    options: dict[str, Any] = {}
    if settings.temperature > 0:
        options = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
    return GenerationConfig(
        do_sample=settings.temperature > 0,
        max_new_tokens=settings.response_length,
        eos_token_id=list(model.stop_ids),
        pad_token_id=model.pad_id,
        suppress_tokens=model.suppressed_ids or None,
        use_cache=True,
        **options,
    )


def response_batch(
    model: VisionLanguageModel,
    prompts: Sequence[TokenSequence],
    ids: Tensor,
    mask: Tensor,
) -> tuple[Batch, int]:
    """Prompts with their responses as one batch, and the width of the prompt part."""
    left = Batch.pad(prompts, pad_id=model.pad_id, device=model.device, side="left")
    joined = Batch(
        input_ids=torch.cat([left.input_ids, ids.to(model.device)], dim=1),
        attention_mask=torch.cat([left.attention_mask, mask.to(model.device)], dim=1),
        images=left.images,
    )
    return joined, left.input_ids.shape[1]


def response_hidden(
    model: VisionLanguageModel,
    adapter: str | None,
    prompts: Sequence[TokenSequence],
    ids: Tensor,
    mask: Tensor,
) -> Tensor:
    """Hidden states that predict each response token, ``[batch, response, hidden]``."""
    batch, width = response_batch(model, prompts, ids, mask)
    with model.using(adapter):
        return model.hidden_states(batch)[:, width - 1 : -1]


def token_logprobs(
    model: VisionLanguageModel,
    hidden: Tensor,
    ids: Tensor,
    mask: Tensor,
    *,
    temperature: float,
    suppress: bool = True,
) -> tuple[Tensor, Tensor]:
    """Log-probability of each response token and the entropy there, ``[batch, response]`` both.

    Logits are divided by the sampling temperature and, with ``suppress``, exclude what sampling
    excludes: these are the probabilities that the tokens were drawn with. Padding is 0; entropy
    carries no gradient.
    """
    ids, mask = ids.to(hidden.device), mask.to(hidden.device)
    distribution = torch.log_softmax(
        model.logits(hidden, temperature=temperature, suppress=suppress), dim=-1
    )
    chosen = distribution.gather(-1, ids[..., None]).squeeze(-1)
    with torch.no_grad():
        entropy = -(distribution.exp() * distribution).sum(-1)
    return chosen.masked_fill(mask == 0, 0), entropy.masked_fill(mask == 0, 0)
