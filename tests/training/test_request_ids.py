"""A run's log lines carry the number of the request that asked for it, from web to heartbeat."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError
from django.urls import reverse

from config import logs
from tests.factories import make_admin
from tests.training.factories import make_run
from tests.training.test_views import logged_in
from training.models import Attempt, Run
from training.runs import execution, scheduling
from training.runs.heartbeat import Heartbeat

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    """What is logged from now on, as it is written, from any thread."""
    written: list[dict[str, Any]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(json.loads(logs.JsonFormatter().format(record)))

    caplog.set_level(logging.INFO)
    handler = Handler()
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def asked_in(request_id: str) -> Run:
    with logs.about(request_id=request_id):
        return make_run(script={"steps": 1})


def claimed(run: Run) -> Attempt:
    attempt = scheduling.claim(run.pk, host="here", gpus=0)
    assert attempt is not None
    return attempt


def test_a_worker_says_which_request_it_works_for(lines: list[dict[str, Any]]) -> None:
    run = asked_in("of-a-page")
    lines.clear()
    execution.execute(run.pk)
    of_the_run = [line for line in lines if line.get("run_id") == run.pk]
    assert any("begins" in line["message"] for line in of_the_run)
    assert {line["request_id"] for line in of_the_run} == {"of-a-page"}
    assert logs.request_id() == ""


def test_so_does_its_heartbeat(
    lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, beaten = claimed(asked_in("of-a-page")), threading.Event()

    def away(*_: Any) -> None:
        beaten.set()
        raise DatabaseError("it is away")

    monkeypatch.setattr(scheduling, "heartbeat", away)
    with Heartbeat(attempt, claimed_at=time.monotonic()):
        assert beaten.wait(60)
    line = next(line for line in lines if "lease not renewed" in line["message"])
    assert (line["request_id"], line["run_id"]) == ("of-a-page", attempt.run_id)


def test_who_resumes_a_run_and_what_waits_for_it_is_the_one_it_works_for() -> None:
    first = asked_in("first")
    second = make_run(kind="fake_ppo", after=first)
    scheduling.fail(claimed(first), "it failed")
    client = logged_in(make_admin())
    address = reverse("training:run-resume", args=[first.pk])
    client.post(address, headers={"X-Request-ID": "of-the-button"})
    queued = Run.objects.filter(pk__in=[first.pk, second.pk])
    assert set(queued.values_list("state", "request_id")) == {("queued", "of-the-button")}


def test_a_run_that_no_request_asked_for_says_nothing_of_one() -> None:
    assert claimed(make_run()).log_fields.keys() == {"run_id", "attempt"}
