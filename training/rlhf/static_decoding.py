"""Decoding in steps of fixed shapes on fixed addresses, which a CUDA graph can replay.

Each response has a place of its own: a row of every tensor, and of each layer's buffer of keys and
values, where its tokens stand from column 0 on. A step runs over the first ``rows`` places and the
first ``columns`` of the buffers, both rounded up, and there is a graph for each such pair. Empty
places, and those whose response has ended, go along unheard. Responses come and go between steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from training.rlhf import bases
from training.rlhf.contract import SamplingSettings
from training.rlhf.decoding import STEPS_ON_A_GPU, Flight
from training.rlhf.graphs import Graphs, Step
from training.rlhf.library_internals import Cache, DynamicLayer
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prefixes import Prefix

COLUMNS = 128
"""Buffers have a multiple of so many columns, and so does what a step attends to."""


def flight_of(
    model: VisionLanguageModel, draws: Tensor, settings: SamplingSettings, *, size: int
) -> Flight:
    """Room for ``size`` responses at once; in fixed places where the model's steps are captured."""
    if model.graphs is None:
        return Flight(model, draws, settings)
    return StaticFlight(model, draws, settings, size=size, graphs=model.graphs())


class StaticFlight(Flight):
    """``Flight`` with at most ``size`` responses at once; it samples the same."""

    def __init__(
        self,
        model: VisionLanguageModel,
        draws: Tensor,
        settings: SamplingSettings,
        *,
        size: int,
        graphs: Graphs,
    ) -> None:
        super().__init__(model, functional.pad(draws, (0, 0, 0, 1)), settings)
        device = model.device
        # Empty places have a number behind the last, so that no response is written twice.
        self._numbers = torch.full((size,), len(draws), device=device)
        self._tokens, self._slots, self._lengths = torch.zeros(
            3, size, dtype=torch.long, device=device
        )
        self._going = torch.zeros(size, dtype=torch.bool, device=device)
        self._shift = torch.zeros(size, 1, dtype=torch.long, device=device)
        self._windows = bases.attention_windows(model.base)
        self._buffers: list[list[Tensor]] = []
        self._sizes = [-(-size // 2**halvings) for halvings in range(size.bit_length())]
        self._used = 0
        self._graphs = graphs
        self._captured: dict[tuple[int, int], Step] = {}
        self._begun = False

    def admit(
        self, numbers: list[int], prefix: Prefix, owners: Sequence[int], last_ids: Sequence[int]
    ) -> None:
        """See ``Flight``: responses begin in places that are empty or whose response has ended."""
        device = self._model.device
        going = self._going.tolist()
        free = [place for place, taken in enumerate(going) if not taken][: len(numbers)]
        self._used = self._size_for(max(self._used, free[-1] + 1))
        places, chosen = torch.tensor([free, list(owners)], device=device)
        width = prefix.mask.shape[1]
        self._make_room(width, prefix)
        for buffers, begun in zip(self._buffers, prefix.layers, strict=True):
            for buffer, new in zip(buffers, begun, strict=True):
                buffer[places, :, :width] = new[chosen]
        self._numbers[places], self._tokens[places] = torch.tensor(
            [numbers, list(last_ids)], device=device
        )
        self._slots[places] = 0
        self._lengths[places] = prefix.mask.sum(1)[chosen]
        self._shift[places] = 0 if prefix.shift is None else prefix.shift[chosen]
        self._going[places] = True

    def run(self, *, until: int) -> None:
        """See ``Flight``."""
        # What Python does beside the kernels may have been undone since: the columns that an
        # adapter has behind a weight (``lora``) can be another's. So one step is made by Python.
        self._begun = False
        super().run(until=until)

    def _steps(self) -> None:
        columns = int(torch.where(self._going, self._lengths, 0).max()) + STEPS_ON_A_GPU
        columns = -(-columns // COLUMNS) * COLUMNS
        self._make_room(columns)
        key, left = (self._used, columns), STEPS_ON_A_GPU

        def step() -> None:
            self._one(*key)

        if key not in self._captured:
            self._captured[key] = self._graphs.capture(step)
            left -= 1
        elif not self._begun:
            step()
            left -= 1
        self._begun = True
        for _ in range(left):
            self._captured[key]()

    def _one(self, rows: int, columns: int) -> None:
        """One token for each of the first places."""
        lengths = self._lengths[:rows]
        layers = [
            _Placed(keys[:rows, :, :columns], values[:rows, :, :columns], lengths)
            for keys, values in self._buffers
        ]
        hidden = self._model.run(
            input_ids=self._tokens[:rows, None],
            attention_mask=self._masks(lengths, columns),
            position_ids=self._model.shifted_positions(lengths[:, None], self._shift[:rows]),
            past_key_values=Cache(layers=list(layers)),
            use_cache=True,
        )
        lengths += self._going[:rows]
        self._say(hidden[:, -1], slice(rows))

    def _masks(self, lengths: Tensor, columns: int) -> Tensor | dict[str, Tensor]:
        """What each kind of layer attends to: tokens up to the one at column ``lengths``."""
        column = torch.arange(columns, device=lengths.device)
        masks = {}
        for kind, window in self._windows.items():
            seen = column <= lengths[:, None]
            if window is not None:
                seen &= column > lengths[:, None] - window
            masks[kind] = self._model.additive(seen[:, None, None])
        return masks["full_attention"] if list(masks) == ["full_attention"] else masks

    def _make_room(self, columns: int, prefix: Prefix | None = None) -> None:
        """Buffers of at least so many columns; graphs of smaller ones are let go with them."""
        columns = -(-columns // COLUMNS) * COLUMNS
        if prefix is not None and not self._buffers:
            rows = len(self._going)
            self._buffers = [
                [each.new_zeros(rows, each.shape[1], columns, each.shape[3]) for each in layer]
                for layer in prefix.layers
            ]
        gap = columns - self._buffers[0][0].shape[2]
        if gap > 0:
            self._captured.clear()
            for buffers in self._buffers:
                buffers[:] = [functional.pad(buffer, (0, 0, 0, gap)) for buffer in buffers]

    def _take_out(self) -> None:
        """The unfinished move to the first places once those are half as many or fewer."""
        keep = self._going.nonzero().squeeze(1)
        size = self._size_for(len(keep))
        if size == self._used:
            return
        self._used, rows = size, slice(len(keep))
        for tensor in (self._numbers, self._tokens, self._slots, self._lengths, self._shift):
            tensor[rows] = tensor[keep]
        for buffers in self._buffers:
            for buffer in buffers:
                buffer[rows] = buffer[keep]
        self._going[:], self._going[rows] = False, True
        self._numbers[len(keep) :] = len(self._ids) - 1

    def _size_for(self, count: int) -> int:
        return min(size for size in self._sizes if size >= count)


class _Placed(DynamicLayer):
    """Keys and values of each row from column 0 on, in a buffer that stays where it is.

    What a row that has ended adds is written anywhere within its place.
    """

    def __init__(self, keys: Tensor, values: Tensor, lengths: Tensor) -> None:
        super().__init__()
        self._buffers = self.keys, self.values = keys, values
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        everyone, last = torch.arange(len(keys), device=keys.device), keys.shape[2] - 1
        self._at = everyone, slice(None), lengths.clamp(max=last)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **options: object
    ) -> tuple[Tensor, Tensor]:
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[self._at] = new[:, :, 0]
        return self._buffers
