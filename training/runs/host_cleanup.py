"""What runs and imports left on this host's disk and nobody will look for any more.

A run tidies its directory where it ends. A directory stays as it was when the run went on to
another host, or when its worker was killed. Each host can only clear its own disk, so the watchdog
of each worker does it (``training.runs.worker_watchdog``); of several on a host, one at a time.

A directory that a worker may be using is never touched: the run's row is locked while it is
judged, so that nobody claims it meanwhile, and what goes is first renamed away as a whole.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings
from django.db import transaction

from training.checkpoints import base_imports
from training.models import Run
from training.runs import abandoned, execution, trainer
from training.runs.locks import try_lock

log = logging.getLogger(__name__)

DOWNLOAD_DAYS = 1
GOING = ".going-"
ONE_AT_A_TIME = ".clearing"
DAY_SECONDS = 86_400


def clear() -> int:
    """Clear this host's RUNS_ROOT once; returns how many directories were cleared or removed.

    After ``RUN_DIRECTORY_DAYS`` without a change a run's directory goes when another host has
    taken over, and all but logs and curves when the run has ended; those go after
    ``RUN_LOG_DAYS``. Directories of runs that the database does not know are left alone.
    """
    root = settings.RUNS_ROOT
    if not root.is_dir():
        return 0
    with _alone(root) as alone:
        if not alone:
            return 0
        cleared = sum(_clear_run(path) for path in _runs(root))
        cleared += sum(_clear_download(path) for path in root.glob(f"{base_imports.DOWNLOAD}*"))
        for path in root.glob(f"{GOING}*"):
            shutil.rmtree(path, ignore_errors=True)
    return cleared


@contextmanager
def _alone(root: Path) -> Iterator[bool]:
    """Whether nobody else on this host is clearing; nobody else is until the block ends."""
    lock = os.open(root / ONE_AT_A_TIME, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        yield try_lock(lock)
    finally:
        os.close(lock)


def _runs(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.name.isdecimal() and path.is_dir()]


# --------------------------------------------------------------------------------------------
# Run directories
# --------------------------------------------------------------------------------------------


def _clear_run(directory: Path) -> bool:
    idle = _days_since([directory, *directory.iterdir()])
    only_logs = _names(directory) <= execution.KEPT
    if idle < (settings.RUN_LOG_DAYS if only_logs else settings.RUN_DIRECTORY_DAYS):
        return False
    with transaction.atomic():
        # Who claims a run locks its row as well, and passes over one that is locked.
        rows = Run.objects.select_for_update(skip_locked=True)
        run = rows.filter(pk=int(directory.name)).first()
        if run is None or not _is_of(directory, run) or not trainer.is_free(directory):
            return False
        if not run.ended and not _went_elsewhere(run):
            return False
        stays = run.ended and idle < settings.RUN_LOG_DAYS
        _put_aside(directory, but=execution.KEPT if stays else set())
    return True


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def _is_of(directory: Path, run: Run) -> bool:
    """False for a directory of another database that gave out the same number."""
    # Not noted: half prepared, or tidied when the run ended.
    return execution.prepared_for(directory) in (None, execution.identity(run))


def _went_elsewhere(run: Run) -> bool:
    """Whether the run, which has not ended, was last taken by another host than this."""
    if run.token is not None and abandoned.is_held(run.token):
        return False
    last = run.attempts.order_by("-number").first()
    return last is not None and last.host != execution.host_name()


def _put_aside(directory: Path, *, but: set[str]) -> None:
    """Rename what goes out of the directory, which takes no time; ``clear`` deletes it later."""
    names = _names(directory)
    aside = directory.with_name(f"{GOING}{directory.name}-{uuid.uuid4().hex}")
    if names & but:
        execution.unprepare(directory)
        names.discard(execution.PREPARED)
        aside.mkdir()
        for name in names - but:
            (directory / name).rename(aside / name)
    else:
        directory.rename(aside)
    log.info("run directory %s: cleared of %s", directory.name, ", ".join(sorted(names - but)))


def _days_since(paths: list[Path]) -> float:
    changed = []
    for path in paths:
        with suppress(FileNotFoundError):
            changed.append(path.lstat().st_mtime)
    return (time.time() - max(changed, default=time.time())) / DAY_SECONDS


# --------------------------------------------------------------------------------------------
# Downloads
# --------------------------------------------------------------------------------------------


def _clear_download(folder: Path) -> bool:
    """Remove what a killed import was fetching; a living one holds a lock on its folder."""
    if _days_since([folder, *folder.rglob("*")]) < DOWNLOAD_DAYS:
        return False
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not try_lock(handle):
            return False
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)
    log.info("removed what an import left: %s", folder.name)
    return True
