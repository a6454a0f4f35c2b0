"""The step of a run that judges held-out pairs best: kept apart, and not waited for in vain.

It lies in ``checkpoints/best`` and, so that another host can resume, in every checkpoint as well.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from training.rlhf import checkpoints
from training.rlhf.processes import processes
from training.rlhf.run_directory import Run

FOLDER = "best"
_NOTE = "metrics.json"

log = logging.getLogger(__name__)


@dataclass
class Best:
    """The best held-out evaluation so far, and how many have followed it."""

    merit: float = -1.0
    since: int = 0

    def improved(self, figures: Mapping[str, float]) -> bool:
        """Take in the "accuracy" and "loss" of one more evaluation; whether it is the best."""
        # Accuracy decides; among equals the lower loss, which never outweighs one pair in 10^5.
        merit = figures["accuracy"] - 1e-6 * min(figures["loss"], 1.0)
        better = merit > self.merit
        self.merit, self.since = (merit, 0) if better else (self.merit, self.since + 1)
        return better

    def long_ago(self, patience: int) -> bool:
        """Whether ``patience`` evaluations have not been better; never with 0."""
        return 0 < patience <= self.since


@dataclass(frozen=True)
class Kept:
    """The best step on disk."""

    step: int
    folder: Path
    metrics: dict[str, float]


def keep(run: Run, step: int, metrics: Mapping[str, float], write: Callable[[Path], None]) -> None:
    """Let ``write`` fill the folder of the best step, in place of the one before."""
    if not processes().leads:
        return
    with checkpoints.atomic_folder(run.checkpoints / FOLDER) as folder:
        write(folder)
        (folder / _NOTE).write_text(json.dumps({"step": step, "metrics": dict(metrics)}))


def kept(run: Run) -> Kept:
    """What ``keep`` kept last."""
    processes().wait()  # the first one may still be writing it
    folder = run.checkpoints / FOLDER
    note = json.loads((folder / _NOTE).read_text())
    log.info("keeping step %s", note["step"])
    return Kept(note["step"], folder, note.get("metrics", {}))


def put_into(run: Run, checkpoint: Path) -> None:
    """Copy the best step, if any, into a checkpoint that is being written."""
    if (run.checkpoints / FOLDER).is_dir():
        shutil.copytree(run.checkpoints / FOLDER, checkpoint / FOLDER)


def bring(run: Run, checkpoint: checkpoints.Checkpoint) -> None:
    """On another host only the checkpoint itself has arrived, the best step inside it."""
    source, target = checkpoint.folder / FOLDER, run.checkpoints / FOLDER
    if processes().leads and source.is_dir() and not target.is_dir():
        with checkpoints.atomic_folder(target) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)
