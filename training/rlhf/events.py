"""Progress as JSON lines, to ``events.jsonl`` and to stdout at once.

A resumed run appends to the same file and repeats the steps since its checkpoint: readers take the
latest event of a step.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from training.rlhf.contract import (
    CheckpointSaved,
    Doubt,
    Event,
    Failure,
    Metric,
    Progress,
    Sample,
    Stage,
)
from training.rlhf.finite import check_finite

_kept: list[IO[str]] = []


def keep_stdout() -> None:
    """From here on nothing but events goes to stdout: what else is printed goes to stderr.

    Also what libraries print that were written in C. For whole processes, not for callers.
    """
    sys.stdout.flush()
    _kept.append(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)


def _figures(values: Mapping[str, float]) -> dict[str, float]:
    for name, value in values.items():
        check_finite(name, value)
    return {name: float(value) for name, value in values.items()}


class EventWriter:
    """Writes events whole lines at a time, flushed, so that a follower never waits for a buffer."""

    def __init__(self, path: Path, *, stream: IO[str] | None = None, silent: bool = False) -> None:
        """``silent`` tells failures only: of several processes one tells what all of them do."""
        self._silent = silent
        self._file = path.open("a", encoding="utf-8")
        own = _kept[-1] if _kept else sys.stdout
        self._stream: IO[str] | None = own if stream is None else stream

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def emit(self, event: Event) -> None:
        if self._silent and not isinstance(event, Failure):
            return
        line = json.dumps(event.to_json(), ensure_ascii=False, allow_nan=False) + "\n"
        self._file.write(line)
        self._file.flush()
        if self._stream is not None:
            try:
                self._stream.write(line)
                self._stream.flush()
            except BrokenPipeError:
                self._stream = None  # whoever listened is gone; the file still tells all

    def stage(self, text: str) -> None:
        self.emit(Stage(time=time.time(), text=text))

    def doubt(self, code: str, text: str) -> None:
        self.emit(Doubt(time=time.time(), code=code, text=text))

    def progress(self, done: int, total: int, *, unit: str = "step") -> None:
        self.emit(Progress(time=time.time(), done=done, total=total, unit=unit))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Figures of a step; raises NonFinite when one is not finite."""
        figures = _figures(values)
        self.emit(Metric(time=time.time(), step=step, values=figures))

    def sample(
        self,
        step: int,
        *,
        prompt_id: str,
        image: str,
        prompt: str,
        response: str,
        reward: float | None = None,
        facts: Iterable[str] = (),
    ) -> None:
        self.emit(
            Sample(
                time=time.time(),
                step=step,
                prompt_id=prompt_id,
                image=image,
                prompt=prompt,
                response=response,
                reward=reward,
                facts=tuple(facts),
            )
        )

    def checkpoint(
        self,
        step: int,
        path: str,
        *,
        final: bool = False,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """A checkpoint is complete; raises NonFinite as ``metrics`` does."""
        figures = _figures(metrics or {})
        self.emit(
            CheckpointSaved(time=time.time(), step=step, path=path, final=final, metrics=figures)
        )

    def failure(self, message: str, detail: str = "") -> None:
        self.emit(Failure(time=time.time(), message=message, detail=detail))
