"""One claimed run, from its claim to its end: the worker between database and trainer.

1. **Claim** the run: an Attempt with a token and a lease. Nothing to claim: nothing to do.
2. **Settle** which checkpoints it starts from: those of the runs before it in the chain.
3. **Prepare** the run directory under RUNS_ROOT: data, images, base, adapters, spec. A directory
   of an earlier attempt on this host is used as it is; on another host the last uploaded
   checkpoint is put where the engine looks for one to resume.
4. **Start** the trainer: in a process group that dies with this process, or as a job of a cluster
   (``launchers``).
5. **Follow** its events into rows, upload each checkpoint. When the run is to be cancelled or the
   worker to end, the trainer is stopped, and what it saved is uploaded as well. A cluster's job
   goes on when the worker ends: the next attempt takes it up. A trainer that had told of its whole
   result has succeeded, however its process came to its end after that.
6. **Finish**: upload ``final/``, then in one transaction its row, what the kind takes in, and the
   new state. Files that lost the race are deleted again.

Each step may be interrupted anywhere and done again by another attempt: files go to names that
carry the token, rows are upserts, and every write is fenced (``scheduling.holding``). The lease is
renewed by a thread of its own, so that no step is too long for it.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

import durable
from config import logs
from training.checkpoints import checkpoint_files, registry, warnings
from training.figures import tensorboard
from training.models import Attempt, Checkpoint, Run, State
from training.rlhf.contract import CheckpointSaved, Failure
from training.runs import (
    abandoned,
    checkpoint_uploads,
    doubts,
    kinds,
    launchers,
    scheduling,
    shutdown,
    trainer_events,
)
from training.runs.endings import Cancelled, Failed, GivenBack, Vanished
from training.runs.heartbeat import Heartbeat
from training.runs.trainer import DirectoryBusy, log_tail

log = logging.getLogger(__name__)

PREPARED = "prepared.json"
KEPT = {trainer_events.EVENTS, "trainer.log", "spec.json", "lock", tensorboard.FOLDER}
POLL_SECONDS = 0.5
SIGNALLED = 128
DISK_FULL = (
    "the disk with the run's directory on {host} is full; make room there, or set RUNS_ROOT to a "
    "larger disk, and resume the run: it goes on from its last checkpoint"
)


def host_name() -> str:
    return settings.WORKER_HOST or socket.gethostname()


def execute(run_id: int) -> None:
    """Carry out the run if it can be claimed. Never raises for what belongs to the run."""
    if shutdown.asked():
        return
    asked_at = time.monotonic()
    own = settings.WORKER_GPUS if launchers.of_this_worker().leases_gpus else None
    doubts.host_offers(host_name(), own)
    attempt = scheduling.claim(run_id, host=host_name(), gpus=own)
    if attempt is not None:
        with logs.about(**attempt.log_fields):
            _execute(attempt, asked_at)


def _execute(attempt: Attempt, asked_at: float) -> None:
    run_id = attempt.run_id
    log.info("run %s: attempt %s begins", run_id, attempt.number)
    with abandoned.alive(attempt), Heartbeat(attempt, claimed_at=asked_at) as heart:
        try:
            end = _carry_out(attempt, heart)
        except scheduling.Fenced:
            log.warning("run %s: attempt %s was overtaken", run_id, attempt.number)
            return
        try:
            heart.insist(end)
        except scheduling.Fenced:
            log.warning("run %s: attempt %s ended too late", run_id, attempt.number)
            return
    if not Run.objects.filter(pk=run_id, state=State.QUEUED).exists():
        _tidy(run_directory(attempt.run))


def _carry_out(attempt: Attempt, heart: Heartbeat) -> Callable[[], object]:
    """Steps 2 to 6; returns what is left to record when the run did not succeed."""
    try:
        run = heart.insist(partial(_settle, attempt))
        heart.insist(partial(scheduling.tell, attempt, "preparing its data and models"))
        directory = _prepare(run)
        heart.insist(partial(scheduling.tell, attempt, "starting the trainer"))
        final = _train(run, attempt, directory, heart)
        _finish(run, attempt, directory, heart, final)
    except scheduling.Fenced:
        raise
    except Cancelled:
        return partial(scheduling.stopped, attempt)
    except GivenBack:
        return partial(scheduling.give_back, attempt, "its worker was stopped")
    except (Vanished, DirectoryBusy) as error:
        return partial(scheduling.lose, attempt, str(error))
    except (Failed, ValueError) as error:
        return partial(scheduling.fail, attempt, str(error))
    except Exception as error:
        log.exception("run %s failed in the worker", attempt.run_id)
        return partial(scheduling.fail, attempt, _explained(error))
    return lambda: None


def _explained(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return DISK_FULL.format(host=host_name())
    return f"{type(error).__name__}: {error}"


# --------------------------------------------------------------------------------------------
# 2 and 3: settle and prepare
# --------------------------------------------------------------------------------------------


def _settle(attempt: Attempt) -> Run:
    with scheduling.holding(attempt) as run:
        found = kinds.settle_inputs(run)
        for name, checkpoint in found.items():
            setattr(run, name, checkpoint)
        run.save(update_fields=list(found))
        missing = kinds.missing_input(run)
    if missing is not None:
        raise Failed(f"the runs before it left no {missing.replace('_', ' ')}")
    related = ("base", "policy", "reward_model", "release", "project", "after")
    return Run.objects.select_related(*related).get(pk=run.pk)


def run_directory(run: Run) -> Path:
    return settings.RUNS_ROOT / str(run.pk)


def identity(run: Run) -> dict[str, Any]:
    """What tells the run from one of another database with the same number."""
    return {"run": run.pk, "created_at": run.created_at.isoformat()}


def _prepare(run: Run) -> Path:
    directory = run_directory(run)
    if prepared_for(directory) == identity(run):
        return directory
    if directory.exists():
        # Half prepared, or of another database that gave out the same number.
        unprepare(directory)
        shutil.rmtree(directory)
    for name in ("data", "images", "adapters", "checkpoints"):
        (directory / name).mkdir(parents=True)
    spec = kinds.get(run.kind).prepare(run, directory)
    (directory / "spec.json").write_text(json.dumps(spec.to_json(), indent=2))
    _restore_checkpoint(run, directory)
    durable.force(directory)
    durable.write(directory / PREPARED, json.dumps(identity(run)))
    return directory


def prepared_for(directory: Path) -> dict[str, Any] | None:
    """The ``identity`` that the directory was prepared for; None where that did not come to its
    end, or what was noted cannot be read, as on a disk that was full."""
    try:
        noted = json.loads((directory / PREPARED).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return noted if isinstance(noted, dict) else None


def unprepare(directory: Path) -> None:
    """To come before anything is taken out of the directory: what is left of it is not whole."""
    durable.unlink(directory / PREPARED)


def _restore_checkpoint(run: Run, directory: Path) -> None:
    saved = run.checkpoints.filter(final=False).order_by("-step").first()
    if saved is not None:
        checkpoint_files.fetch(saved, directory / "checkpoints" / f"step-{saved.step}", link=False)


# --------------------------------------------------------------------------------------------
# 4 and 5: start and follow
# --------------------------------------------------------------------------------------------


def _train(run: Run, attempt: Attempt, directory: Path, heart: Heartbeat) -> dict[str, Any]:
    """Returns the figures of the final checkpoint."""
    gpus = list(attempt.gpu_slots.values_list("index", flat=True))
    command = kinds.get(run.kind).command(run, directory)
    trainer = launchers.of_this_worker().start(command, directory, run, gpus=gpus)
    reader = trainer_events.Reader(directory / trainer_events.EVENTS, replayed=trainer.replayed)
    follower = Follower(run, attempt, directory, reader, heart)
    try:
        heart.watch(trainer)
        _follow(trainer, attempt, follower, heart)
    except (scheduling.Fenced, GivenBack):
        trainer.leave()
        raise
    finally:
        code = trainer.close()
    heart.insist(partial(scheduling.release_gpus, attempt))
    follower.catch_up(to_the_end=True)
    if heart.cancel_requested.is_set():
        raise Cancelled
    if follower.has_result:
        return follower.final_metrics
    if shutdown.asked() and code and follower.failure is None:
        raise GivenBack
    if trainer.trouble is not None and follower.failure is None:
        raise trainer.trouble
    _judge_exit(code, follower.failure, directory)
    return follower.final_metrics


def _follow(
    trainer: launchers.Launched, attempt: Attempt, follower: Follower, heart: Heartbeat
) -> None:
    told = ""
    while not trainer.wait(POLL_SECONDS):
        told = _tell_of_job(trainer, attempt, heart, told)
        follower.catch_up()
        if heart.lost.is_set():
            raise scheduling.Fenced("the lease was lost while the trainer ran")
        if heart.cancel_requested.is_set():
            trainer.stop(grace_seconds=settings.RUN_STOP_SECONDS)
        elif shutdown.asked():
            if trainer.outlives_worker:
                raise GivenBack
            trainer.stop(grace_seconds=settings.RUN_STOP_SECONDS)


def _tell_of_job(trainer: launchers.Launched, attempt: Attempt, heart: Heartbeat, told: str) -> str:
    """Which job it is, for its attempt, and what the cluster says, as the stage of its run."""
    if trainer.job != attempt.job:
        attempt.job = trainer.job
        heart.insist(partial(attempt.save, update_fields=["job"]))
    notice = trainer.notice()
    if notice != told:
        stage = notice or f"{trainer.job} has started"
        heart.insist(partial(scheduling.tell, attempt, stage))
    return notice


def _judge_exit(code: int, failure: Failure | None, directory: Path) -> None:
    if failure is not None:
        raise Failed(failure.message)
    if code > SIGNALLED:
        raise Vanished(f"the trainer was ended by signal {code - SIGNALLED}")
    # With no room for a Failure event the engine says so by its exit code, if it still can.
    if code == os.EX_IOERR or (code and not shutil.disk_usage(directory).free):
        raise Failed(DISK_FULL.format(host=host_name()))
    if code:
        last_words = log_tail(directory).strip().rpartition("\n")[2]
        raise Failed(f"the trainer exited with code {code}: {last_words}")
    if not (directory / "final").is_dir():
        raise Failed("the trainer ended without leaving final/")


class Follower:
    """Carries events of one attempt into the database and remembers what steers the worker."""

    def __init__(
        self,
        run: Run,
        attempt: Attempt,
        directory: Path,
        reader: trainer_events.Reader,
        heart: Heartbeat,
    ) -> None:
        self.failure: Failure | None = None
        self.final_metrics: dict[str, Any] = {}
        self._told_of_result = False
        self._run = run
        self._attempt = attempt
        self._directory = directory
        self._reader = reader
        self._heart = heart
        self._tail = ""
        self._board = tensorboard.board(directory)

    @property
    def has_result(self) -> bool:
        """Whether ``final/`` is whole: the engine says so last, and nothing of it fails then."""
        whole = self._told_of_result and (self._directory / "final").is_dir()
        return whole and self.failure is None

    def catch_up(self, *, to_the_end: bool = False) -> None:
        """One batch, or all there is; raises Fenced when the run is not ours any more."""
        while True:
            events, tail = self._reader.read(), log_tail(self._directory)
            if not events and tail == self._tail:
                return
            write = partial(trainer_events.record, self._attempt, events, log_tail=tail)
            seen = self._heart.insist(write)
            self._tail = tail
            self._board.add(events)
            self.failure = self.failure or seen.failure
            for saved in seen.checkpoints:
                self._take(saved)
            if not to_the_end:
                return

    def _take(self, saved: CheckpointSaved) -> None:
        if saved.final:
            self.final_metrics, self._told_of_result = saved.metrics, True
        else:
            checkpoint_uploads.upload(self._run, self._attempt, self._directory, saved, self._heart)


# --------------------------------------------------------------------------------------------
# 6: finish
# --------------------------------------------------------------------------------------------


def _finish(
    run: Run, attempt: Attempt, directory: Path, heart: Heartbeat, metrics: dict[str, Any]
) -> None:
    kind = kinds.get(run.kind)
    row = None
    if kind.produces:
        if run.base is not None:
            checkpoint_files.name_base(directory / "final", run.base)
        stored = checkpoint_uploads.store_result(attempt, directory, heart)
        row = checkpoint_uploads.unsaved(run, stored, metrics, step=0, final=True)
    try:
        heart.insist(partial(_succeed, run, attempt, directory, row))
    except BaseException:
        if row is not None:
            registry.discard_orphan(row)
        raise


def _succeed(run: Run, attempt: Attempt, directory: Path, row: Checkpoint | None) -> None:
    with scheduling.holding(attempt) as held:
        if row is not None:
            row.pk = None
            row.step = held.progress_done
            row.warnings = [*row.warnings, *warnings.of_run(held)]
            row.save(force_insert=True)
        kinds.get(run.kind).finish(run, attempt, directory)
        for unfinished in held.checkpoints.filter(final=False):
            registry.discard(unfinished)
        scheduling.finish(attempt)
        transaction.on_commit(partial(kinds.followed, run))


def _tidy(directory: Path) -> None:
    """The run has ended: what matters is in the database and in storage. What people read stays."""
    unprepare(directory)
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.name not in KEPT:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
