"""What is said of a file that cannot be read, in whole or in a line of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MOST_RECORD_BYTES = 64 * 2**20
BLANK = b" \t\r\n"


@dataclass(frozen=True)
class Fault:
    """A line that cannot be read, and why; line 0 is the file as a whole."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}" if self.line else self.reason


class Unreadable(ValueError):
    """A file that cannot be read; ``faults`` says where, and the message is the first of them."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(str(faults[0]))
        self.faults = faults


OnFault = Callable[[Fault], None]


class LineFault(ValueError):
    """A reason, before it is known at which line."""


class OfRecord(LineFault):
    """One of a record that has been read to its end, so that the next one can be."""
