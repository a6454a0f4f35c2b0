"""A job that cannot succeed ends, with its reason, after a few attempts: every kind of job.

Three poisons: work that raises, work whose reason cannot be written either, and work that kills its
worker, which writes nothing at all. Beat goes on announcing for as long as it would in reality.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db.models import Model
from django.db.models.functions import Now

from annotation import jobs
from annotation.machine import labelling
from annotation.models import Delivery, ImportJob, MachineLabelling, Release, Webhook
from annotation.notices import delivering
from annotation.releases import freezing
from annotation.storage import StorageTrouble
from benchmark import evaluating
from benchmark.judging import work
from benchmark.labelling import work as labelling_work
from config import poison_jobs, wakeup
from config.celery import app
from tests.benchmark.factories import make_judge, waiting
from tests.factories import (
    judge,
    make_admin,
    make_comparison,
    make_comparisons,
    make_project,
    make_user,
)
from training.checkpoints import base_imports
from training.models import BaseImport

BEATS = 12


class Killed(BaseException):
    """What kill -9 is to a worker: nothing behind it is carried out."""


@dataclass(frozen=True)
class Kind:
    """How a kind of job is asked for, tried and announced again, and where its work is done."""

    make: Callable[[], Model]
    tried: Callable[[int], None]
    announced: Callable[[], object]
    place: tuple[Any, str]
    waits: dict[str, Any]
    """What tells beat that nobody is at it."""
    busy: tuple[str, ...]
    """The states in which it may still be tried."""


def an_import() -> ImportJob:
    records = ContentFile(b"{}", name="pairs.jsonl")
    asking = {"project": make_project(), "created_by": make_admin()}
    return ImportJob.objects.create(**asking, name="pairs.jsonl", records=records)


def a_release() -> Release:
    project = make_project(k=1)
    judge(make_comparison(project))
    return freezing.request_release(project)


def a_base_import() -> BaseImport:
    return BaseImport.objects.create(name="x", source="owner/name", created_by=make_user())


def a_delivery() -> Delivery:
    webhook = Webhook.objects.create(name="lab", address="https://hooks.example.org/")
    return Delivery.objects.create(webhook=webhook, event="one")


def a_labelling() -> MachineLabelling:
    project = make_project(k=1)
    make_comparisons(project, 70)
    judge = make_judge(base_url="http://127.0.0.1:9/v1")
    asked = {"level": 0.05, "confidence": 0.95, "audit_share": 0, "sample_size": 60}
    return labelling.request(project, None, machine=f"judge:{judge.pk}", comparisons=100, **asked)


LONG_AGO = Now() - timedelta(hours=1)
KINDS = {
    "import": Kind(
        an_import,
        jobs.run_import,
        jobs.announce_forgotten,
        (jobs, "_import"),
        {"beat_at": LONG_AGO, "created_at": LONG_AGO},
        ("queued", "running"),
    ),
    "release": Kind(
        a_release,
        jobs.build_release,
        jobs.announce_forgotten,
        (freezing, "_freeze"),
        {"created_at": LONG_AGO},
        ("building",),
    ),
    "evaluation": Kind(
        lambda: waiting(make_judge(base_url="http://127.0.0.1:9/v1")),
        work.judge,
        evaluating.resume_judging,
        (work, "_ask"),
        {"created_at": LONG_AGO},
        ("judging",),
    ),
    "machine labelling": Kind(
        a_labelling,
        labelling_work.label,
        labelling.watch,
        (labelling_work, "_ask"),
        {"created_at": LONG_AGO},
        ("labelling",),
    ),
    "base import": Kind(
        a_base_import,
        base_imports.run_import,
        base_imports.announce_forgotten,
        (base_imports, "_import"),
        {"touched_at": LONG_AGO, "created_at": LONG_AGO},
        ("queued", "running"),
    ),
    "delivery": Kind(
        a_delivery,
        delivering.deliver,
        delivering.deliver_waiting,
        (delivering, "_post"),
        {"next_try_at": LONG_AGO},
        ("waiting",),
    ),
}
# Runs have attempts of their own (training.runs.scheduling); the rest is done at once or by beat.
NOT_JOBS = {
    "annotation.tasks.announce_forgotten_jobs",
    "annotation.tasks.deliver_waiting_notices",
    "annotation.tasks.refresh_figures",
    "annotation.tasks.return_expired_leases",
    "annotation.tasks.tidy",
    "annotation.tasks.watch_machine_labels",
    "annotation.tasks.watch_projects",
    "benchmark.tasks.resume_judging",
    "training.tasks.announce_forgotten_imports",
    "training.tasks.announce_ready_runs",
    "training.tasks.reap_lost_runs",
    "training.tasks.tidy_storage",
    "training.tasks.watch_disks",
}
JOBS = {
    "annotation.tasks.run_import",
    "annotation.tasks.build_release",
    "annotation.tasks.deliver_notice",
    "benchmark.tasks.judge_evaluation",
    "benchmark.tasks.label_by_judge",
    "training.tasks.import_base",
    "training.tasks.execute_run",
}


def test_every_task_is_known_to_be_a_job_or_none() -> None:
    app.loader.import_default_modules()
    ours = ("annotation.", "benchmark.", "training.", "demo.")
    assert {name for name in app.tasks if name.startswith(ours)} == JOBS | NOT_JOBS


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    ids: list[int] = []
    monkeypatch.setattr(wakeup, "is_empty", lambda queue: True)
    monkeypatch.setattr(wakeup, "announce", lambda task, found, **_: ids.extend(found))
    return ids


@pytest.mark.django_db
@pytest.mark.parametrize("poison", [RuntimeError("boom"), ValueError("a\0b"), Killed()], ids=repr)
@pytest.mark.parametrize("writable", [True, False], ids=["", "unwritable"])
@pytest.mark.parametrize("name", KINDS)
def test_a_poisoned_job_ends_after_a_few_attempts(
    name: str,
    writable: bool,
    poison: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    announced: list[int],
) -> None:
    kind = KINDS[name]
    job = kind.make()
    tried = []

    def poisoned(*_: Any, **__: Any) -> Any:
        tried.append(1)
        raise poison

    monkeypatch.setattr(*kind.place, poisoned)
    if not writable:
        monkeypatch.setattr(poison_jobs, "reason", lambda error: "half of \ud800")
    rows = type(job)._default_manager.filter(pk=job.pk)
    try_it(kind, job.pk)
    for _ in range(BEATS):
        rows.filter(state__in=kind.busy).update(**kind.waits)
        announced.clear()
        kind.announced()
        if job.pk in announced:
            try_it(kind, job.pk)
    ended = rows.get()
    assert ended.state == "failed"
    assert 1 <= len(tried) <= poison_jobs.MOST_ATTEMPTS
    said = str([getattr(ended, name, "") for name in ("error", "problems", "said")])
    expected = poison_jobs.GIVEN_UP if isinstance(poison, Killed) else poison_jobs.FAULT
    told = (
        isinstance(poison, ValueError) and name in ("evaluation", "machine labelling") and writable
    )
    assert ("a\ufffdb" if told else expected) in said


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"delivery"}))
def test_trouble_with_storage_is_said_in_its_own_words(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = KINDS[name]
    job = kind.make()

    def troubled(*_: Any, **__: Any) -> Any:
        raise StorageTrouble("storage is full; look at FACTLOOP_VAR")

    monkeypatch.setattr(*kind.place, troubled)
    kind.tried(job.pk)
    ended = type(job)._default_manager.get(pk=job.pk)
    assert ended.state == "failed"
    said = str([getattr(ended, name, "") for name in ("error", "problems")])
    assert "storage is full; look at FACTLOOP_VAR" in said


def try_it(kind: Kind, pk: int) -> None:
    with contextlib.suppress(Exception, Killed):
        kind.tried(pk)
