"""Runs are announced when they are ready, and again when that was lost."""

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from config import wakeup
from tests.announcing import all_announced
from tests.training.factories import make_run
from training import tasks
from training.runs import scheduling

pytestmark = pytest.mark.django_db(transaction=True)


QUEUE = "runs-of-a-test"


@pytest.fixture
def broker(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """The real broker; runs are announced to a queue of this test, which is empty."""
    monkeypatch.setattr(wakeup, "queue_of", lambda task: QUEUE)
    with redis.from_url(settings.REDIS_URL) as client:
        client.delete(QUEUE)
        yield client
        client.delete(QUEUE)


def announced(broker: redis.Redis) -> list[int]:
    """Ids in the order of their announcement; the queue is empty afterwards."""
    all_announced()
    messages = [json.loads(text) for text in broker.lrange(QUEUE, 0, -1)]
    broker.delete(QUEUE)
    return [json.loads(b64decode(message["body"]))[0][0] for message in reversed(messages)]


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


def test_beat_announces_again_what_was_flushed(broker: redis.Redis) -> None:
    runs = [make_run(), make_run()]
    announced(broker)
    tasks.announce_ready_runs()
    assert announced(broker) == [run.pk for run in runs]


def test_beat_adds_nothing_while_messages_wait(broker: redis.Redis) -> None:
    make_run()
    all_announced()
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
