"""The study's way into the engine: run directories, and a process of its own for each run.

Runs are many and short, so a fork server loads torch once and every run is a fork of it. What runs
there is the command line ``python -m training.rlhf KIND --run-dir DIR``, as in every other use.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from config.parent_death import die_with_starter
from training.rlhf.contract import (
    CheckpointSaved,
    ContractError,
    Event,
    Metric,
    Progress,
    RunSpec,
    parse_event,
)

POLL_SECONDS = 0.5
_PRELOADED = [
    f"training.rlhf.{name}"
    for name in ("generate", "score", "train_reward", "train_ppo", "train_dpo", "train_sft")
]


class RunFailed(RuntimeError):
    """A run of the engine did not succeed; the message names its folder and log."""


class JsonRecord(Protocol):
    """Any record of the engine's contract."""

    def to_json(self) -> dict[str, object]: ...


def prepare(
    folder: Path,
    spec: RunSpec,
    train: Sequence[JsonRecord],
    *,
    images: Path,
    held_out: Sequence[JsonRecord] = (),
    adapters: Mapping[str, Path] | None = None,
) -> None:
    """A run directory with its records; ``adapters`` are copied, pictures are linked."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    write_lines(folder / "data" / "train.jsonl", (record.to_json() for record in train))
    if held_out:
        write_lines(folder / "data" / "held_out.jsonl", (r.to_json() for r in held_out))
    if not (folder / "images").is_symlink():
        (folder / "images").symlink_to(images.resolve(), target_is_directory=True)
    for name, source in (adapters or {}).items():
        shutil.copytree(source, folder / "adapters" / name, dirs_exist_ok=True)
    (folder / "spec.json").write_text(json.dumps(spec.to_json(), indent=1), encoding="utf-8")


def carry_out(folder: Path, spec: RunSpec, working: Callable[[int], None]) -> None:
    """Run ``folder`` to its end, resuming what an earlier call began; ``working`` gets percents.

    Raises RunFailed. Torch's threads are those of OMP_NUM_THREADS when the first run begins.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=_engine, args=(spec.kind.value, str(folder)))
    process.start()
    try:
        while process.is_alive():
            process.join(POLL_SECONDS)
            working(_percent(folder))
    except BaseException:
        _end(process)
        raise
    if process.exitcode:
        raise RunFailed(f"{folder} ended with {process.exitcode}; see {folder / 'log.txt'}")


def _engine(kind: str, folder: str) -> None:
    die_with_starter()
    log = os.open(Path(folder) / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["python -m training.rlhf", kind, "--run-dir", folder]
    runpy.run_module("training.rlhf", run_name="__main__")


def _end(process: BaseProcess) -> None:
    """Politely: the engine saves where it is."""
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, signal.SIGTERM)
        process.join()


def metrics(folder: Path) -> dict[int, dict[str, float]]:
    """The figures of each step, in order; of a step that was repeated, the later ones."""
    found = {e.step: e.values for e in _events(folder) if isinstance(e, Metric)}
    return dict(sorted(found.items()))


def final_metrics(folder: Path) -> dict[str, float]:
    """The figures that a finished run closed with."""
    saved = [e for e in _events(folder) if isinstance(e, CheckpointSaved) and e.final]
    return saved[-1].metrics


def _percent(folder: Path) -> int:
    done = [e for e in _events(folder) if isinstance(e, Progress)]
    return 100 * done[-1].done // done[-1].total if done else 0


def _events(folder: Path) -> list[Event]:
    path = folder / "events.jsonl"
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            found.append(parse_event(line))
        except ContractError:  # the line that a killed process did not finish
            continue
    return found


def read_lines(path: Path) -> list[dict[str, object]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_lines(path: Path, records: Iterable[Mapping[str, object]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
