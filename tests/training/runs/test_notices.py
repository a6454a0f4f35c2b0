"""Who asked for a run is told how it ended, in the transaction that ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from annotation.models import Notice
from tests.factories import make_admin
from tests.training.factories import make_run
from tests.training.runs.test_scheduling import claim, fail, give_back, lose, succeed
from training.figures import health
from training.models import Attempt, Run
from training.runs import scheduling

pytestmark = pytest.mark.django_db


def told(run: Run) -> list[str]:
    return list(Notice.objects.filter(person=run.requested_by).values_list("kind", flat=True))


@pytest.mark.parametrize(
    ("end", "kinds"),
    [
        (succeed, ["run_finished"]),
        (fail, ["run_failed"]),
        (scheduling.stopped, []),
        (lose, []),
        (give_back, []),
    ],
)
def test_an_end_is_told_and_a_return_to_the_queue_is_not(
    end: Callable[[Attempt], Any], kinds: list[str]
) -> None:
    run = make_run()
    end(claim(run))
    assert told(run) == kinds


def test_a_run_whose_last_worker_vanished_is_told_as_lost() -> None:
    run = make_run()
    Run.objects.filter(pk=run.pk).update(max_attempts=1)
    lose(claim(run))
    assert told(run) == ["run_lost"]
    assert "it vanished" in Notice.objects.get().title


def test_a_resumed_run_is_told_of_again() -> None:
    run = make_run()
    fail(claim(run))
    run.refresh_from_db()
    assert scheduling.resume(run)
    fail(claim(run))
    assert told(run) == ["run_failed", "run_failed"]


def test_a_stop_by_the_kl_is_told_beside_the_end() -> None:
    run = make_run()
    Run.objects.filter(pk=run.pk).update(settings={"kl_stop": 5.0})
    run.metrics.create(name="ppo/kl", step=1, value=3.0)
    run.metrics.create(name="ppo/kl", step=2, value=6.5)
    succeed(claim(run))
    assert sorted(told(run)) == ["kl_stop", "run_finished"]
    assert "the KL reached 6.5, the limit is 5" in Notice.objects.get(kind="kl_stop").title


def test_a_run_that_stayed_near_is_not_told_as_stopped() -> None:
    run = make_run()
    Run.objects.filter(pk=run.pk).update(settings={"kl_stop": 5.0})
    run.metrics.create(name="ppo/kl", step=1, value=6.0)
    run.metrics.create(name="ppo/kl", step=2, value=4.0)
    succeed(claim(run))
    assert told(run) == ["run_finished"]


def test_a_disk_that_fills_is_told_to_superusers_once(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = make_admin()
    for free in (0.5, 0.05, 0.04, 0.12, 0.05, 0.4, 0.05):
        monkeypatch.setattr(health, "free_disk_share", lambda free=free: free)
        health.watch_disks()
    found = Notice.objects.filter(kind="disk_nearly_full", person=admin)
    assert found.count() == 2
    assert "5 % free" in found.last().title  # type: ignore[union-attr]
