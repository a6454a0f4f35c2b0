"""Responses token by token behind a prefix that is already computed.

Each response draws from numbers of its own, one per token, so what is sampled does not depend on
which batch, or which process, a prompt is answered in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from training.rlhf.contract import SamplingSettings
from training.rlhf.finite import NonFinite
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prefixes import Prefix

_FIRST_ROOM = 32
_CROWDED = 0.75
"""Finished responses are taken out once fewer than this share of the rows are unfinished."""


@torch.no_grad()
def decode(
    model: VisionLanguageModel,
    prefix: Prefix,
    owners: Sequence[int],
    last_ids: Sequence[int],
    draws: Tensor,
    settings: SamplingSettings,
) -> tuple[Tensor, Tensor]:
    """Ids ``[rows, response_length]``, and the log-probabilities that they were drawn with.

    Both on the CPU; behind the first stop token stands padding, with 0.

    ``last_ids`` are the last tokens of the prompts, which the prefixes leave out; ``draws`` are
    numbers in [0, 1), ``[rows, response_length]``. Raises NonFinite, with the row, for a model that
    predicts nothing.
    """
    device = model.device
    sampled = torch.full((len(owners), settings.response_length), model.pad_id)
    logprobs = torch.zeros(sampled.shape)
    stops = torch.tensor([*model.stop_ids, *model.cut_ids], device=device)
    rows = torch.arange(len(owners))
    state = _State(model, prefix, owners)
    tokens = torch.tensor(list(last_ids), device=device)
    broken = torch.zeros(len(rows), dtype=torch.bool, device=device)
    for slot in range(settings.response_length):
        hidden = state.step(tokens)
        broken[rows.to(device)] |= ~torch.isfinite(hidden).all(-1)  # asked at the end: no waiting
        tokens, drawn_with = chosen_tokens(model, hidden, draws[rows, slot].to(device), settings)
        going = ~torch.isin(tokens, stops)
        sampled[rows, slot], logprobs[rows, slot] = tokens.cpu(), drawn_with.cpu()
        going = going & state.going
        state.going = going
        unfinished = int(going.sum())
        if unfinished == 0:
            break
        if unfinished < _CROWDED * len(rows):
            keep = going.nonzero().squeeze(1)
            state.keep(keep)
            tokens, rows = tokens[keep], rows[keep.cpu()]
    if bool(broken.any()):
        raise NonFinite("prediction", math.nan, row=int(broken.nonzero()[0]))
    behind = _behind_stop(sampled, stops.cpu())
    return sampled.masked_fill(behind, model.pad_id), logprobs.masked_fill(behind, 0)


def chosen_tokens(
    model: VisionLanguageModel, hidden: Tensor, draws: Tensor, settings: SamplingSettings
) -> tuple[Tensor, Tensor]:
    """The token each row of ``hidden`` ``[rows, hidden]`` says next, given ``draws`` ``[rows]``.

    A draw picks the token whose share of [0, 1) it falls in; at temperature 0 the likeliest is
    taken. The second tensor, ``[rows]``, is the log-probability of that.
    """
    if settings.temperature == 0:
        likeliest = model.logits(hidden).argmax(-1)
        return likeliest, torch.zeros(likeliest.shape, device=likeliest.device)
    logits = model.logits(hidden, temperature=settings.temperature)
    probabilities = torch.softmax(logits, dim=-1)
    if settings.top_p < 1:
        probabilities = _nucleus(probabilities, settings.top_p)
    # In double precision: the last of 150,000 tokens must get its share, and no more.
    edges = probabilities.double().cumsum(-1)
    wanted = draws.double()[:, None] * edges[:, -1:]
    chosen = torch.searchsorted(edges, wanted, right=True).squeeze(1)
    # Where the edges are no numbers it would be past them.
    chosen = chosen.clamp(max=edges.shape[-1] - 1)
    share = probabilities.gather(-1, chosen[:, None]).squeeze(1) / edges[:, -1]
    return chosen, share.log().float()


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Only the likeliest tokens whose probabilities reach ``top_p`` together; at least one."""
    ordered, places = probabilities.sort(dim=-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0)
    return torch.zeros_like(probabilities).scatter(-1, places, ordered)


def _behind_stop(ids: Tensor, stops: Tensor) -> Tensor:
    is_stop = torch.isin(ids, stops).long()
    return is_stop.cumsum(1) - is_stop > 0


class _State:
    """What the model remembers of the responses under way."""

    def __init__(self, model: VisionLanguageModel, prefix: Prefix, owners: Sequence[int]) -> None:
        chosen = torch.tensor(list(owners), device=model.device)
        self._model = model
        self._layers = [_RoomyLayer(keys[chosen], values[chosen]) for keys, values in prefix.layers]
        self._cache = Cache(layers=list(self._layers))
        self._shift = None if prefix.shift is None else prefix.shift[chosen]
        self._lengths = prefix.mask[chosen].sum(1)
        # Without padding no mask is needed, and attention is faster.
        self._mask = None if bool(prefix.mask.all()) else prefix.mask[chosen]
        self.going = torch.ones(len(chosen), dtype=torch.bool, device=model.device)

    def step(self, tokens: Tensor) -> Tensor:
        """Hidden states ``[rows, hidden]`` behind one more token each."""
        if self._mask is not None:
            self._mask = torch.cat([self._mask, torch.ones_like(self._mask[:, :1])], dim=1)
        positions = self._model.shifted_positions(self._lengths[:, None], self._shift)
        self._lengths = self._lengths + 1
        hidden = self._model.run(
            input_ids=tokens[:, None],
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
        )
        return hidden[:, -1]

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but these."""
        for layer in self._layers:
            layer.keep(rows)
        self._lengths, self.going = self._lengths[rows], self.going[rows]
        self._mask = None if self._mask is None else self._mask[rows]
        self._shift = None if self._shift is None else self._shift[rows]


class _RoomyLayer(DynamicLayer):
    """Keys and values in a buffer with room behind them: a new token is written, nothing copied."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self._length = keys.shape[-2]
        self._buffers = (keys, values)
        self.keys, self.values = keys, values

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **options: object
    ) -> tuple[Tensor, Tensor]:
        begin, self._length = self._length, self._length + key_states.shape[-2]
        if self._length > self._buffers[0].shape[-2]:
            room = max(_FIRST_ROOM, self._length // 2)
            keys, values = (buffer[:, :, :begin] for buffer in self._buffers)
            self._buffers = (_widened(keys, room), _widened(values, room))
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, begin : self._length] = new
        self.keys, self.values = (buffer[:, :, : self._length] for buffer in self._buffers)
        return self.keys, self.values

    def keep(self, rows: Tensor) -> None:
        self._buffers = (self._buffers[0][rows], self._buffers[1][rows])
        self.keys, self.values = (buffer[:, :, : self._length] for buffer in self._buffers)


def _widened(tensor: Tensor, room: int) -> Tensor:
    rows, heads, length, width = tensor.shape
    buffer = tensor.new_empty(rows, heads, length + room, width)
    buffer[:, :, :length] = tensor
    return buffer
