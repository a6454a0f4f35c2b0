"""The policy answers prompts, and what was answered is measured under every adapter.

Rows are left-padded prompts followed by right-padded responses, so column ``q - 1 + t`` of the
hidden states predicts response token ``t`` in every row.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from training.rlhf.contract import PromptRecord, SamplingSettings
from training.rlhf.data import Batch, TokenSequence, batches
from training.rlhf.decoding import Flight
from training.rlhf.finite import NonFinite
from training.rlhf.losses import masked_mean
from training.rlhf.merging import MergedAdapter
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prefixes import (
    Prefix,
    continued,
    family_batches,
    key_of,
    owners_of,
    prefix_of,
    runs_apart,
)
from training.rlhf.processes import Processes, processes
from training.rlhf.static_decoding import flight_of

_ARRIVALS = 4
"""Prompts are let in when one in so many places is free: fewer at a time would make poor passes."""


@dataclass
class Responses:
    """Sampled responses; ``ids`` and ``mask`` are ``[count, response]`` on the CPU."""

    ids: Tensor
    mask: Tensor
    """1 on response tokens including the end token."""
    finished: list[bool]
    texts: list[str]
    drawn_with: Tensor | None = None
    """Log-probabilities by which the sampler drew, ``[count, response]``, 0 on padding."""

    @property
    def lengths(self) -> Tensor:
        """Tokens of each response, end token included, ``[count]``."""
        return self.mask.sum(1)

    def of(self, rows: list[int]) -> Responses:
        """Those of ``rows``, as wide as the longest of them."""
        width = int(self.lengths[rows].max())
        return Responses(
            self.ids[rows, :width],
            self.mask[rows, :width],
            [self.finished[row] for row in rows],
            [self.texts[row] for row in rows],
            None if self.drawn_with is None else self.drawn_with[rows, :width],
        )


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
    values: Tensor | None
    """None where there is no critic."""
    entropy: Tensor
    value_prompts: list[TokenSequence] | None = None
    """As the critic's base reads the prompts, where it has another than the policy."""

    @property
    def sampler_gap(self) -> float:
        """Mean of |log-probability here - that which the token was drawn with|, in nats."""
        if self.responses.drawn_with is None:
            return 0.0
        gap = (self.logprobs - self.responses.drawn_with).abs()
        return float(masked_mean(gap, self.responses.mask))


@torch.no_grad()
def sample(
    model: VisionLanguageModel,
    prompts: Sequence[TokenSequence],
    settings: SamplingSettings,
    *,
    adapter: str | None,
    batch_size: int,
    shared: bool = False,
    names: Sequence[str] = (),
    draws: Tensor | None = None,
    before_batch: Callable[[], None] = lambda: None,
    after_batch: Callable[[list[int], Responses, Prefix], None] = lambda *_: None,
) -> Responses:
    """One response to each prompt, in the order of ``prompts``.

    ``batch_size`` responses are under way at once: where some have ended, others are let in. Equal
    prompts share one pass over the prompt. The image, padding and begin tokens cannot be sampled;
    the earliest of all stop tokens ends a response. What is drawn does not depend on
    ``batch_size``, nor on how many processes answer a ``shared`` list: numbers in [0, 1) decide it,
    ``draws`` ``[prompts, response_length]`` or torch's. ``before_batch`` may raise
    to give up; ``after_batch`` gets rows whose prompts were run together, once all of them have
    ended, their responses and their ``prompt_prefix`` under ``adapter``, and may be called again
    for the same rows.
    """
    model.base.eval()
    merged = MergedAdapter(model, adapter)
    ids = torch.zeros((len(prompts), settings.response_length), dtype=torch.long)
    drawn_with = torch.zeros(ids.shape)
    if draws is None:
        draws = torch.rand(ids.shape, dtype=torch.float64)
    keys = [key_of(prompt) for prompt in prompts]
    lengths = [len(prompt) for prompt in prompts]

    everyone = processes() if shared else Processes()
    most = everyone.part_size(batch_size, len(prompts))
    together = max(most // _ARRIVALS, min(max(Counter(keys).values(), default=1), most))
    parts = everyone.share([*family_batches(keys, lengths, together)])
    own, done = [row for part in parts for row in part], set[int]()

    def let_in(flight: Flight, group: _Group, room: int) -> None:
        """So many of the group's rows; the first of them bring its prefix."""
        if group.prefix is None:
            before_batch()
            group.prefix = prompt_prefix(model, adapter, [prompts[row] for row in group.rows])
        _, owners = owners_of([keys[row] for row in group.rows])
        some = slice(group.begun, group.begun + room)
        last_ids = [prompts[row].ids[-1] for row in group.rows[some]]
        flight.admit(group.rows[some], group.prefix, owners[some], last_ids)
        group.begun += len(last_ids)

    def answer(size: int) -> None:
        """All of its ``own`` rows that are not ``done``, at most ``size`` at once."""
        left = [row for row in own if row not in done]
        flight = flight_of(model, draws, settings, size=min(size, len(left)))
        groups = _groups(left, keys, size)
        waiting = deque(groups)
        while groups:
            room = size - len(flight.unfinished)
            while waiting and room > 0:
                before = waiting[0].begun
                let_in(flight, waiting[0], room)
                room -= waiting[0].begun - before
                if waiting[0].begun == len(waiting[0].rows):
                    waiting.popleft()
            with merged.applied():
                flight.run(until=size - max(size // _ARRIVALS, 1) if waiting else 0)
            unfinished = flight.unfinished
            for group in [group for group in groups if group.over(unfinished)]:
                groups.remove(group)
                ids[group.rows], drawn_with[group.rows] = flight.result(group.rows)
                assert group.prefix is not None
                after_batch(group.rows, cut_at_stop(model, ids[group.rows]), group.prefix)
                done.update(group.rows)

    try:
        if own:
            model.fit("sampling").going_on(most, answer)
    except NonFinite as error:
        if not names or error.row is None:
            raise
        raise error.of(names[error.row]) from None
    everyone.sum_(ids, drawn_with)
    return cut_at_stop(model, ids, drawn_with)


@dataclass(eq=False)
class _Group:
    """Rows whose prompts are run together, and measured together when all of them have ended."""

    rows: list[int]
    begun: int = 0
    prefix: Prefix | None = None

    def over(self, unfinished: set[int]) -> bool:
        return self.begun == len(self.rows) and unfinished.isdisjoint(self.rows)


def _groups(rows: Sequence[int], keys: Sequence[Hashable], size: int) -> list[_Group]:
    """The first fills all places, later ones as many as become free together.

    Rows with equal keys, which stand one behind the other, are in one group unless it would be more
    than ``size``.
    """
    groups = [_Group([])]
    room = size
    for _, family in itertools.groupby(rows, key=lambda row: keys[row]):
        for members in batches([*family], size):
            if groups[-1].rows and len(groups[-1].rows) + len(members) > room:
                groups.append(_Group([]))
                room = max(size // _ARRIVALS, 1)
            groups[-1].rows += members
    return groups


def cut_at_stop(
    model: VisionLanguageModel, ids: Tensor, drawn_with: Tensor | None = None
) -> Responses:
    """Responses from raw samples ``[count, slots]``: what follows the first stop token is padding.

    So is what follows a token that cuts, but such a response is not finished.

    ``drawn_with`` are their log-probabilities, if known. The result is as wide as the longest
    response.
    """
    stops = torch.isin(ids, torch.tensor([*model.stop_ids, *model.cut_ids]))
    before_stop = stops.long().cumsum(1) - stops.long() == 0
    last = ids.gather(1, before_stop.sum(1, keepdim=True) - 1).squeeze(1)
    finished = torch.isin(last, torch.tensor(model.stop_ids))
    width = int(before_stop.sum(1).max())
    mask = before_stop[:, :width].long()
    ids = ids[:, :width].masked_fill(mask == 0, model.pad_id)
    texts = []
    for row, keep, ended in zip(ids, mask, finished.tolist(), strict=True):
        content = row[keep.bool()]
        texts.append(model.chat.decode((content[:-1] if ended else content).tolist()))
    if drawn_with is not None:
        drawn_with = drawn_with[:, :width] * mask
    return Responses(ids, mask, finished.tolist(), texts, drawn_with)


def widened(responses: Responses, width: int, *, pad_id: int) -> Responses:
    """The same responses padded to ``width`` columns, for averages over all slots (the paper)."""
    gap = width - responses.ids.shape[1]
    ids = functional.pad(responses.ids, (0, gap), value=pad_id)
    mask = functional.pad(responses.mask, (0, gap))
    drawn_with = responses.drawn_with
    if drawn_with is not None:
        drawn_with = functional.pad(drawn_with, (0, gap))
    return replace(responses, ids=ids, mask=mask, drawn_with=drawn_with)


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
    *,
    slots: Tensor | None = None,
    prefix: Prefix | None = None,
) -> Tensor:
    """Hidden states that predict each response token, ``[batch, response, hidden]``.

    They are wanted where ``slots`` is 1 and undefined elsewhere; by default, where ``mask`` is.
    Equal prompts are computed once, or not at all when ``prefix`` is their ``prompt_prefix`` under
    the same adapter.
    """
    wanted = mask if slots is None else slots
    first, owners = owners_of([key_of(prompt) for prompt in prompts])
    whole = len(first) == len(prompts) and not runs_apart(model, [len(p) - 1 for p in prompts])
    whole = whole or model.checkpoints_activations
    # What stands on padding depends on how it is computed, so where it counts there is one way.
    whole = whole and not bool((wanted > mask).any())
    if prefix is None and whole:
        batch, width = response_batch(model, prompts, ids, mask)
        with model.using(adapter):
            return model.hidden_states(batch)[:, width - 1 : -1]
    if prefix is None:
        prefix = prompt_prefix(model, adapter, prompts)
    last = torch.tensor([[prompt.ids[-1]] for prompt in prompts])
    ids = torch.cat([last, ids[:, :-1].cpu()], dim=1)
    mask = torch.cat([torch.ones_like(last), mask[:, :-1].cpu()], dim=1)
    with model.using(adapter):
        return continued(model, prefix, owners, ids, mask, slots=wanted.cpu())


def prompt_prefix(
    model: VisionLanguageModel, adapter: str | None, prompts: Sequence[TokenSequence]
) -> Prefix:
    """Keys and values of the different prompts, each without its last token.

    They come in the order in which they first occur. The last token belongs to the response's
    side, since what stands behind it predicts the first response token.
    """
    first, _ = owners_of([key_of(prompt) for prompt in prompts])
    with model.using(adapter):
        return prefix_of(
            model, [prompts[place].beginning(len(prompts[place]) - 1) for place in first]
        )
