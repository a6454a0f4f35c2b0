"""Responses token by token behind prefixes that are already computed.

All rows end at the same column of the cache: what is shorter stands further right, so that a row
can be taken out and another let in at any time, and a window of attention is as wide as it should
be (where steps are captured as CUDA graphs they lie as ``static_decoding`` says). Each response
draws from numbers of its own, one per token, so what is sampled does not depend on which others are
under way, or in which process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from training.rlhf.contract import SamplingSettings
from training.rlhf.finite import NonFinite
from training.rlhf.library_internals import Cache, DynamicLayer
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prefixes import Prefix, gathered

_ROOM = 32
"""Columns that a buffer of keys and values has left when it is made, and gets at least."""
_CROWDED = 0.75
"""Finished responses are taken out once fewer than this share of the rows are unfinished."""
STEPS_ON_A_GPU = 8
"""Steps between two looks at how many are unfinished: each look waits for the GPU to be idle."""


class Flight:
    """Responses under way. Numbers of responses are places in ``draws``."""

    def __init__(
        self, model: VisionLanguageModel, draws: Tensor, settings: SamplingSettings
    ) -> None:
        """``draws`` are numbers in [0, 1), ``[responses, response_length]``."""
        device = model.device
        self._model, self._settings = model, settings
        self._draws = draws.to(device)
        self._ids = torch.full(self._draws.shape, model.pad_id, device=device)
        self._logprobs = torch.zeros(self._draws.shape, device=device)
        self._broken = torch.zeros(len(draws), dtype=torch.bool, device=device)
        self._stops = torch.tensor([*model.stop_ids, *model.cut_ids], device=device)
        self._every = STEPS_ON_A_GPU if device.type == "cuda" else 1
        self._cache = _Rows(model)
        nothing = torch.zeros(0, dtype=torch.long, device=device)
        self._numbers, self._tokens, self._slots = nothing, nothing, nothing
        self._going = nothing.bool()

    @property
    def unfinished(self) -> set[int]:
        """Numbers of the responses that have not ended."""
        return set(self._numbers[self._going].tolist())

    def result(self, numbers: list[int]) -> tuple[Tensor, Tensor]:
        """Ids of responses and the log-probabilities they were drawn with, on the CPU.

        ``[responses, response_length]`` both; behind the first stop token stand padding and 0.
        """
        return self._ids[numbers].cpu(), self._logprobs[numbers].cpu()

    def admit(
        self, numbers: list[int], prefix: Prefix, owners: Sequence[int], last_ids: Sequence[int]
    ) -> None:
        """Begin responses; room for them is made by taking out those that have ended.

        ``last_ids`` are the last tokens of the prompts, which the prefixes leave out;
        ``owners[row]`` is the number of the row's prefix.
        """
        keep = self._going.nonzero().squeeze(1)
        self._cache.rebuild(keep, prefix, owners)

        def joined(before: Tensor, new: Sequence[int]) -> Tensor:
            return torch.cat([before[keep], torch.tensor(list(new), device=before.device)])

        self._numbers = joined(self._numbers, numbers)
        self._tokens = joined(self._tokens, last_ids)
        self._slots = joined(self._slots, [0] * len(numbers))
        self._going = torch.ones_like(self._numbers, dtype=torch.bool)

    def run(self, *, until: int) -> None:
        """Go on until at most ``until`` responses are unfinished.

        Raises NonFinite, with the number, for a model that predicts nothing.
        """
        while True:
            self._steps()
            unfinished = int(self._going.sum())
            if unfinished <= until:
                break
            if unfinished < _CROWDED * len(self._numbers):
                self._take_out()
        if bool(self._broken.any()):
            raise NonFinite("prediction", math.nan, row=int(self._broken.nonzero()[0]))

    def _steps(self) -> None:
        for _ in range(self._every):
            self._step()

    def _step(self) -> None:
        """One token for each row; those that have ended go along unheard."""
        self._say(self._cache.step(self._tokens), slice(None))

    def _say(self, hidden: Tensor, rows: slice) -> None:
        """The token behind ``hidden`` ``[rows, hidden]`` is said; nothing here waits for a GPU.

        Whatever is written lies where it lay before.
        """
        numbers, slots, going = self._numbers[rows], self._slots[rows], self._going[rows]
        self._broken[numbers] |= going & ~torch.isfinite(hidden).all(-1)
        last = self._settings.response_length - 1
        place = numbers, slots.clamp(max=last)
        tokens, drawn_with = chosen_tokens(self._model, hidden, self._draws[place], self._settings)
        self._ids[place] = torch.where(going, tokens, self._ids[place])
        self._logprobs[place] = torch.where(going, drawn_with, self._logprobs[place])
        ended = (tokens[:, None] == self._stops).any(-1) | (slots >= last)
        going &= ~ended
        self._tokens[rows] = tokens
        slots += 1

    def _take_out(self) -> None:
        keep = self._going.nonzero().squeeze(1)
        self._cache.rebuild(keep)
        self._numbers, self._tokens = self._numbers[keep], self._tokens[keep]
        self._slots, self._going = self._slots[keep], self._going[keep]


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


class _Rows:
    """What the model remembers of the rows under way."""

    def __init__(self, model: VisionLanguageModel) -> None:
        self._model = model
        self._layers = [_Aligned() for _ in range(model.layer_count)]
        self._cache = Cache(layers=list(self._layers))
        self._lengths = torch.zeros(0, dtype=torch.long, device=model.device)
        self._shift = self._lengths[:, None]
        self._mask: Tensor | None = None
        self._width = 0

    def rebuild(
        self, keep: Tensor, prefix: Prefix | None = None, owners: Sequence[int] = ()
    ) -> None:
        """Forget all rows but those of ``keep``, and append one for each of ``owners``."""
        chosen = torch.tensor(list(owners), dtype=torch.long, device=self._model.device)
        new = self._lengths[:0] if prefix is None else prefix.mask.sum(1)[chosen]
        self._lengths = torch.cat([self._lengths[keep], new])
        self._width = int(self._lengths.max())
        columns = torch.arange(self._width, device=chosen.device) - (self._width - new)[:, None]
        for number, layer in enumerate(self._layers):
            begun = None
            if prefix is not None:
                begun = gathered(prefix.layers[number], chosen, columns.clamp(min=0))
            layer.rebuild(keep, self._width, begun)
        shift = new.new_zeros(len(new), 1)  # nothing is moved behind text alone
        if prefix is not None and prefix.shift is not None:
            shift = prefix.shift[chosen]
        self._shift = torch.cat([self._shift[keep], shift])
        # Without padding no mask is needed, and attention is faster.
        padding = self._width - self._lengths[:, None]
        seen = torch.arange(self._width, device=chosen.device) >= padding
        if bool(seen.all()):
            self._mask = None
        elif self._model.takes_any_mask:
            # In the shape of scores it is added as it is; any other would be looked through for
            # padding at each token, and a GPU waited for.
            self._mask = self._model.additive(seen[:, None, None])
        else:
            self._mask = seen.long()

    def step(self, tokens: Tensor) -> Tensor:
        """Hidden states ``[rows, hidden]`` behind one more token each."""
        if self._mask is not None:
            self._mask = functional.pad(self._mask, (0, 1), value=float(self._mask.dim() == 2))
        positions = self._model.shifted_positions(self._lengths[:, None], self._shift)
        self._lengths, self._width = self._lengths + 1, self._width + 1
        hidden = self._model.run(
            input_ids=tokens[:, None],
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
        )
        return hidden[:, -1]


class _Aligned(DynamicLayer):
    """Keys and values in a buffer with room behind them: a new token is written, nothing copied.

    Columns before a row's beginning hold anything finite, since the mask hides them.
    """

    def rebuild(self, keep: Tensor, width: int, begun: tuple[Tensor, Tensor] | None) -> None:
        """Keep some rows, their last ``width`` columns, and append those of ``begun``."""
        if begun is not None and not self.is_initialized:
            self.lazy_initialization(*begun)
            self._buffers, self._length = [tensor[:0] for tensor in begun], width
        pairs = zip(self._known(), begun or (None, None), strict=True)
        self._buffers = [_rebuilt(before, keep, width, new) for before, new in pairs]
        self._length = width
        self.keys, self.values = self._known()

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **options: object
    ) -> tuple[Tensor, Tensor]:
        begin, self._length = self._length, self._length + 1
        if self._length > self._buffers[0].shape[-2]:
            everyone = torch.arange(len(key_states), device=key_states.device)
            room = max(_ROOM, begin // 4)
            before = [buffer[:, :, :begin] for buffer in self._buffers]
            self._buffers = [_rebuilt(one, everyone, begin, None, room=room) for one in before]
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, begin : self._length] = new
        self.keys, self.values = found = self._known()
        return found

    def _known(self) -> tuple[Tensor, Tensor]:
        keys, values = (buffer[:, :, : self._length] for buffer in self._buffers)
        return keys, values


def _rebuilt(
    before: Tensor, keep: Tensor, width: int, new: Tensor | None, *, room: int = _ROOM
) -> Tensor:
    """``[rows, heads, width + room, head]``: ``before``, moved to the end, then ``new``."""
    kept = before[keep, :, max(before.shape[2] - width, 0) :]
    rows = len(kept) + (0 if new is None else len(new))
    buffer = before.new_zeros(rows, before.shape[1], width + room, before.shape[3])
    buffer[: len(kept), :, width - kept.shape[2] : width] = kept
    if new is not None:
        buffer[len(kept) :, :, :width] = new
    return buffer
