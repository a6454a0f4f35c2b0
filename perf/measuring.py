"""Processor time, wall time and peak memory of a piece of work, and how they spread over runs.

Others on the machine add to wall time and, through caches and the clock, to processor time; so what
is reported is the median, with the least and the most beside it.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

Row = tuple[str, Sequence["Cost"], Sequence["Cost"]]
"""What was done, and the runs of it in a plain way and in the engine."""


@dataclass
class Cost:
    processor_seconds: float
    wall_seconds: float
    peak_bytes: int
    """Resident memory at its highest, above what was resident before."""

    def __add__(self, after: Cost) -> Cost:
        """Of this and then ``after``."""
        return Cost(
            self.processor_seconds + after.processor_seconds,
            self.wall_seconds + after.wall_seconds,
            max(self.peak_bytes, after.peak_bytes),
        )


def cost_of(work: Callable[[], None]) -> Cost:
    """Run ``work`` once. Linux only: the peak is the kernel's own, reset before."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier work left behind is not this one's
    Path("/proc/self/clear_refs").write_text("5")
    before, processor, wall = _resident("VmRSS"), time.process_time(), time.perf_counter()
    work()
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    return Cost(processor, wall, max(_resident("VmHWM") - before, 0))


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Lines that compare the runs of each row in both kinds of seconds and in memory."""
    units = {
        "processor seconds": lambda cost: cost.processor_seconds,
        "wall seconds": lambda cost: cost.wall_seconds,
        "peak memory on top, MiB": lambda cost: cost.peak_bytes / 2**20,
    }
    for unit, measure in units.items():
        yield f"{unit:34}{'plain':>24}{'engine':>24}{'ratio':>8}"
        for name, plain, engine in rows:
            slow, fast = [measure(cost) for cost in plain], [measure(cost) for cost in engine]
            ratio = median(slow) / max(median(fast), 1e-9)
            yield f"  {name:32}{spread(slow):>24}{spread(fast):>24}{ratio:8.2f}"


def spread(values: Sequence[float]) -> str:
    """Median, least and most."""
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(field)]
    return int(line.split()[1]) * 1024
