"""Redis is a hint: refusing, hanging or gone, nobody waits for it and nobody fails."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from django.core.files.base import ContentFile

from annotation import jobs
from benchmark import evaluating
from config import wakeup
from tests.announcing import all_announced
from tests.benchmark.factories import make_evaluation
from tests.factories import judge, make_comparison, make_project, make_user
from tests.training.factories import make_run
from tests.training.fake_app import fake_kinds
from training.checkpoints import base_imports
from training.runs import scheduling

TASK = "annotation.tasks.build_release"


def use_broker(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    app = Celery("elsewhere", set_as_current=False)
    app.conf.update(
        broker_url=url,
        broker_transport_options=wakeup.app.conf.broker_transport_options,
        task_publish_retry=wakeup.app.conf.task_publish_retry,
    )
    monkeypatch.setattr(wakeup, "app", app)


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What takes connections and never answers, as a hung Redis does; it is the broker."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        use_broker(monkeypatch, f"redis://127.0.0.1:{server.getsockname()[1]}/0")
        yield server


def test_redis_that_hangs_is_given_up(silent_server: socket.socket, caplog: Any) -> None:
    assert wakeup.announce(TASK, [5, 6]) == 0
    assert wakeup.announce_unless_pending(TASK, [5, 6]) == 0
    assert f"{TASK} [5, 6] not announced, beat will do it" in caplog.text


@pytest.mark.parametrize("url", ["redis+socket:///nowhere.sock", "redis://127.0.0.1:1/0"])
def test_redis_that_is_away_is_no_error(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    use_broker(monkeypatch, url)
    assert wakeup.announce(TASK, [5]) == 0
    assert wakeup.announce_unless_pending(TASK, [5]) == 0
    assert "not announced, beat will do it" in caplog.text


def ask_for_import() -> None:
    records = ContentFile(b"{}", name="pairs.jsonl")
    jobs.request_import(make_project(), make_user(), records=records)


def ask_for_release() -> None:
    project = make_project(k=1)
    judge(make_comparison(project))
    jobs.queue_release(project, make_user())


def ask_for_run() -> None:
    fake_kinds.register_all()
    make_run()


REQUESTS: dict[str, Callable[[], Any]] = {
    "an import": ask_for_import,
    "a release": ask_for_release,
    "a run": ask_for_run,
    "an evaluation": lambda: make_evaluation([6]),
    "a base model": lambda: base_imports.request_import(
        make_user(), name="base", source="lab/base", copy=False
    ),
}


@pytest.mark.django_db
@pytest.mark.parametrize("what", REQUESTS)
def test_who_asks_does_not_wait_for_redis_that_hangs(
    what: str,
    silent_server: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    """The request was answered while Redis, which is waited for 60 s, still said nothing."""
    monkeypatch.setattr(wakeup, "PATIENCE_SECONDS", 60)
    with django_capture_on_commit_callbacks(execute=True):
        REQUESTS[what]()
    silent, _ = silent_server.accept()
    assert [thread.name for thread in threading.enumerate()].count("announce") == 1
    silent_server.close()
    silent.close()
    all_announced()


@pytest.mark.parametrize(
    ("task", "queue"),
    [
        (jobs.IMPORT, "cpu"),
        (jobs.RELEASE, "cpu"),
        (base_imports.TASK, "cpu"),
        (evaluating.TASK, "cpu"),
        (scheduling.EXECUTE, "gpu"),
        ("training.tasks.reap_lost_runs", "default"),
    ],
)
def test_work_goes_to_the_workers_that_do_it(task: str, queue: str) -> None:
    assert wakeup.queue_of(task) == queue
