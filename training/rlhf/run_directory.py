"""The run directory as the entry points see it: spec, records, images, events, interruption.

It is the only thing an engine process reads and the only place it writes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TypeVar

from training.rlhf.checkpoints import Checkpoint, newest
from training.rlhf.contract import ContractError, Kind, Record, RunSpec
from training.rlhf.data import RecordType, image_path, read_records
from training.rlhf.errors import EngineError, Interrupted, LeftAlone
from training.rlhf.events import EventWriter
from training.rlhf.finite import NonFinite
from training.rlhf.optimization import seed_step
from training.rlhf.processes import processes, together
from training.rlhf.reading import document

RecordT = TypeVar("RecordT", bound=Record)

EVENTS = "events.jsonl"
OWN_BASE = "base"
"""What a spec calls the base model that lies in the run directory."""
EXIT_FAILED = 1
EXIT_TERMINATED = 128 + signal.SIGTERM
EXIT_DISK_FULL = os.EX_IOERR
NO_SPACE = os.strerror(errno.ENOSPC)

log = logging.getLogger(__name__)


class Run:
    """One engine run in its directory."""

    def __init__(self, directory: Path, spec: RunSpec, events: EventWriter) -> None:
        self.directory = directory
        self.spec = spec
        self.events = events
        self._terminate = False
        self.made_images: dict[str, Path] = {}
        """Pictures that the run itself made, by the names that its records give them."""
        self.position = ""
        """Where the run is, for messages: "step 12"."""

    def begin_step(self, number: int, *, unit: str = "step") -> None:
        """Seed the random numbers of step ``number`` (from 0), and note that it is under way."""
        self.position = f"{unit} {number + 1}: "
        seed_step(self.spec.seed, self.spec.kind, number)

    @property
    def images(self) -> Path:
        return self.directory / "images"

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    @property
    def final(self) -> Path:
        return self.directory / "final"

    def base_model(self, name: str | None = None) -> str:
        """A base model's folder when it lies in the run directory, else the name as given.

        Without ``name`` it is that of the spec. EngineError when that says "base", which is no
        model's name anywhere else, and no such folder is there.
        """
        name = name or self.spec.base_model
        local = self.directory / name
        if name == OWN_BASE and not local.is_dir():
            raise EngineError(
                f"the run directory has no base model in {OWN_BASE}/: put one there, or name a "
                "folder or a hub id as base_model in spec.json"
            )
        return str(local) if local.is_dir() else name

    def folder(self, name: str, *, field: str) -> Path:
        """A folder inside the run directory that the spec names; EngineError when it is not."""
        path = (self.directory / name).resolve()
        if not path.is_relative_to(self.directory.resolve()) or not path.is_dir():
            raise EngineError(f"spec.json, {field}: {name!r} is no folder of the run directory")
        return path

    def reward_model(self) -> Path:
        """The folder of the reward model; EngineError when the spec names none that is there."""
        if self.spec.reward_model is None:
            raise EngineError(
                f"spec.json, reward_model: {self.spec.kind.value} needs one; copy its final/ into "
                "the run directory as adapters/reward, and name that"
            )
        return self.folder(self.spec.reward_model, field="reward_model")

    def records(
        self, record_type: RecordType[RecordT], name: str = "train", *, ids_once: bool = False
    ) -> list[RecordT]:
        """All records of ``data/NAME.jsonl``; with ``ids_once`` no two of them may share an id."""
        path = self.directory / "data" / f"{name}.jsonl"
        return read_records(path, record_type, images=self.images, ids_once=ids_once)

    def has_records(self, name: str) -> bool:
        path = self.directory / "data" / f"{name}.jsonl"
        return path.is_file() and path.stat().st_size > 0

    def image_files(self, record: Record) -> tuple[Path, ...]:
        """The files of a record's images, in their order."""
        return tuple(
            self.made_images.get(name) or image_path(self.images, name) for name in record.images
        )

    def terminate(self, signal_number: int = 0, frame: FrameType | None = None) -> None:
        """Ask the run to stop at the next place where it can; the signal handler of SIGTERM."""
        self._terminate = True

    @property
    def terminating(self) -> bool:
        """Whether to end after this step; all processes ask it at the same place."""
        return processes().agree(self._terminate)

    def check_termination(self) -> None:
        """Raise Interrupted when the run was asked to end.

        Among several processes one alone must not stop within a step, so they end between steps.
        """
        if self._terminate and processes().count == 1:
            raise Interrupted

    def newest_checkpoint(self) -> Checkpoint | None:
        """Where to resume from, announced; None for a fresh start."""
        found = newest(self.checkpoints, tidy=processes().leads)
        if found is not None:
            self.events.stage(f"resuming from step {found.step}")
        return found


def read_spec(directory: Path, kind: Kind) -> RunSpec:
    """The run's spec; EngineError when it is missing, malformed or of another kind."""
    path = directory / "spec.json"
    if not path.is_file():
        raise EngineError("spec.json is missing; --preset writes one to begin from")
    try:
        spec = RunSpec.from_json(document(path))
    except ContractError as error:
        raise EngineError(f"spec.json, {error}") from None
    if spec.kind is not kind:
        raise EngineError(f"spec.json, kind: is {spec.kind.value!r}, but {kind.value!r} was asked")
    return spec


def carry_out(directory: Path, kind: Kind, work: Callable[[Run], None]) -> int:
    """Run ``work`` in ``directory`` and return the process's exit code.

    0 when it succeeded; 143 after SIGTERM, saved and resumable, with no Failure event; 1 after an
    error, told in a Failure event; 74 when the disk is so full that not even that can be told.
    """
    if not directory.is_dir():
        log.error("%s is no folder; --preset makes one to begin from", directory)
        return EXIT_FAILED
    try:
        with (
            together() as everyone,
            _alone(directory, writes=everyone.leads),
            EventWriter(directory / EVENTS, silent=not everyone.leads) as events,
        ):
            if everyone.count > 1:
                events.stage(f"{everyone.count} processes train together")
            return _carry_out(directory, kind, work, events)
    except _Occupied as error:
        log.error("%s", error)  # events.jsonl belongs to whoever trains there
        return EXIT_FAILED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        log.error("%s", _explained(error))
        return EXIT_DISK_FULL


class _Occupied(EngineError):
    """Another process writes in the run directory."""


@contextlib.contextmanager
def _alone(directory: Path, *, writes: bool) -> Iterator[None]:
    """Hold the directory's events as its only writer; raises _Occupied where somebody else does.

    Processes that a launcher failed to join would each take itself for the first, and remove what
    the others are writing.
    """
    with (directory / EVENTS).open("a", encoding="utf-8") as held:
        if writes:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _Occupied(f"another process trains in {directory}") from None
        yield


def _carry_out(
    directory: Path, kind: Kind, work: Callable[[Run], None], events: EventWriter
) -> int:
    try:
        run = Run(directory, read_spec(directory, kind), events)
        previous = signal.signal(signal.SIGTERM, run.terminate)
        try:
            work(run)
        except NonFinite as error:
            raise EngineError(f"{run.position}{error}") from error
        finally:
            signal.signal(signal.SIGTERM, previous)
    except Interrupted:
        log.info("terminated; the same command resumes")
        return EXIT_TERMINATED
    except LeftAlone as error:
        log.error("%s", error)
        return EXIT_FAILED
    except EngineError as error:
        log.error("%s", error)
        events.failure(str(error))
        return EXIT_FAILED
    except Exception as error:
        log.exception("the run failed")
        events.failure(_explained(error), detail=traceback.format_exc())
        return EXIT_FAILED
    return 0


def _explained(error: Exception) -> str:
    name = type(error).__name__
    if name == "OutOfMemoryError":
        return "memory runs out even with one sequence at a time; shorten the sequences"
    # safetensors and tokenizers raise types of their own with the system's words in them.
    if NO_SPACE in str(error):
        return "the disk is full; what was saved before is whole. Make room, then resume the run"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"{name}: {error}"
