"""What a trainer uses of its host: memory and processor from /proc, GPUs from nvidia-smi.

Measured in a thread of its own, because a GPU that hangs makes nvidia-smi hang, and the lease must
be renewed all the same.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

log = logging.getLogger(__name__)

FIRST_SECONDS = 5.0
EVERY_SECONDS = 15.0
NVIDIA_SMI_SECONDS = 5
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MEBIBYTE = 1 << 20


class Meter(threading.Thread):
    """Measures the process group ``group`` until the block ends; ``latest`` is what it found.

    ``latest`` is JSON-able: memory and memory_peak (resident, in bytes), processors (how many were
    busy on average since the measurement before), disk_free (0..1, of the disk with the run's
    directory), and gpus, each with its index, utilisation (0..1), memory and memory_total (bytes).
    Empty before the first measurement.
    """

    def __init__(self, group: int, *, gpus: dict[int, str], disk: Path) -> None:
        super().__init__(name=f"usage of process group {group}", daemon=True)
        self.latest: dict[str, Any] = {}
        self._group = group
        self._gpus = gpus
        self._disk = disk
        self._ended = threading.Event()
        self._seconds = 0.0
        self._at = time.monotonic()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()  # Not joined: nvidia-smi may never return.

    def run(self) -> None:
        pause = FIRST_SECONDS
        while not self._ended.wait(pause):
            try:
                self.measure()
            except OSError as error:
                log.info("what the trainer uses was not measured: %s", error)
            pause = EVERY_SECONDS

    def measure(self) -> None:
        memory, seconds = _of_group(self._group)
        now = time.monotonic()
        # Processes that have ended took their seconds with them: never count backwards.
        busy = max(0.0, seconds - self._seconds) / max(now - self._at, 1e-9)
        self._seconds, self._at = seconds, now
        self.latest = {
            "memory": memory,
            "memory_peak": max(memory, self.latest.get("memory_peak", 0)),
            "processors": round(busy, 2),
            "disk_free": _free_share(self._disk),
            "gpus": _of_gpus(self._gpus),
        }


def _of_group(group: int) -> tuple[int, float]:
    """Resident bytes and processor seconds of all processes of a group."""
    memory, ticks = 0, 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in brackets may hold anything; what follows it are numbers.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
            memory += int(fields[21]) * _PAGE
    return memory, ticks / _TICKS


def _free_share(place: Path) -> float:
    usage = shutil.disk_usage(place)
    return round(usage.free / usage.total, 3)


def _of_gpus(gpus: dict[int, str]) -> list[dict[str, Any]]:
    """``gpus`` maps a slot's index to the name under which nvidia-smi knows the device."""
    program = shutil.which("nvidia-smi") if gpus else None
    if program is None:
        return []
    asked = "utilization.gpu,memory.used,memory.total"
    found = []
    for index, name in gpus.items():
        command = [program, "-i", name, f"--query-gpu={asked}", "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS, check=True
            )
            utilisation, memory, total = (float(word) for word in done.stdout.split(","))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            log.info("GPU %s was not measured: %s", name, error)
            continue
        found.append(
            {
                "index": index,
                "utilisation": utilisation / 100,
                "memory": int(memory * _MEBIBYTE),
                "memory_total": int(total * _MEBIBYTE),
            }
        )
    return found
