"""Numbers that have to be finite, and the end of a run in which one is not.

A diverged run ends at the first such number, with its name and the record it came with, before
anything is written that contains it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.rlhf.errors import EngineError


class NonFinite(EngineError):
    """A quantity became infinite or not a number; ``row`` is its place in the batch, if known."""

    def __init__(
        self, quantity: str, value: float, *, row: int | None = None, record: str = ""
    ) -> None:
        of = f" of record {record}" if record else ""
        super().__init__(
            f"the {quantity}{of} is {value}, no finite number: nothing of this was saved. Look at "
            "that record if one is named, else lower the learning rate"
        )
        self.quantity, self.value, self.row, self.record = quantity, value, row, record

    def of(self, record: str) -> NonFinite:
        """The same, when it is known which record it came with."""
        return NonFinite(self.quantity, self.value, row=self.row, record=record)


def check_finite(quantity: str, values: Tensor | float, records: Sequence[str] = ()) -> None:
    """Raise NonFinite unless all ``values`` are finite.

    ``records`` are the ids of the rows of ``values``, which is ``[rows, ...]`` then.
    """
    tensor = torch.as_tensor(values).detach()
    wrong = ~torch.isfinite(tensor)
    if not bool(wrong.any()):
        return
    place = wrong.nonzero()[0].tolist()
    row = place[0] if place else None
    record = records[row] if records and row is not None else ""
    raise NonFinite(quantity, float(tensor[tuple(place)]), row=row, record=record)
