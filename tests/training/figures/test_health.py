"""What is said about each part while it is well and while it is not."""

from collections import namedtuple
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from config import wakeup
from tests.factories import make_admin
from tests.training.factories import make_run
from tests.training.processes import wait_for
from tests.training.workers import celery_worker
from training import tasks
from training.figures import health, prometheus
from training.models import Run
from training.runs import scheduling

pytestmark = pytest.mark.django_db

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def key_of_this_test(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health, "BEAT_KEY", "factloop:beat-of-a-test")
    real = settings.REDIS_URL
    yield
    with redis.from_url(real) as client:
        client.delete("factloop:beat-of-a-test")


def by_name() -> dict[str, health.Check]:
    return {check.name: check for check in health.checks()}


def test_without_worker_and_beat_that_is_said() -> None:
    found = by_name()
    unwell = {name for name, check in found.items() if not check.ok}
    assert unwell == {"Worker on gpu", "Worker on cpu", "Beat"}
    assert "celery -A config beat" in found["Beat"].remedy


def test_a_task_of_beat_proves_it() -> None:
    tasks.reap_lost_runs()
    assert by_name()["Beat"].ok


def test_a_worker_is_found_by_the_queue_it_listens_to(monkeypatch: pytest.MonkeyPatch) -> None:
    class Inspect:
        def __init__(self, **_: Any) -> None: ...

        def active_queues(self) -> dict[str, list[dict[str, str]]]:
            return {"a@host": [{"name": "cpu"}], "b@host": [{"name": "cpu"}, {"name": "gpu"}]}

    monkeypatch.setattr(wakeup.app.control, "inspect", Inspect)
    found = by_name()
    assert (found["Worker on gpu"].ok, found["Worker on gpu"].seen) == (True, "answering: b@host")
    assert found["Worker on cpu"].seen == "answering: a@host, b@host"


@pytest.fixture
def redis_is_away(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    def refuse() -> Any:
        raise ConnectionRefusedError

    monkeypatch.setattr(wakeup, "patient_connection", refuse)


def test_redis_away_is_said_and_stops_nothing(redis_is_away: None) -> None:
    found = by_name()
    assert not found["Redis"].ok
    assert "Redis is away" in found["Beat"].seen
    tasks.reap_lost_runs()
    assert "factloop_queue_messages" not in prometheus.text()
    assert "factloop_beat_age_seconds" not in prometheus.text()
    assert Client().get("/healthz/ready").status_code == 200


@pytest.mark.parametrize(("free", "ok"), [(9, False), (10, True)])
def test_a_disk_is_nearly_full_below_a_tenth(
    free: int, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health.shutil, "disk_usage", lambda _: Usage(100, 100 - free, free))
    assert by_name()["Disk"].ok is ok


@pytest.mark.parametrize(("free", "ok"), [(0.04, False), (0.4, True)])
def test_disks_of_workers_are_known_from_their_runs(free: float, ok: bool) -> None:
    attempt = scheduling.claim(make_run().pk, host="node-7", gpus=0)
    assert attempt is not None
    assert by_name()["Disks of workers"].ok
    scheduling.heartbeat(attempt, {"disk_free": free})
    found = by_name()["Disks of workers"]
    assert (found.ok, found.seen) == (ok, f"{free * 100:.0f} % free on node-7")


def test_runs_that_nobody_begins_are_noticed() -> None:
    run = make_run()
    assert by_name()["Runs"].ok
    Run.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(minutes=6))
    assert by_name()["Runs"].seen.startswith("1 ready")
    assert not by_name()["Runs"].ok


def test_the_page_names_what_is_unwell() -> None:
    client = Client()
    client.force_login(make_admin())
    page = client.get("/training/health/").content.decode()
    assert "3 of 8 parts need" in page
    assert "Silent for 60 s or more" in page


def test_probes_need_no_login_and_notice_a_database_that_is_away(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert [Client().get(f"/healthz/{name}").status_code for name in ("live", "ready")] == [
        200,
        200,
    ]

    def away() -> Any:
        raise OperationalError

    monkeypatch.setattr(connection, "cursor", away)
    assert [Client().get(f"/healthz/{name}").status_code for name in ("live", "ready")] == [
        200,
        503,
    ]


def test_figures_are_read_with_the_token_or_by_an_admin(settings: Any) -> None:
    client = Client()

    def status(token: str) -> int:
        return client.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code

    assert [status(""), status("secret")] == [401, 401]
    settings.METRICS_TOKEN = "secret"
    assert [status("secret"), status("other"), status("")] == [200, 401, 401]
    client.force_login(make_admin())
    assert client.get("/metrics").status_code == 200


@pytest.mark.chain
@pytest.mark.django_db(transaction=True)
def test_a_real_worker_is_found(tmp_path: Path) -> None:
    with celery_worker(tmp_path):
        wait_for(lambda: by_name()["Worker on gpu"].ok)
