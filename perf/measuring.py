"""Processor time, wall time and peak memory of a piece of work."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Cost:
    processor_seconds: float
    wall_seconds: float
    peak_bytes: int
    """Resident memory at its highest, above what was resident before."""


def cost_of(work: Callable[[], None]) -> Cost:
    """Run ``work`` once. Linux only: the peak is the kernel's own, reset before."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier work left behind is not this one's
    Path("/proc/self/clear_refs").write_text("5")
    before, processor, wall = _resident("VmRSS"), time.process_time(), time.perf_counter()
    work()
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    return Cost(processor, wall, max(_resident("VmHWM") - before, 0))


def best_of(work: Callable[[], None], repeat: int) -> Cost:
    """The run that took least processor time: others on the machine only ever add to it."""
    return min((cost_of(work) for _ in range(repeat)), key=lambda cost: cost.processor_seconds)


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(field)]
    return int(line.split()[1]) * 1024
