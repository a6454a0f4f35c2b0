"""Checkpoints of a run on their way to storage: each new one while it trains, then the result.

What is stored carries the attempt's token in its name, so that two attempts never write the same
file; the row that makes it visible is written under the token.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings

from config.sanitising import storable_json
from config.version import code_version
from training.checkpoints import checkpoint_files, registry, warnings
from training.models import Attempt, Checkpoint, Run
from training.rlhf.contract import CheckpointSaved
from training.runs import kinds, scheduling, shutdown
from training.runs.endings import Cancelled, Failed, GivenBack
from training.runs.heartbeat import Heartbeat

log = logging.getLogger(__name__)

STORAGE_AGAIN_SECONDS = 5.0


def upload(
    run: Run, attempt: Attempt, directory: Path, saved: CheckpointSaved, heart: Heartbeat
) -> None:
    """Keep the newest checkpoint in storage, so that any host can resume from it."""
    folder = directory / "checkpoints" / Path(saved.path).name
    try:
        stored = checkpoint_files.store(
            folder, prefix=checkpoint_files.attempt_prefix(attempt, f"step-{saved.step}")
        )
    except (OSError, checkpoint_files.StorageAway, checkpoint_files.RegistryError) as error:
        # Superseded on disk already, or storage is away: training is worth more than this copy.
        log.warning("run %s: checkpoint %s not uploaded: %s", run.pk, saved.step, error)
        return
    row = unsaved(run, stored, saved.metrics, step=saved.step, final=False)
    heart.insist(partial(_replace, attempt, row))


def _replace(attempt: Attempt, row: Checkpoint) -> None:
    try:
        with scheduling.holding(attempt) as run:
            for older in run.checkpoints.filter(final=False).exclude(path=row.path):
                registry.discard(older)
            run.checkpoints.filter(path=row.path).delete()
            row.pk = None
            row.save(force_insert=True)
    except scheduling.Fenced:
        registry.discard_orphan(row)
        raise


def unsaved(
    run: Run, stored: dict[str, Any], metrics: dict[str, Any], *, step: int, final: bool
) -> Checkpoint:
    """The row of files that lie in storage (``checkpoint_files.store``); it is not saved yet."""
    kind = kinds.get(run.kind).produces or Checkpoint.Kind.POLICY
    if run.settings.get("full_model"):
        kind = Checkpoint.Kind.BASE
    return Checkpoint(
        run=run,
        kind=kind,
        name=run.name if final else f"{run.name}, step {step}",
        base=None if kind == Checkpoint.Kind.BASE else run.base,
        step=step,
        final=final,
        metrics=storable_json(metrics),
        code_version=code_version(),
        warnings=warnings.behind(run),
        **stored,
    )


def store_result(attempt: Attempt, directory: Path, heart: Heartbeat) -> dict[str, Any]:
    """``checkpoint_files.store`` for ``final/``; waits while storage is full or away: what was
    trained for hours is not thrown away for that. Raises Failed when patience ends, Cancelled,
    GivenBack and Fenced.
    """
    patience_ends = time.monotonic() + settings.RUN_STORAGE_PATIENCE_SECONDS
    while True:
        try:
            return checkpoint_files.store(
                directory / "final", prefix=checkpoint_files.attempt_prefix(attempt, "final")
            )
        except checkpoint_files.StorageAway as error:
            if time.monotonic() > patience_ends:
                raise Failed(f"{error}. Resume the run when storage is well again") from error
            log.warning("run %s: %s", attempt.run_id, error)
            heart.insist(partial(scheduling.tell, attempt, f"waits for storage: {error}"))
        if heart.cancel_requested.wait(STORAGE_AGAIN_SECONDS):
            raise Cancelled
        if shutdown.asked():
            raise GivenBack
        if heart.lost.is_set():
            raise scheduling.Fenced(f"attempt {attempt} lost its lease")
