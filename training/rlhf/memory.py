"""How many rows go through the model at once, found out when memory runs out.

What fits depends on the device, the model and the longest sequences of a batch; a smaller part only
costs time, because results add up over parts of any size.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from training.rlhf.devices import give_memory_back

T = TypeVar("T")

log = logging.getLogger(__name__)


class Fit:
    """The largest part that is tried for one kind of work; it only ever gets smaller."""

    def __init__(self, purpose: str) -> None:
        self.purpose = purpose
        self.limit: int | None = None

    def in_parts(self, rows: Sequence[T], work: Callable[[list[T]], None]) -> None:
        """Do ``work`` on all ``rows``, in as few parts as fit.

        ``work`` is called again with fewer rows when it runs out of memory, so until its last step
        it must change nothing that a second call would not overwrite. Raises OutOfMemoryError when
        a single row does not fit.
        """
        done = 0
        while done < len(rows):
            part = list(rows[done : done + (self.limit or len(rows))])
            if self._fits(part, work):
                done += len(part)
            else:  # here and not while the error is handled, whose frames hold the tensors
                self._halve(len(part))

    def going_on(self, most: int, work: Callable[[int], None]) -> None:
        """Do ``work`` with at most so many rows at once, with as many of ``most`` as fit.

        ``work`` is called again when it runs out of memory, and goes on where it was. Raises
        OutOfMemoryError when a single row does not fit.
        """
        while not self._fits([None] * min(most, self.limit or most), lambda rows: work(len(rows))):
            self._halve(min(most, self.limit or most))

    def _halve(self, tried: int) -> None:
        self.limit = tried // 2
        log.warning(
            "memory ran out while %s: from now on at most %d at once", self.purpose, self.limit
        )
        give_memory_back()

    @staticmethod
    def _fits(part: list[T], work: Callable[[list[T]], None]) -> bool:
        try:
            work(part)
        except torch.OutOfMemoryError:
            if len(part) == 1:
                raise
            return False
        return True
