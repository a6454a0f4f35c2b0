"""Folders that are either complete or not there.

Everything is written under a temporary name and then put in its place (``durable``). Weights and
optimiser state are safetensors, the rest is JSON; nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

import durable
from training.rlhf.errors import CheckpointError
from training.rlhf.tensors import read_tensors, write_tensors

STATE = "state.json"
OPTIMIZER = "{name}.optimizer.safetensors"
SAMPLED_WITH = "sampled_with"
"""A folder: the adapter that answers the round after the checkpoint, where it is an older one."""
RESUMABLE = 2
"""How many of the newest checkpoints keep the (large) state needed to resume."""

_MERIT = "merit"
_STEP = re.compile(r"step-(\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    step: int
    folder: Path

    def state(self) -> dict[str, Any]:
        """What the trainer noted in ``save``; CheckpointError when it cannot be read."""
        try:
            state: dict[str, Any] = json.loads((self.folder / STATE).read_text())
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.folder.name}/{STATE} is damaged") from error
        return state

    def optimizer(self, name: str) -> dict[str, Tensor]:
        """State of the optimiser ``name``."""
        path = self.folder / OPTIMIZER.format(name=name)
        try:
            return read_tensors(path)
        except Exception as error:  # safetensors raises a type of its own per cause
            raise CheckpointError(f"{self.folder.name}/{path.name} is damaged: {error}") from error


@contextlib.contextmanager
def atomic_folder(final: Path) -> Iterator[Path]:
    """Fill the folder that is yielded; it appears as ``final``, whole, when the block succeeds."""
    temporary = final.with_name(f".{final.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        durable.place(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextlib.contextmanager
def saving(
    root: Path, step: int, state: Mapping[str, Any], *, keep: int = 0, merit: float | None = None
) -> Iterator[Path]:
    """Write checkpoint ``step``: the block adds weights, then it counts as complete.

    Then all but the ``keep`` newest are removed (0 keeps all), and never the one of most ``merit``.
    """
    with atomic_folder(root / f"step-{step}") as folder:
        yield folder
        (folder / STATE).write_text(json.dumps({"step": step, _MERIT: merit, **state}))
    if keep:
        _thin_out(root, keep)
    for old in _complete(root)[:-RESUMABLE]:
        for path in old.folder.glob(OPTIMIZER.format(name="*")):
            path.unlink()
        shutil.rmtree(old.folder / SAMPLED_WITH, ignore_errors=True)


def save_optimizer(folder: Path, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Put an optimiser's state into a checkpoint that is being written."""
    write_tensors(folder / OPTIMIZER.format(name=name), tensors)


def newest(root: Path, *, tidy: bool = True) -> Checkpoint | None:
    """The newest complete checkpoint, if any.

    With ``tidy`` leftovers of a crash are removed: only the process that writes can tell them from
    what is being written.
    """
    if not root.is_dir():
        return None
    for leftover in root.glob(".*.partial") if tidy else ():
        shutil.rmtree(leftover, ignore_errors=True)
    complete = _complete(root)
    return complete[-1] if complete else None


def _complete(root: Path) -> list[Checkpoint]:
    found = []
    for folder in root.iterdir():
        match = _STEP.fullmatch(folder.name)
        if match and (folder / STATE).is_file():
            found.append(Checkpoint(int(match[1]), folder))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def _thin_out(root: Path, keep: int) -> None:
    found = _complete(root)
    merits = {c.step: c.state().get(_MERIT) for c in found}
    judged = {step: float(merit) for step, merit in merits.items() if merit is not None}
    best = max(judged, key=judged.__getitem__, default=None)
    for old in found[:-keep]:
        if old.step != best:
            _remove(old.folder)


def _remove(folder: Path) -> None:
    """Rename first, so that a crash in between leaves no half checkpoint."""
    doomed = folder.with_name(f".{folder.name}.old.partial")
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
