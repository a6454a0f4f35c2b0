"""Event files for TensorBoard, one folder per run, where the package is installed.

    tensorboard --logdir "$RUNS_ROOT"

The worker writes them from the events that it reads anyway; the engine knows nothing of it. A new
attempt reads all events again, so it begins a new file in place of the old one.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.rlhf.contract import Event, Metric

log = logging.getLogger(__name__)

FOLDER = "tensorboard"
FILE = "events.out.tfevents.factloop"
FORMAT = "brain.Event:2"


class Board:
    """Takes events and does nothing with them: TensorBoard is not installed."""

    def add(self, events: Sequence[Event]) -> None:
        """Write the metrics among ``events``, at the time and step at which they were told."""


def board(directory: Path) -> Board:
    """The board of a run directory, empty; one that writes where ``tensorboard`` is installed."""
    folder = directory / FOLDER
    if importlib.util.find_spec("tensorboard") is None:
        return Board()
    shutil.rmtree(folder, ignore_errors=True)
    return _EventFile(folder)


class _EventFile(Board):
    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._broken = False

    def add(self, events: Sequence[Event]) -> None:
        metrics = [event for event in events if isinstance(event, Metric)]
        if not metrics or self._broken:
            return
        try:
            self._write(metrics)
        except OSError as error:
            # A full disk, for instance: curves on the page do not need this file.
            self._broken = True
            log.warning("no more is written to %s: %s", self._path, error)

    def _write(self, metrics: Sequence[Metric]) -> None:
        # Half a second to import, which only workers spend that have metrics to write.
        from tensorboard.compat.proto.event_pb2 import Event as Entry
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        def values(metric: Metric) -> list[Any]:
            return [
                Summary.Value(tag=name, simple_value=value) for name, value in metric.values.items()
            ]

        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            writer = RecordWriter(file)
            if not file.tell():
                first = Entry(wall_time=metrics[0].time, file_version=FORMAT)
                writer.write(first.SerializeToString())
            for metric in metrics:
                summary = Summary(value=values(metric))
                entry = Entry(wall_time=metric.time, step=metric.step, summary=summary)
                writer.write(entry.SerializeToString())
