"""Files in storage that nobody will ask for: checkpoints to resume from, after a while, and what a
killed worker had stored before a row named it.

Only files are taken of which the database itself knows whose they were: an attempt or an import
of its own that ended. So a copy of the database that looks at the same storage, older than what
lies there, takes nothing away.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import ProtectedError
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now
from django.utils import timezone

from annotation import storage
from training.checkpoints import checkpoint_files, registry
from training.models import ENDED, Attempt, BaseImport, Checkpoint, Run

log = logging.getLogger(__name__)

MOST_AT_ONCE = 1000
OF_A_RUN = re.compile(r"run-(\d+)")
OF_AN_IMPORT = re.compile(r"import-(\d+)-[0-9a-f]+")


def tidy() -> None:
    """Delete what is over; may run at any time and in several workers at once."""
    forgotten = forget_resume_points()
    removed = remove_orphans()
    begun = storage.forget_unfinished(timezone.now() - timedelta(days=settings.ORPHAN_DAYS))
    log.info(
        "storage: deleted %s checkpoints to resume from, %s orphans, %s unfinished files",
        forgotten,
        removed,
        begun,
    )


# --------------------------------------------------------------------------------------------
# Checkpoints to resume from
# --------------------------------------------------------------------------------------------


def forget_resume_points() -> int:
    """Delete those of runs that ended ``RESUME_DAYS`` ago; returns how many. Resumed after that,
    a run begins anew."""
    ended = Now() - timedelta(days=settings.RESUME_DAYS)
    over = Checkpoint.objects.filter(
        final=False, run__state__in=ENDED, run__finished_at__lt=ended
    ).order_by("pk")
    return sum(_forget(pk) for pk in list(over.values_list("pk", flat=True)[:MOST_AT_ONCE]))


@transaction.atomic
def _forget(checkpoint_id: int) -> bool:
    # Who resumes the run locks its row: either it finds the checkpoint, or it is not deleted.
    runs = Run.objects.select_for_update(skip_locked=True, of=("self",))
    if not runs.filter(checkpoints=checkpoint_id, state__in=ENDED).exists():
        return False
    checkpoint = Checkpoint.objects.filter(pk=checkpoint_id).first()
    if checkpoint is None:
        return False
    try:
        registry.discard(checkpoint)
    except ProtectedError:
        log.warning("checkpoint %s is kept: something was made from it", checkpoint_id)
        return False
    return True


# --------------------------------------------------------------------------------------------
# Files without a row
# --------------------------------------------------------------------------------------------


def remove_orphans() -> int:
    """Delete what attempts and imports stored that ended ``ORPHAN_DAYS`` ago and that no row
    names; returns how many checkpoints that were."""
    removed = 0
    for name in _folders(checkpoint_files.CHECKPOINTS):
        if found := OF_A_RUN.fullmatch(name):
            removed += _remove_of_run(int(found[1]), f"{checkpoint_files.CHECKPOINTS}/{name}")
    for name in _folders(checkpoint_files.BASES):
        if found := OF_AN_IMPORT.fullmatch(name):
            removed += _remove_of_import(int(found[1]), f"{checkpoint_files.BASES}/{name}")
    return removed


def _remove_of_run(run_id: int, folder: str) -> int:
    ended = Attempt.objects.filter(run_id=run_id, ended_at__lt=_orphan_age())
    marks = {
        checkpoint_files.attempt_mark(token) for token in ended.values_list("token", flat=True)
    }
    paths = [f"{folder}/{name}" for name in _folders(folder) if name.rpartition("-")[2] in marks]
    return _remove_unnamed(paths)


def _remove_of_import(import_id: int, path: str) -> int:
    over = BaseImport.objects.filter(pk=import_id, finished_at__lt=_orphan_age())
    return _remove_unnamed([path]) if over.exists() else 0


def _orphan_age() -> CombinedExpression:
    return Now() - timedelta(days=settings.ORPHAN_DAYS)


def _remove_unnamed(paths: list[str]) -> int:
    named = set(Checkpoint.objects.filter(path__in=paths).values_list("path", flat=True))
    orphans = [path for path in paths if path not in named]
    return sum(_remove(path) > 0 for path in orphans)


def _remove(path: str) -> int:
    """Delete the files below ``path``, and the folders where there are any; how many files."""
    folders, files = storage.listdir(path)
    for name in files:
        storage.delete(f"{path}/{name}")
    below = sum(_remove(f"{path}/{name}") for name in folders)
    # Object stores have no folders, and others delete an empty one.
    with suppress(storage.StorageTrouble):
        storage.delete(path)
    return len(files) + below


def _folders(path: str) -> list[str]:
    return storage.listdir(path)[0]
