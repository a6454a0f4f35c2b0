"""Redis is a hint: away, flushed or full of old messages, no run is lost and nobody waits."""

import json
import socket
import threading
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery

from tests.training.factories import make_run
from training import scheduling, tasks, wakeup
from training.models import Run, State

pytestmark = pytest.mark.django_db(transaction=True)


QUEUE = "runs-of-a-test"


@pytest.fixture
def broker(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """The real broker; runs are announced to a queue of this test, which is empty."""
    monkeypatch.setattr(wakeup, "QUEUE", QUEUE)
    with redis.from_url(settings.REDIS_URL) as client:
        client.delete(QUEUE)
        yield client
        client.delete(QUEUE)


def settle() -> None:
    """Wait for the threads that announce."""
    for thread in threading.enumerate():
        if thread.name == "announce runs":
            thread.join()


def announced(broker: redis.Redis) -> list[int]:
    """Ids in the order of their announcement; the queue is empty afterwards."""
    settle()
    messages = [json.loads(text) for text in broker.lrange(QUEUE, 0, -1)]
    broker.delete(QUEUE)
    return [json.loads(b64decode(message["body"]))[0][0] for message in reversed(messages)]


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Something that takes connections and never answers, as a hung Redis does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.fixture(params=["no socket", "no port", "hung"])
def redis_is_away(
    request: pytest.FixtureRequest, silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = {
        "no socket": "redis+socket:///nowhere.sock",
        "no port": "redis://127.0.0.1:1/0",
        "hung": silent_server,
    }
    app = Celery("away", set_as_current=False)
    app.conf.broker_transport_options = wakeup.app.conf.broker_transport_options
    app.conf.task_publish_retry = wakeup.app.conf.task_publish_retry
    app.conf.broker_url = away[request.param]
    monkeypatch.setattr(wakeup, "app", app)


def test_a_ready_run_is_announced_once_committed(broker: redis.Redis) -> None:
    run = make_run()
    make_run(kind="fake_ppo", after=run)
    assert announced(broker) == [run.pk]


def test_success_announces_what_comes_after(broker: redis.Redis) -> None:
    first = make_run()
    second = make_run(kind="fake_ppo", after=first)
    attempt = scheduling.claim(first.pk, host="here", gpus=0)
    assert attempt is not None
    announced(broker)
    with scheduling.holding(attempt):
        scheduling.finish(attempt)
    assert announced(broker) == [second.pk]


@pytest.mark.usefixtures("redis_is_away")
def test_a_run_is_queued_while_redis_is_away() -> None:
    run = make_run()
    settle()
    assert Run.objects.get(pk=run.pk).state == State.QUEUED
    assert scheduling.announce_ready() == 0


def test_who_asks_does_not_wait_for_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis hangs until the request has been answered: that it is answered is the proof."""
    answered, told = threading.Event(), threading.Event()

    def hang(run_ids: list[int]) -> int:
        assert answered.wait(60)
        told.set()
        return len(run_ids)

    monkeypatch.setattr(wakeup, "_announce", hang)
    make_run()
    answered.set()
    assert told.wait(60)


def test_beat_announces_again_what_was_flushed(broker: redis.Redis) -> None:
    runs = [make_run(), make_run()]
    announced(broker)
    tasks.announce_ready_runs()
    assert announced(broker) == [run.pk for run in runs]


def test_beat_adds_nothing_while_messages_wait(broker: redis.Redis) -> None:
    make_run()
    settle()
    for _ in range(3):
        tasks.announce_ready_runs()
    assert broker.llen(QUEUE) == 1


def test_a_lost_run_is_announced_again(broker: redis.Redis) -> None:
    run = make_run()
    attempt = scheduling.claim(run.pk, host="here", gpus=0)
    assert attempt is not None
    announced(broker)
    scheduling.lose(attempt, "it vanished")
    assert announced(broker) == [run.pk]
