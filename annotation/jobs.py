"""Work that a request asks for and a worker does: imports and releases.

The row is the truth and Celery only a wake-up: what a lost message left behind is announced again
by beat, and a request never waits for Redis.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.files import File
from django.db import transaction
from django.db.models import Q
from django.db.models.fields.files import FieldFile
from django.db.models.functions import Now

from annotation import access, importing, storage
from annotation.errors import DomainError
from annotation.image_sources import Archive, Either, ImageSource, Stored
from annotation.importing.record_files import ImportRefused, Problem
from annotation.models import ImportJob, Project, Release, User
from annotation.models.exchange import left_out_path, upload_hash
from annotation.models.projects import still_managed_by
from annotation.releases import freezing
from config import poison_jobs, wakeup
from config.heartbeats import LOST_AFTER, beating
from config.sanitising import storable

log = logging.getLogger(__name__)

IMPORT = "annotation.tasks.run_import"
RELEASE = "annotation.tasks.build_release"

MOST_PROBLEMS_KEPT = 1000


class NoLongerAllowed(DomainError):
    """Whoever asked for an import may not manage the project any more."""

    status = 403
    title = "The import is not allowed any more"


# --------------------------------------------------------------------------------------------
# Imports
# --------------------------------------------------------------------------------------------


def request_import(project: Project, user: User, **fields: Any) -> ImportJob:
    """Stores the uploads and has a worker import them; ``fields`` are those of ImportJob.

    Raises StorageTrouble when storage does not take them all; then none is left there.
    """
    job = ImportJob(project=project, created_by=user, **fields)
    if job.images:
        job.images_name = storable(str(job.images.name))[:200]
    for upload in (job.records, job.second_records, job.images, job.captions):
        if upload:
            # The row says what was sent, by the name; whatever storage holds later is compared.
            upload.name = storage.fingerprint_of(upload.file).sha256
            upload.file.seek(0)
    try:
        with transaction.atomic():
            job.save(force_insert=True)
            wakeup.after_commit(IMPORT, job.pk)
    except BaseException:
        _delete_uploads(job)
        raise
    return job


def run_import(job_id: int) -> None:
    """Carries an import out, unless another worker has it already."""
    taken = ImportJob.objects.filter(pk=job_id, state=ImportJob.State.QUEUED)
    now = {"started_at": Now(), "beat_at": Now()}
    if not poison_jobs.take(taken, state=ImportJob.State.RUNNING, **now):
        return
    job = ImportJob.objects.select_related("project").get(pk=job_id)
    try:
        with beating(job, "beat_at"), tempfile.TemporaryDirectory() as folder:
            left_out = Path(folder) / "left-out.csv"
            done = _import(job, left_out)
            listed = _keep_left_out(job, left_out) if done.left_out else {}
    except ImportRefused as refused:
        _refuse_import(job, refused.problems)
    except (storage.StorageTrouble, NoLongerAllowed) as error:
        _refuse_import(job, [Problem(0, "", str(error))])
    except DomainError as error:
        _refuse_import(job, [Problem(0, "images", str(error))])
    except Exception:
        # Whatever it was, it would be the same next time: say so instead of trying for ever.
        _refuse_import(job, [Problem(0, "", poison_jobs.FAULT)])
        raise
    else:
        warnings = [warning.to_json() for warning in done.warnings]
        _end_import(
            job,
            ImportJob.State.SUCCEEDED,
            created_count=done.created,
            unchanged_count=done.unchanged,
            left_out_count=done.left_out,
            joins=[dataclasses.asdict(join) for join in done.joins],
            warnings=warnings[:MOST_PROBLEMS_KEPT],
            **listed,
        )


def _import(job: ImportJob, left_out: Path) -> importing.Imported:
    """Raises ImportRefused, and NoLongerAllowed: a request is worth what its maker is worth now."""
    if not ImportJob.objects.filter(still_managed_by("created_by"), pk=job.pk).exists():
        raise NoLongerAllowed(
            "Whoever asked for this import may not manage the project any more; nothing was "
            "imported. A manager can ask for it again."
        )
    with contextlib.ExitStack() as stack:

        def here(upload: FieldFile) -> Path:
            name = str(upload.name)
            return stack.enter_context(storage.fetched(name, sha256=upload_hash(name)))

        options = importing.Options(
            source=f"import {job.pk}",
            skip_missing_images=job.skip_missing_images,
            leave_out_unusable=job.leave_out_unusable,
            left_out_to=stack.enter_context(left_out.open("w", encoding="utf-8", newline="")),
            keep_labels=job.keep_labels,
        )
        uploads = [job.records, job.second_records] if job.second_records else [job.records]
        files = [here(upload) for upload in uploads]
        stored = Stored(access.images_to_name(job.created_by, job.project))
        images: ImageSource = stored
        if job.images:
            images = Either((Archive(here(job.images), job.images_name), stored))
        return importing.import_files(
            job.project,
            files,
            images,
            format=job.format,
            captions=here(job.captions) if job.captions else None,
            names=job.name.split(", ")[: len(files)],
            options=options,
            report=_report(job),
        )


def _keep_left_out(job: ImportJob, path: Path) -> dict[str, Any]:
    """The list in storage, and the fields of the row that say where."""
    whole = storage.fingerprint_at(path)
    name = left_out_path(job, "")
    with path.open("rb") as file:
        storage.keep(name, File(file), sha256=whole.sha256, size=whole.size)
    about = {"left_out_sha256": whole.sha256, "left_out_bytes": whole.size}
    return {"left_out_list": name, **about}


def _report(job: ImportJob) -> importing.Report:
    def report(done: int, total: int) -> None:
        if done == total or done % max(1, total // 100) == 0:
            ImportJob.objects.filter(pk=job.pk).update(done=done, total=total)

    return report


def _refuse_import(job: ImportJob, problems: Sequence[Problem]) -> None:
    def write(why: str) -> None:
        said = [Problem(0, "", why)] if why == poison_jobs.FAULT else problems[:MOST_PROBLEMS_KEPT]
        _end_import(job, ImportJob.State.FAILED, problems=[one.to_json() for one in said])

    poison_jobs.note_failure(write, "its problems")


def _end_import(job: ImportJob, state: str, **fields: Any) -> None:
    running = ImportJob.objects.filter(pk=job.pk, state=ImportJob.State.RUNNING)
    if running.update(state=state, finished_at=Now(), **fields):
        _delete_uploads(job)


def _delete_uploads(job: ImportJob) -> None:
    """Those that lie in storage; trouble with it keeps no import from ending."""
    for upload in (job.records, job.second_records, job.images, job.captions):
        if upload and getattr(upload, "_committed", True):
            try:
                storage.delete(str(upload.name))
            except storage.StorageTrouble as error:
                log.warning("an upload stays behind: %s", error)


# --------------------------------------------------------------------------------------------
# Releases
# --------------------------------------------------------------------------------------------


def queue_release(project: Project, user: User | None, **options: Any) -> Release:
    """A release that a worker builds; ``options`` as of ``freezing.request_release``."""
    with transaction.atomic():
        release = freezing.request_release(project, created_by=user, **options)
        wakeup.after_commit(RELEASE, release.pk)
    return release


def build_release(release_id: int) -> None:
    freezing.build(Release.objects.select_related("project").get(pk=release_id))


# --------------------------------------------------------------------------------------------
# Both
# --------------------------------------------------------------------------------------------


def announce_forgotten() -> None:
    """Tells workers again of imports and releases that nobody has taken up; gives those up that
    none of several workers came to an end with."""
    silent = Q(beat_at__lt=Now() - LOST_AFTER) | Q(beat_at=None)
    lost = ImportJob.objects.filter(silent, state=ImportJob.State.RUNNING)
    problems = [Problem(0, "", poison_jobs.GIVEN_UP).to_json()]
    ended = {"state": ImportJob.State.FAILED, "finished_at": Now()}
    poison_jobs.give_up(lost, problems=problems, **ended)
    lost.update(state=ImportJob.State.QUEUED)
    building = Release.objects.filter(state=Release.State.BUILDING)
    poison_jobs.give_up(building, state=Release.State.FAILED, error=poison_jobs.GIVEN_UP)
    waiting = ImportJob.objects.filter(
        state=ImportJob.State.QUEUED, created_at__lt=Now() - timedelta(seconds=20)
    )
    unbuilt = building.filter(created_at__lt=Now() - timedelta(seconds=60))
    if wakeup.is_empty(wakeup.queue_of(IMPORT)):
        wakeup.announce(IMPORT, waiting.values_list("pk", flat=True))
        wakeup.announce(RELEASE, unbuilt.values_list("pk", flat=True))
