"""On this host: the trainer is a child of the worker, on GPUs that the run has leased."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.models import Run
from training.runs import trainer, trainer_events
from training.runs.trainer import Trainer, device_names
from training.runs.usage import Meter


class LocalTrainer:
    """A ``Trainer`` with its meter; it never outlives its worker."""

    job = ""
    outlives_worker = False
    trouble: Exception | None = None

    def __init__(self, started: Trainer, meter: Meter, *, replayed: int) -> None:
        self.replayed = replayed
        self._trainer = started
        self._meter = meter.__enter__()

    def wait(self, seconds: float) -> bool:
        return self._trainer.wait(seconds)

    def notice(self) -> str:
        return ""

    def usage(self) -> dict[str, Any]:
        return self._meter.latest

    def stop(self, *, grace_seconds: float) -> None:
        self._trainer.stop(grace_seconds=grace_seconds)

    def lease_lost(self) -> None:
        self._trainer.kill()

    def leave(self) -> None:
        """Nothing: ``close`` ends it all the same, before another worker may start one."""

    def close(self) -> int:
        self._meter.__exit__(None, None, None)
        return self._trainer.close()


class Local:
    leases_gpus = True

    def start(
        self, command: list[str], directory: Path, run: Run, *, gpus: list[int]
    ) -> LocalTrainer:
        replayed = trainer_events.written(directory)
        started = Trainer.start(command, directory, gpus=gpus)
        meter = Meter(started.group, gpus=device_names(gpus), disk=directory)
        return LocalTrainer(started, meter, replayed=replayed)

    def end_leftovers(self, directory: Path) -> bool:
        return trainer.end_leftovers(directory)
