"""What Prometheus is told."""

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.utils import timezone

from annotation.models import Judgment
from tests.factories import judge, make_comparison
from tests.training.factories import make_run
from training.figures import prometheus
from training.models import Attempt, Run
from training.runs import scheduling

pytestmark = pytest.mark.django_db


def test_figures_count_runs_waits_messages_and_labels(settings: Any) -> None:
    claimed, _ = make_run(), make_run()
    attempt = scheduling.claim(claimed.pk, host="node", gpus=0)
    assert attempt is not None
    Run.objects.filter(pk=claimed.pk).update(created_at=attempt.claimed_at - timedelta(seconds=8))
    Attempt.objects.create(
        run=claimed,
        number=2,
        token="0" * 32,
        host="node",
        pid=1,
        claimed_at=attempt.claimed_at + timedelta(hours=1),
        heartbeat_at=attempt.claimed_at,
        lease_expires_at=attempt.claimed_at,
    )
    judge(make_comparison(claimed.project))
    with redis.from_url(settings.REDIS_URL) as client:
        client.rpush("gpu", "a message")
        waiting = client.llen("gpu")
        lines = prometheus.text().splitlines()
        client.rpop("gpu")
    for line in (
        'factloop_runs{state="queued"} 1',
        'factloop_runs{state="running"} 1',
        'factloop_runs{state="lost"} 0',
        "factloop_runs_ready 1",
        f'factloop_queue_messages{{queue="gpu"}} {waiting}',
        'factloop_run_claim_seconds{statistic="mean"} 8.0',
        "factloop_judgments_last_hour 1",
        "# TYPE factloop_runs gauge",
    ):
        assert line in lines


def test_a_run_of_a_chain_waits_from_the_end_of_the_one_before() -> None:
    first = make_run()
    second = make_run(after=first)
    now = timezone.now()
    Run.objects.filter(pk=first.pk).update(state="succeeded", finished_at=now)
    Run.objects.filter(pk=second.pk).update(created_at=now - timedelta(hours=9))
    attempt = scheduling.claim(second.pk, host="node", gpus=0)
    assert attempt is not None
    Attempt.objects.filter(pk=attempt.pk).update(claimed_at=now + timedelta(seconds=3))
    assert 'factloop_run_claim_seconds{statistic="greatest"} 3.0' in prometheus.text()


def test_gpus_of_runs_that_go_on_are_told_with_their_host() -> None:
    attempt = scheduling.claim(make_run(gpus=1).pk, host='a "node"', gpus=2)
    assert attempt is not None
    gpu = {"index": 0, "utilisation": 0.87, "memory": 61_000_000, "memory_total": 80_000_000}
    Attempt.objects.filter(pk=attempt.pk).update(usage={"gpus": [gpu]})
    lines = prometheus.text().splitlines()
    for line in (
        'factloop_gpu_slots{state="used"} 1',
        'factloop_gpu_slots{state="free"} 1',
        'factloop_gpu_utilisation_ratio{host="a \\"node\\"",index="0"} 0.87',
        'factloop_gpu_memory_bytes{host="a \\"node\\"",index="0"} 61000000',
    ):
        assert line in lines
    scheduling.fail(attempt, "the data is unusable")
    ended = prometheus.text()
    assert 'factloop_attempts_last_hour{outcome="failed"} 1' in ended
    assert "factloop_gpu_memory_bytes" not in ended


def test_the_label_rate_reads_an_index_and_not_all_judgments(db: None) -> None:
    recent = Judgment.objects.filter(created_at__gte=timezone.now() - timedelta(hours=1))
    with connection.cursor() as cursor:
        # The table is as good as empty here: any way through it costs the same. What is left then
        # is a bitmap of the rows that an index names by the condition.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
        plan = recent.explain()
    assert "judgment_by_time" in plan
