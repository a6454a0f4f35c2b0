"""Continuations of one prefix, laid in a single line one behind the other.

A line holds no padding between them and reads the keys and values of its prefix in place, where
a row for each would need a copy of them. A mask of its own keeps the continuations apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Lines:
    """One line for each prefix; a line that has room left ends in padding."""

    ids: Tensor
    """``[prefixes, width]``"""
    positions: Tensor
    """``[prefixes, width]``, counted as if each continuation were the only one."""
    allowed: Tensor
    """``[prefixes, width, before + width]``: which tokens see which, those before included."""
    _places: Tensor
    """``[rows, columns]``: where a token stands when all lines are joined."""

    @classmethod
    def of(
        cls, before: Tensor, owners: Sequence[int], ids: Tensor, mask: Tensor, slots: Tensor
    ) -> Lines:
        """Lay out ``ids`` ``[rows, columns]`` behind prefixes with mask ``before``.

        Nothing sees a token where ``mask`` is 0. Only what ``slots`` names, the beginning of each
        row, gets a place. All tensors are on one device.
        """
        lengths = slots.sum(1).tolist()
        starts, width = _arranged(owners, lengths, len(before))
        owner = torch.tensor(list(owners), device=ids.device)
        start = torch.tensor(starts, device=ids.device)
        row, column = slots.nonzero(as_tuple=True)
        where = owner[row], start[row] + column

        def laid(values: Tensor, empty: int) -> Tensor:
            line = torch.full((len(before), width), empty, device=ids.device)
            line[where] = values
            return line

        counted = before.sum(1)[owner][:, None] + torch.arange(ids.shape[1], device=ids.device)
        rows = laid(row, -1)
        order = torch.arange(width, device=ids.device)
        own = (rows[:, :, None] == rows[:, None, :]) & (order[:, None] >= order)
        own &= laid(mask[row, column], 0).bool()[:, None, :]
        seen = before.bool()[:, None, :].expand(-1, width, -1)
        last = torch.tensor(lengths, device=ids.device)[:, None] - 1
        columns = torch.arange(ids.shape[1], device=ids.device).minimum(last.clamp(min=0))
        return cls(
            ids=laid(ids[row, column], 0),
            positions=laid(counted[row, column], 0),
            allowed=torch.cat([seen, own], dim=-1),
            _places=owner[:, None] * width + start[:, None] + columns,
        )

    def rows(self, hidden: Tensor) -> Tensor:
        """From ``[prefixes, width, ...]`` back to ``[rows, columns, ...]``.

        A column without a place repeats the last one before it.
        """
        flat = hidden.flatten(0, 1).index_select(0, self._places.flatten())
        return flat.view(*self._places.shape, *hidden.shape[2:])


def width_of(owners: Sequence[int], lengths: Sequence[int], count: int) -> int:
    """Tokens of the longest line."""
    return _arranged(owners, lengths, count)[1]


def _arranged(owners: Sequence[int], lengths: Sequence[int], count: int) -> tuple[list[int], int]:
    """Where each continuation begins in its line, and the longest line's tokens."""
    used = [0] * count
    starts = []
    for owner, length in zip(owners, lengths, strict=True):
        starts.append(used[owner])
        used[owner] += length
    return starts, max(used)
