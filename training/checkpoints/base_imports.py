"""Importing a base model at an administrator's request: checked by a worker, with progress.

The row is the truth: a message that is lost is sent again by beat, and an import whose worker died
begins anew. Folders are taken only from below ``BASE_MODEL_FOLDERS``, so that no page reads the
rest of the worker's disk.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from annotation.errors import DomainError
from config import poison_jobs, wakeup
from config.heartbeats import LOST_AFTER, beating
from training.checkpoints import base_trial, bases, checkpoint_files, registry
from training.checkpoints.bases import BaseRefused
from training.models import BaseImport, Checkpoint

log = logging.getLogger(__name__)

TASK = "training.tasks.import_base"
DOWNLOAD = "download-"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
State = BaseImport.State


def is_hub_id(source: str) -> bool:
    return HUB_ID.fullmatch(source) is not None


def allowed_folder(source: str) -> Path:
    """The folder with all links followed; BaseRefused outside ``BASE_MODEL_FOLDERS``."""
    folder = Path(source).resolve()
    allowed = [Path(one).resolve() for one in settings.BASE_MODEL_FOLDERS]
    if not any(folder.is_relative_to(one) for one in allowed):
        listed = ", ".join(str(one) for one in allowed)
        raise BaseRefused(f"{source} is not below a folder of BASE_MODEL_FOLDERS ({listed})")
    return folder


def check_name(name: str) -> str:
    """The name, if no base has it yet. Raises BaseRefused."""
    if Checkpoint.objects.filter(run=None, name=name).exists():
        raise BaseRefused("A base model of this name is registered already.")
    return name


def check_source(source: str) -> str:
    """The source, if it is a hub id or a folder that may be read. Raises BaseRefused."""
    if not is_hub_id(source):
        allowed_folder(source)
    return source


def request_import(user: Any, *, name: str, source: str, copy: bool) -> BaseImport:
    """Queue an import; the worker says on the row what became of it."""
    row = BaseImport.objects.create(name=name, source=source, copy=copy, created_by=user)
    wakeup.after_commit(TASK, row.pk)
    return row


def run_import(pk: int) -> None:
    """Carry an import out, unless another worker has it already."""
    taken = BaseImport.objects.filter(pk=pk, state=State.QUEUED)
    if not poison_jobs.take(taken, state=State.RUNNING, touched_at=Now(), stage="looking"):
        return
    row = BaseImport.objects.get(pk=pk)
    fail = partial(_end, row, State.FAILED)
    try:
        with beating(row, "touched_at"):
            made = _import(row)
    except (BaseRefused, checkpoint_files.RegistryError, DomainError) as error:
        poison_jobs.note_failure(fail, error)
    except Exception:
        # It would be the same next time: said instead of tried for ever.
        log.exception("base import %s failed", pk)
        poison_jobs.note_failure(fail, poison_jobs.FAULT)
    else:
        _end(row, State.SUCCEEDED, checkpoint=made)


def announce_forgotten() -> None:
    """Wake workers for imports whose message was lost or whose worker vanished; give those up that
    none of several workers came to an end with."""
    silent = BaseImport.objects.filter(state=State.RUNNING, touched_at__lt=Now() - LOST_AFTER)
    poison_jobs.give_up(silent, state=State.FAILED, error=poison_jobs.GIVEN_UP, finished_at=Now())
    silent.update(state=State.QUEUED)
    waiting = BaseImport.objects.filter(
        state=State.QUEUED, created_at__lt=Now() - timedelta(seconds=20)
    )
    wakeup.announce_unless_pending(TASK, waiting.values_list("pk", flat=True))


def _import(row: BaseImport) -> Checkpoint:
    if not is_hub_id(row.source):
        folder = allowed_folder(row.source)
        return _register(row, folder, source=str(folder))
    if row.copy:
        with _downloads() as folder:
            _fetch_from_hub(row, folder)
            return _register(row, folder, source=row.source)
    _look_at_hub(row)
    return registry.register_base(row.name, source=row.source)


def _register(row: BaseImport, folder: Path, *, source: str) -> Checkpoint:
    _say(row, "checking files")
    found = bases.check_folder(folder)
    BaseImport.objects.filter(pk=row.pk).update(
        family=found.family[:100], tensors=found.tensors, total=found.bytes, done=0
    )
    _say(row, "opening it and encoding a picture")
    log.info("base import %s: %s", row.pk, base_trial.try_base(folder, found.bytes))
    if not row.copy:
        return registry.register_base(row.name, source=source)
    _say(row, "copying into storage")
    made = registry.register_base(
        row.name, folder=folder, report=_reporting(row), mark=f"import-{row.pk}-"
    )
    BaseImport.objects.filter(pk=row.pk).update(done=made.size, total=made.size)
    return made


def _reporting(row: BaseImport) -> checkpoint_files.Report:
    def report(done: int, total: int) -> None:
        BaseImport.objects.filter(pk=row.pk).update(done=done, total=total)

    return report


def _say(row: BaseImport, stage: str) -> None:
    BaseImport.objects.filter(pk=row.pk).update(stage=stage)


def _end(row: BaseImport, state: str, error: str = "", **fields: Any) -> None:
    running = BaseImport.objects.filter(pk=row.pk, state=State.RUNNING)
    running.update(state=state, error=error, finished_at=Now(), **fields)


# --------------------------------------------------------------------------------------------
# From a hub
# --------------------------------------------------------------------------------------------


@contextmanager
def _downloads() -> Iterator[Path]:
    """A folder beside the run directories, where there is room; gone afterwards.

    It is locked meanwhile: one that nobody locks was left by a worker that was killed.
    """
    settings.RUNS_ROOT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=DOWNLOAD, dir=settings.RUNS_ROOT))
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise BaseRefused(
            "this worker has no huggingface_hub (it comes with the engine): give a folder instead"
        ) from None
    return huggingface_hub


def _look_at_hub(row: BaseImport) -> dict[str, int]:
    """Names and sizes of the files to take, once names and configuration have been checked."""
    hub = _hub()
    try:
        info = hub.HfApi(endpoint=settings.HUB_ENDPOINT).model_info(row.source, files_metadata=True)
    except (hub.errors.HTTPError, OSError) as error:
        raise BaseRefused(f"the hub gave no answer about {row.source}: {_first(error)}") from None
    files = {one.rfilename: one.size or 0 for one in info.siblings or []}
    wanted = {
        name: size
        for name, size in files.items()
        if "/" not in name and any(fnmatch(name, pattern) for pattern in bases.TAKEN)
    }
    bases.check_names(list(wanted))
    BaseImport.objects.filter(pk=row.pk).update(revision=info.sha or "", total=sum(wanted.values()))
    row.revision = info.sha or ""
    with tempfile.TemporaryDirectory() as folder:
        config = _download(row, "config.json", Path(folder))
        bases.check_config(bases.read_json(config))
    return wanted


def _fetch_from_hub(row: BaseImport, folder: Path) -> None:
    wanted, done = _look_at_hub(row), 0
    for number, (name, size) in enumerate(sorted(wanted.items()), start=1):
        _say(row, f"fetching {name} ({number} of {len(wanted)})"[:200])
        _download(row, name, folder)
        done += size
        BaseImport.objects.filter(pk=row.pk).update(done=done)
    # The hub's client keeps its bookkeeping here.
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def _download(row: BaseImport, name: str, folder: Path) -> Path:
    hub = _hub()
    try:
        path = hub.hf_hub_download(
            row.source,
            name,
            revision=row.revision or None,
            local_dir=folder,
            endpoint=settings.HUB_ENDPOINT,
        )
    except (hub.errors.HTTPError, OSError) as error:
        raise BaseRefused(f"{name} could not be fetched: {_first(error)}") from None
    return Path(path)


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
