"""Imports and releases as jobs: what a worker does, once, and what a lost message costs."""

import io
import json
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from annotation import jobs, queue, tasks
from annotation.importing import Imported
from annotation.models import Assignment, Comparison, ImportJob, Release
from config import wakeup
from tests.annotation.importing.test_one_import import record
from tests.announcing import keep_announcements
from tests.factories import (
    judge,
    make_admin,
    make_comparison,
    make_member,
    make_project,
    make_user,
    picture_bytes,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch):
    return keep_announcements(monkeypatch)


def uploads(*records, images=None):
    text = "\n".join(json.dumps(entry) for entry in records)
    fields = {"name": "pairs.jsonl", "records": ContentFile(text.encode(), name="pairs.jsonl")}
    if images is not None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in images.items():
                archive.writestr(zipfile.ZipInfo(name), data)  # no clock: same images, same bytes
        fields["images"] = ContentFile(buffer.getvalue(), name="images.zip")
    return fields


def run(project, **fields):
    job = ImportJob.objects.create(
        project=project, created_by=make_member(project, "manager"), **fields
    )
    stored = [job.records.name, job.images.name]
    tasks.run_import(job.pk)
    job.refresh_from_db()
    return job, [name for name in stored if name]


def test_an_import_job_imports_and_cleans_up():
    project = make_project()
    job, stored = run(project, **uploads(record(1), images={"a.png": picture_bytes()}))
    assert (job.state, job.created_count, job.problems) == ("succeeded", 1, [])
    assert (job.done, job.total) == (1, 1)
    assert job.finished_at > job.started_at
    assert Comparison.objects.get().source == f"import {job.pk}"
    assert not any(default_storage.exists(name) for name in stored)


@pytest.mark.parametrize("upload", ["records", "images"])
def test_an_upload_that_storage_lost_a_part_of_is_imported_in_no_part(upload):
    project = make_project()
    fields = uploads(record(1), record(2), images={"a.png": picture_bytes()})
    job = jobs.request_import(project, make_member(project, "manager"), **fields)
    path = Path(getattr(job, upload).path)
    whole = path.read_bytes()
    # The records end after a line, so that nothing in them tells.
    path.write_bytes(whole.split(b"\n")[0] + b"\n" if upload == "records" else whole[:-1])
    tasks.run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.created_count) == ("failed", 0)
    assert "other content in storage" in job.problems[0]["reason"]
    assert not Comparison.objects.exists()


def test_a_refused_import_names_every_fault():
    job, _ = run(make_project(), **uploads(record(1, image="x.png"), {"id": "r2"}))
    assert job.state == "failed"
    assert [(p["line"], p["field"]) for p in job.problems] == [(1, "image"), (2, "image")]
    assert not Comparison.objects.exists()


def test_an_archive_that_is_none_is_a_problem_of_the_job():
    fields = uploads(record(1))
    fields["images"] = ContentFile(b"not a zip", name="images.zip")
    job, _ = run(make_project(), **fields)
    assert (job.state, job.problems[0]["field"]) == ("failed", "images")


@pytest.mark.parametrize("gone", ["removed", "demoted", "deactivated", "deleted"])
def test_an_import_is_worth_what_its_maker_is_worth_when_it_runs(gone):
    project = make_project()
    manager = make_member(project, "manager")
    fields = uploads(record(1), images={"a.png": picture_bytes()})
    job = jobs.request_import(project, manager, **fields)
    if gone == "removed":
        project.memberships.filter(user=manager).delete()
    elif gone == "demoted":
        project.memberships.filter(user=manager).update(role="reviewer")
    elif gone == "deactivated":
        type(manager).objects.filter(pk=manager.pk).update(is_active=False)
    else:
        manager.delete()
    tasks.run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.created_count) == ("failed", 0)
    assert "may not manage the project any more" in job.problems[0]["reason"]
    assert not Comparison.objects.exists()
    assert not default_storage.exists(job.records.name)


def test_two_answer_files_are_imported_by_their_names():
    answer = {
        "question": "What?",
        "image_src": "http://x/a.png",
        "model_answer": "Red.",
        "image_content": [],
    }
    project = make_project()
    job = ImportJob.objects.create(
        project=project,
        created_by=make_member(project, "manager"),
        format="mmhal",
        name="one.json, two.json",
        records=ContentFile(json.dumps([answer]).encode(), name="one.json"),
        second_records=ContentFile(
            json.dumps([{**answer, "model_answer": "Blue."}]).encode(), name="two.json"
        ),
        images=uploads(images={"a.png": picture_bytes()})["images"],
    )
    tasks.run_import(job.pk)
    comparison = Comparison.objects.get()
    assert (comparison.model_1, comparison.model_2) == ("one", "two")


def test_a_job_is_carried_out_once():
    job, _ = run(make_project(), **uploads(record(1), images={"a.png": picture_bytes()}))
    finished_at = job.finished_at
    tasks.run_import(job.pk)
    job.refresh_from_db()
    assert (job.finished_at, job.created_count) == (finished_at, 1)


def test_an_error_of_the_program_ends_the_job_and_is_raised(monkeypatch):
    monkeypatch.setattr("annotation.importing.import_files", lambda *a, **k: 1 / 0)
    job = ImportJob.objects.create(
        project=make_project(), created_by=make_admin(), **uploads(record(1))
    )
    with pytest.raises(ZeroDivisionError):
        tasks.run_import(job.pk)
    job.refresh_from_db()
    assert job.state == "failed"
    assert "administrator" in job.problems[0]["reason"]


def test_a_worker_is_told_when_the_request_is_durable(sent, django_capture_on_commit_callbacks):
    project = make_project()
    with django_capture_on_commit_callbacks(execute=True):
        job = jobs.request_import(project, make_user(), **uploads(record(1)))
        assert not sent
    assert sent == [("annotation.tasks.run_import", job.pk)]


def test_a_request_that_is_rolled_back_tells_nobody(sent, django_capture_on_commit_callbacks):
    with (
        django_capture_on_commit_callbacks(execute=True),
        pytest.raises(ZeroDivisionError),
        transaction.atomic(),
    ):
        jobs.request_import(make_project(), make_user(), **uploads(record(1)))
        raise ZeroDivisionError
    assert not sent


def test_beat_announces_what_was_forgotten(sent, monkeypatch):
    project = make_project(k=1)
    judge(make_comparison(project))
    fresh = ImportJob.objects.create(project=project, **uploads(record(1)))
    old = ImportJob.objects.create(project=project, **uploads(record(1)))
    ImportJob.objects.filter(pk=old.pk).update(created_at="2020-01-01T00:00Z")
    lost = ImportJob.objects.create(project=project, **uploads(record(1)), state="running")
    ImportJob.objects.filter(pk=lost.pk).update(
        created_at="2020-01-01T00:00Z", beat_at="2020-01-01T00:00Z"
    )
    alive = ImportJob.objects.create(project=project, **uploads(record(1)), state="running")
    ImportJob.objects.filter(pk=alive.pk).update(started_at="2020-01-01T00:00Z", beat_at=Now())
    release = jobs.queue_release(project, None)
    Release.objects.update(created_at="2020-01-01T00:00Z")
    monkeypatch.setattr(wakeup, "is_empty", lambda queue: queue != "cpu")
    tasks.announce_forgotten_jobs()
    assert sent == []  # Messages wait there: no worker has taken them.
    monkeypatch.setattr(wakeup, "is_empty", lambda queue: queue == "cpu")
    tasks.announce_forgotten_jobs()
    assert sorted(sent) == [
        ("annotation.tasks.build_release", release.pk),
        ("annotation.tasks.run_import", old.pk),
        ("annotation.tasks.run_import", lost.pk),
    ]
    fresh.refresh_from_db()
    alive.refresh_from_db()
    assert (fresh.state, alive.state) == ("queued", "running")


@pytest.mark.django_db(transaction=True)
def test_an_import_that_takes_long_says_meanwhile_that_its_worker_lives(monkeypatch):
    job = ImportJob.objects.create(
        project=make_project(), created_by=make_admin(), **uploads(record(1))
    )
    beats = []

    def slow(*arguments, **options):
        deadline = time.monotonic() + 60
        while len(set(beats)) < 3 and time.monotonic() < deadline:
            beats.append(ImportJob.objects.get(pk=job.pk).beat_at)
        return Imported(created=1, unchanged=0)

    monkeypatch.setattr("config.heartbeats.BEAT_SECONDS", 0.01)
    monkeypatch.setattr("annotation.importing.import_files", slow)
    tasks.run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.created_count) == ("succeeded", 1)
    assert len(set(beats)) == 3
    assert beats == sorted(beats)
    assert all(not thread.name.startswith("beat of") for thread in threading.enumerate())


def test_a_worker_builds_a_queued_release(sent):
    project = make_project(k=1)
    judge(make_comparison(project))
    release = jobs.queue_release(project, make_user(), seed=3)
    tasks.build_release(release.pk)
    release.refresh_from_db()
    assert (release.state, release.seed) == ("ready", 3)


@pytest.mark.django_db(transaction=True)
def test_a_worker_does_not_wait_for_another_that_builds_the_release(sent):
    project = make_project(k=1)
    judge(make_comparison(project))
    release = jobs.queue_release(project, None)

    def build_elsewhere():
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '1s'")
            tasks.build_release(release.pk)

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        Release.objects.select_for_update(no_key=True).get(pk=release.pk)
        pool.submit(build_elsewhere).result()
        release.refresh_from_db()
        assert release.state == "building"


def test_beat_gives_expired_leases_back():
    project = make_project(k=1)
    comparison = make_comparison(project)
    queue.claim(project, make_member(project))
    Assignment.objects.update(expires_at=F("leased_at"))
    tasks.return_expired_leases()
    comparison.refresh_from_db()
    assert comparison.open_slots == 1
