"""What a person who waits for the demo sees: numbered stages, progress, a closing table.

On a terminal a stage's line is rewritten as it advances; in a log file it is written when it
ends, and every half minute in between.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from typing import TextIO

QUIET_SECONDS = 30
BAR_WIDTH = 24


class Console:
    """Writes to ``stream``; times are seconds since it was made. ``finished``: all was shown."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.began = time.monotonic()
        self._written = self.began
        self._open = False
        self.finished = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def stage(self, text: str) -> None:
        """A new stage; what comes after belongs to it."""
        self._close()
        self.stream.write(f"\n[{self._clock()}] {text}\n")
        self.stream.flush()

    def line(self, text: str) -> None:
        self._close()
        self.stream.write(f"        {text}\n")
        self.stream.flush()

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        """How far the current stage is; ``total`` 0 means that nobody knows yet."""
        share = done / total if total else 0.0
        filled = round(BAR_WIDTH * share)
        bar = "█" * filled + "·" * (BAR_WIDTH - filled)
        count = f"{done}/{total}" if total else ""
        text = f"        {label:<34} {bar} {count:>9}  {note}"
        ended = bool(total) and done >= total
        if self.stream.isatty():
            self.stream.write(f"\r\033[2K{text}")
            self._open = True
        elif ended or time.monotonic() - self._written > QUIET_SECONDS:
            self.stream.write(text.rstrip() + "\n")
            self._written = time.monotonic()
        if ended:
            self._close()
        self.stream.flush()

    def done(self, text: str, note: str) -> None:
        """Something of the current stage is finished."""
        self._erase()
        self.stream.write(f"        ✓ {text:<44} {note}\n")
        self.stream.flush()

    def working(self, items: Sequence[tuple[str, int, str]]) -> None:
        """What is under way now: (name, percent, what it does), the line rewritten in place."""
        text = "   ".join(f"{name} {percent} % ({stage})" for name, percent, stage in items)
        if self.stream.isatty():
            self._erase()
            self.stream.write(f"        … {text}"[: shutil.get_terminal_size().columns - 1])
            self._open = True
        elif text and time.monotonic() - self._written > QUIET_SECONDS:
            self.stream.write(f"        … {text}\n")
            self._written = time.monotonic()
        self.stream.flush()

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as their content; the first to the left, the others to the right."""
        self._close()
        widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
        self.stream.write("\n")
        for row in (header, ["─" * width for width in widths], *rows):
            cells = [row[0].ljust(widths[0])]
            cells += [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
            self.stream.write("  " + "   ".join(cells) + "\n")
        self.stream.write("\n")
        self.stream.flush()

    def _clock(self) -> str:
        minutes, seconds = divmod(int(self.seconds), 60)
        return f"{minutes:2d}:{seconds:02d}"

    def _erase(self) -> None:
        if self._open:
            self.stream.write("\r\033[2K")
            self._open = False

    def _close(self) -> None:
        if self._open:
            self.stream.write("\n")
            self._open = False
