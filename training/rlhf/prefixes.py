"""What sequences have in common at their beginning is computed once: prompts, images, facts.

A prefix is the keys and values of its tokens under one adapter; any number of continuations attend
to them, with gradient if it is enabled. Gradient checkpointing would silently drop keys and values,
so it is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.rlhf.data import Batch, TokenSequence, rows_within
from training.rlhf.errors import ModelError
from training.rlhf.library_internals import Cache, DynamicLayer
from training.rlhf.models import VisionLanguageModel
from training.rlhf.packing import Lines, width_of

_LONG = 128
"""Tokens from which a beginning is run apart even if nothing shares it.

What the last layer makes of it is left out then, and that is worth a second pass.
"""


@dataclass(frozen=True)
class Prefix:
    """Keys and values of right-padded prefixes under the adapter that was in use."""

    layers: list[tuple[Tensor, Tensor]]
    """Of each layer, ``[prefixes, heads, width, head]`` twice."""
    mask: Tensor
    """``[prefixes, width]``, 1 on tokens."""
    shift: Tensor | None
    """``[prefixes, 1]``: what a family with its own positions adds to those behind an image."""

    def ending_together(self) -> Prefix:
        """The same, padded in front: a window of attention counts columns, padding or not."""
        if bool(self.mask.all()):
            return self
        width, lengths = self.mask.shape[1], self.mask.sum(1, keepdim=True)
        columns = torch.arange(width, device=self.mask.device) - (width - lengths)
        everyone = torch.arange(len(self.mask), device=self.mask.device)
        layers = [gathered(layer, everyone, columns.clamp(min=0)) for layer in self.layers]
        return Prefix(layers, (columns >= 0).to(self.mask.dtype), self.shift)


def gathered(
    layer: tuple[Tensor, Tensor], chosen: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor]:
    """Keys and values of ``chosen`` prefixes, at ``columns`` ``[rows, width]`` of each."""
    keys, values = (
        tensor.transpose(1, 2)[chosen[:, None], columns].transpose(1, 2) for tensor in layer
    )
    return keys, values


def prefix_of(model: VisionLanguageModel, sequences: Sequence[TokenSequence]) -> Prefix:
    """Run the sequences, images and all, and keep their keys and values.

    Padding stands behind them, where causal attention does not see it and needs no mask.
    """
    if model.checkpoints_activations:
        raise ModelError("gradient checkpointing drops the keys and values of a shared prefix")
    batch = Batch.pad(sequences, pad_id=model.pad_id, device=model.device, side="right")
    layers = [*(_KeptLayer() for _ in range(model.layer_count - 1)), _LastLayer()]
    cache = Cache(layers=list(layers))
    with contextlib.suppress(_AllKnown):
        model.run(**model.positioned_inputs(batch), past_key_values=cache, use_cache=True)
    return Prefix(
        [layer.kept for layer in layers], batch.attention_mask, model.position_shift(batch)
    )


def continued(
    model: VisionLanguageModel,
    prefix: Prefix,
    owners: Sequence[int],
    ids: Tensor,
    mask: Tensor,
    *,
    slots: Tensor | None = None,
) -> Tensor:
    """Last hidden states of ``ids`` behind their prefixes, ``[rows, width, hidden]``.

    ``ids`` and ``mask`` are ``[rows, width]``, right-padded; ``owners[row]`` is the number of the
    row's prefix. What stands where ``slots`` (by default the mask) is 0 is undefined.
    """
    slots = mask if slots is None else slots
    width = width_of(owners, slots.sum(1).tolist(), len(prefix.mask))
    if model.takes_any_mask and width * len(prefix.mask) <= ids.numel():
        return _in_lines(model, prefix, owners, ids, mask, slots)
    return _in_rows(model, prefix, owners, ids, mask)


def _in_lines(
    model: VisionLanguageModel,
    prefix: Prefix,
    owners: Sequence[int],
    ids: Tensor,
    mask: Tensor,
    slots: Tensor,
) -> Tensor:
    """Those of one prefix one behind the other."""
    ids, mask, slots = (each.to(model.device) for each in (ids, mask, slots))
    lines = Lines.of(prefix.mask, owners, ids, mask, slots)
    hidden = model.run(
        input_ids=lines.ids,
        attention_mask=model.additive(lines.allowed[:, None]),
        position_ids=model.shifted_positions(lines.positions, prefix.shift),
        past_key_values=Cache(layers=[_SharedLayer(*both, None) for both in prefix.layers]),
        use_cache=True,
    )
    return lines.rows(hidden)


def _in_rows(
    model: VisionLanguageModel, prefix: Prefix, owners: Sequence[int], ids: Tensor, mask: Tensor
) -> Tensor:
    """Each in a row of its own, which gets its prefix's keys and values."""
    prefix = prefix if model.takes_any_mask else prefix.ending_together()
    chosen = None
    if list(owners) != list(range(len(prefix.mask))):
        chosen = torch.tensor(list(owners), device=model.device)
    cache = Cache(layers=[_SharedLayer(keys, values, chosen) for keys, values in prefix.layers])
    before = prefix.mask if chosen is None else prefix.mask[chosen]
    shift = prefix.shift if prefix.shift is None or chosen is None else prefix.shift[chosen]
    attention = torch.cat([before, mask.to(model.device)], dim=1)
    # They go on over padding, as they do in a forward pass over all of it.
    positions = before.sum(1, keepdim=True) + torch.arange(ids.shape[1], device=before.device)
    return model.run(
        input_ids=ids.to(model.device),
        attention_mask=attention,
        position_ids=model.shifted_positions(positions, shift),
        past_key_values=cache,
        use_cache=True,
    )


def hidden_behind_prefixes(
    model: VisionLanguageModel, sequences: Sequence[TokenSequence], keys: Sequence[Hashable]
) -> tuple[Tensor, Tensor]:
    """Hidden states ``[rows, width, hidden]`` of the rest of each sequence, and its lengths.

    The beginning (``shared`` tokens) of sequences with equal ``keys`` is computed once. When all
    keys differ and beginnings are short, the rest is the whole sequence.
    """
    first, owners = owners_of(keys)
    if len(first) == len(sequences) and not runs_apart(model, [s.shared for s in sequences]):
        batch = Batch.pad(sequences, pad_id=model.pad_id, device=model.device, side="right")
        return model.hidden_states(batch), batch.attention_mask.sum(1)
    beginnings = [sequences[place].beginning(sequences[place].shared) for place in first]
    rest = [sequence.ids[sequence.shared :] for sequence in sequences]
    width = max(len(ids) for ids in rest)
    ids = torch.tensor([ids + [model.pad_id] * (width - len(ids)) for ids in rest])
    lengths = torch.tensor([len(ids) for ids in rest])
    mask = (torch.arange(width) < lengths[:, None]).long()
    hidden = continued(model, prefix_of(model, beginnings), owners, ids, mask)
    return hidden, lengths.to(model.device)


def runs_apart(model: VisionLanguageModel, beginnings: Sequence[int]) -> bool:
    """Whether beginnings of so many tokens, all different, are run apart from what follows."""
    return min(beginnings) >= _LONG and not model.checkpoints_activations


class _AllKnown(Exception):
    """The last layer's keys and values are there: what it would make of them nobody reads."""


class _KeptLayer(DynamicLayer):
    """Keys and values as they come, once."""

    kept: tuple[Tensor, Tensor]

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **options: object
    ) -> tuple[Tensor, Tensor]:
        self.lazy_initialization(key_states, value_states)
        self.keys, self.values = self.kept = key_states, value_states
        return key_states, value_states


class _LastLayer(_KeptLayer):
    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **options: object
    ) -> tuple[Tensor, Tensor]:
        super().update(key_states, value_states)
        raise _AllKnown


class _SharedLayer(DynamicLayer):
    """Keys and values of prefixes, handed to the rows that begin with them when they are needed."""

    def __init__(self, keys: Tensor, values: Tensor, owners: Tensor | None) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self._before = keys, values
        self.keys, self.values = keys, values  # for whoever asks how long they are
        self._owners = owners

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **options: object
    ) -> tuple[Tensor, Tensor]:
        # Nothing reads these again, so they are not kept: a layer's copies live as long as needed.
        keys, values = self._before
        return self._joined(keys, key_states), self._joined(values, value_states)

    def _joined(self, before: Tensor, new: Tensor) -> Tensor:
        if self._owners is not None:
            before = before.index_select(0, self._owners)
        return torch.cat([before, new], dim=-2)


def owners_of(keys: Sequence[Hashable]) -> tuple[list[int], list[int]]:
    """Where each different key occurs first, and of every key the number of that place.

    ``owners_of("aab")`` is ``([0, 2], [0, 0, 1])``.
    """
    number: dict[Hashable, int] = {}
    first = []
    for place, key in enumerate(keys):
        if key not in number:
            number[key] = len(number)
            first.append(place)
    return first, [number[key] for key in keys]


def family_batches(
    keys: Sequence[Hashable], lengths: Sequence[int], size: int, tokens: int = 0
) -> Iterator[list[int]]:
    """Indices in batches: like lengths together, equal keys always if they fit.

    A batch has as many as ``rows_within`` allows. Longest first, so that memory peaks in the first
    batch.
    """

    def most(rows: Sequence[int]) -> int:
        return rows_within(size, tokens, max(lengths[row] for row in rows))

    families: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        families.setdefault(key, []).append(place)
    for members in families.values():
        members.sort(key=lambda place: -lengths[place])
    batch: list[int] = []
    for members in sorted(families.values(), key=lambda members: -lengths[members[0]]):
        if batch and len(batch) + len(members) > most(batch + members):
            yield batch
            batch = []
        batch += members
        while len(batch) > (count := most(batch)):  # then it is one family, the longest first
            yield batch[:count]
            batch = batch[count:]
    if batch:
        yield batch


def key_of(sequence: TokenSequence) -> Hashable:
    """Equal for sequences with the same tokens and the same image."""
    return id(sequence.image), tuple(sequence.ids)


def beginning_key(sequence: TokenSequence) -> Hashable:
    """Equal for sequences whose shared beginnings are the same."""
    return id(sequence.image), tuple(sequence.ids[: sequence.shared])
