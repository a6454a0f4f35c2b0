"""Transitions of a run, who may make them, and that races have one winner."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from tests.training.factories import make_run
from training.models import Attempt, GpuSlot, Run, State
from training.runs import scheduling
from training.runs.scheduling import Fenced

pytestmark = pytest.mark.django_db
with_threads = pytest.mark.django_db(transaction=True)


def claim(run: Run, *, host: str = "here", gpus: int = 0) -> Attempt:
    attempt = scheduling.claim(run.pk, host=host, gpus=gpus)
    assert attempt is not None
    return attempt


def succeed(attempt: Attempt) -> None:
    with scheduling.holding(attempt):
        scheduling.finish(attempt)


def fail(attempt: Attempt) -> None:
    scheduling.fail(attempt, "it broke")


def lose(attempt: Attempt) -> None:
    scheduling.lose(attempt, "it vanished")


def expire_lease(attempt: Attempt) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(lease_expires_at=Now() - timedelta(seconds=1))


def give_back(attempt: Attempt) -> None:
    scheduling.give_back(attempt, "its worker was stopped")


@pytest.mark.parametrize(
    ("end", "state", "outcome"),
    [
        (succeed, State.SUCCEEDED, State.SUCCEEDED),
        (fail, State.FAILED, State.FAILED),
        (scheduling.stopped, State.CANCELLED, State.CANCELLED),
        (lose, State.QUEUED, State.LOST),
        (give_back, State.QUEUED, State.QUEUED),
    ],
)
def test_a_running_run_ends_as_its_worker_says(
    end: Callable[[Attempt], Any], state: State, outcome: State
) -> None:
    attempt = claim(make_run())
    end(attempt)
    run = Run.objects.get(pk=attempt.run_id)
    attempt.refresh_from_db()
    assert (run.state, run.token, attempt.outcome) == (state, None, outcome)
    assert (run.finished_at is not None) == run.ended
    assert attempt.ended_at is not None


@pytest.mark.parametrize("state", [State.RUNNING, *State.values[2:]])
def test_only_a_queued_run_can_be_claimed(state: str) -> None:
    run = make_run()
    ended = state != State.RUNNING
    Run.objects.filter(pk=run.pk).update(
        state=state,
        started_at=Now(),
        finished_at=Now() if ended else None,
        token=None if ended else "00000000-0000-0000-0000-000000000001",
    )
    assert scheduling.claim(run.pk, host="here", gpus=0) is None


def test_claim_gives_a_lease_by_the_database_clock_and_counts_the_attempt(settings: Any) -> None:
    settings.RUN_LEASE_SECONDS = 40
    attempt = claim(make_run())
    assert attempt.number == attempt.run.attempt_count == 1
    assert attempt.lease_expires_at - attempt.claimed_at == timedelta(seconds=40)
    assert attempt.run.token == attempt.token
    assert attempt.run.started_at is not None


@with_threads
def test_of_many_claims_at_once_one_wins() -> None:
    run = make_run()
    won: list[Attempt] = []
    everybody = threading.Barrier(16)

    def try_to_claim() -> None:
        try:
            everybody.wait()
            attempt = scheduling.claim(run.pk, host="here", gpus=0)
            if attempt is not None:
                won.append(attempt)
        finally:
            connection.close()

    threads = [threading.Thread(target=try_to_claim) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert Attempt.objects.filter(run=run).count() == 1


def test_an_old_token_changes_nothing() -> None:
    run = make_run()
    old = claim(run)
    lose(old)
    new = claim(run)
    for end in (succeed, fail, scheduling.stopped, lose):
        with pytest.raises(Fenced):
            end(old)
    with pytest.raises(Fenced), scheduling.holding(old):
        raise AssertionError("an attempt that was overtaken was let in")
    run.refresh_from_db()
    assert (run.state, run.token) == (State.RUNNING, new.token)
    assert not scheduling.heartbeat(old).held
    assert scheduling.heartbeat(new).held


@with_threads
def test_holding_keeps_the_reaper_out_until_the_write_is_done() -> None:
    attempt = claim(make_run())
    expire_lease(attempt)
    reaped: list[list[int]] = []

    def reap() -> None:
        try:
            reaped.append(scheduling.reap())
        finally:
            connection.close()

    reaper = threading.Thread(target=reap)
    with scheduling.holding(attempt):
        reaper.start()
        reaper.join(0.3)
        assert reaper.is_alive(), "the reaper passed a locked row"
        scheduling.finish(attempt)
    reaper.join()
    assert reaped == [[]]
    assert Run.objects.get(pk=attempt.run_id).state == State.SUCCEEDED


def test_reaper_takes_only_runs_whose_lease_is_over() -> None:
    silent, lively = claim(make_run()), claim(make_run())
    expire_lease(silent)
    assert scheduling.reap() == [silent.run_id]
    assert Run.objects.get(pk=silent.run_id).state == State.QUEUED
    assert Run.objects.get(pk=lively.run_id).state == State.RUNNING
    assert scheduling.reap() == []


def test_heartbeat_renews_the_lease_and_keeps_the_reaper_away() -> None:
    attempt = claim(make_run())
    expire_lease(attempt)
    assert scheduling.heartbeat(attempt) == scheduling.Beat(held=True, cancel_requested=False)
    assert scheduling.reap() == []


def test_a_run_is_lost_once_its_attempts_are_used_up() -> None:
    run = make_run(max_attempts=2)
    for expected in (State.QUEUED, State.LOST):
        attempt = claim(run)
        expire_lease(attempt)
        assert scheduling.reap() == [run.pk]
        run.refresh_from_db()
        assert run.state == expected
    assert "no word from here" in run.error
    assert scheduling.claim(run.pk, host="here", gpus=0) is None


def test_cancelling_a_queued_run_ends_it_at_once() -> None:
    run = make_run()
    assert scheduling.cancel(run)
    assert run.state == State.CANCELLED
    assert run.finished_at is not None


def test_cancelling_a_running_run_flags_it_for_its_worker() -> None:
    attempt = claim(make_run())
    assert scheduling.cancel(attempt.run)
    assert attempt.run.state == State.RUNNING
    assert scheduling.heartbeat(attempt).cancel_requested


def test_cancelling_an_ended_run_changes_nothing() -> None:
    attempt = claim(make_run())
    succeed(attempt)
    assert not scheduling.cancel(attempt.run)
    assert attempt.run.state == State.SUCCEEDED
    assert attempt.run.cancel_requested_at is None


def test_a_cancelled_run_whose_worker_vanishes_is_not_queued_again() -> None:
    attempt = claim(make_run())
    scheduling.cancel(attempt.run)
    expire_lease(attempt)
    scheduling.reap()
    assert Run.objects.get(pk=attempt.run_id).state == State.CANCELLED


@pytest.mark.parametrize("end", [fail, lose, scheduling.stopped])
def test_a_run_that_ended_badly_is_resumed_with_attempts_to_spare(
    end: Callable[[Attempt], Any],
) -> None:
    attempt = claim(make_run(max_attempts=1))
    end(attempt)
    run = Run.objects.get(pk=attempt.run_id)
    assert scheduling.resume(run)
    assert (run.state, run.error, run.finished_at) == (State.QUEUED, "", None)
    assert (run.attempt_count, run.max_attempts) == (1, 4)
    again = claim(run)
    assert again.number == 2
    assert not scheduling.heartbeat(again).cancel_requested


def test_only_a_run_that_ended_badly_is_resumed() -> None:
    attempt = claim(make_run())
    assert not scheduling.resume(attempt.run)
    succeed(attempt)
    assert not scheduling.resume(attempt.run)
    assert attempt.run.state == State.SUCCEEDED


def test_resuming_queues_again_what_ended_because_of_the_run() -> None:
    first, second, third = make_chain()
    apart = make_run(after=first)
    scheduling.cancel(apart)
    fail(claim(first))
    second.refresh_from_db()
    assert not scheduling.resume(second), "what it comes after has failed"
    assert scheduling.resume(first)
    states = [Run.objects.get(pk=run.pk).state for run in (first, second, third, apart)]
    assert states == [State.QUEUED] * 3 + [State.CANCELLED]
    assert scheduling.claim(second.pk, host="here", gpus=0) is None, "it waits as before"


def make_chain(**fields: Any) -> list[Run]:
    first = make_run(**fields)
    second = make_run(kind="fake_ppo", after=first)
    return [first, second, make_run(kind="fake_evaluation", after=second)]


def test_a_run_waits_until_the_one_before_it_has_succeeded() -> None:
    first, second, third = make_chain()
    assert list(Run.objects.ready()) == [first]
    assert scheduling.claim(second.pk, host="here", gpus=0) is None
    succeed(claim(first))
    assert list(Run.objects.ready()) == [second]
    succeed(claim(second))
    assert list(Run.objects.ready()) == [third]


@pytest.mark.parametrize(
    ("end", "state", "words"),
    [
        (fail, State.FAILED, "failed"),
        (scheduling.stopped, State.CANCELLED, "was cancelled"),
        (lose, State.FAILED, "was lost"),
    ],
)
def test_what_waits_for_a_run_ends_with_it_and_says_why(
    end: Callable[[Attempt], Any], state: State, words: str
) -> None:
    first, second, third = make_chain(max_attempts=1)
    end(claim(first))
    second.refresh_from_db()
    third.refresh_from_db()
    assert second.state == third.state == state
    assert second.error == f"not started: {first.name} (run {first.pk}) {words}"
    assert f"(run {second.pk})" in third.error


def test_cancelling_the_first_run_of_a_chain_cancels_the_rest() -> None:
    first, second, third = make_chain()
    scheduling.cancel(first)
    states = Run.objects.filter(pk__in=[second.pk, third.pk]).values_list("state", flat=True)
    assert set(states) == {State.CANCELLED}


def test_a_run_after_one_that_ended_badly_is_refused() -> None:
    first = make_run()
    fail(claim(first))
    first.refresh_from_db()
    run = Run(project=first.project, requested_by=first.requested_by, kind="x", after=first)
    with pytest.raises(scheduling.ParentEnded, match="failed"):
        scheduling.enqueue(run)
    assert Run.objects.count() == 1


def test_a_run_gets_gpus_of_its_host_or_is_not_claimed() -> None:
    first, second, third = (make_run(gpus=count) for count in (2, 1, 2))
    attempt = claim(first, gpus=3)
    assert [slot.index for slot in attempt.gpu_slots.all()] == [0, 1]
    assert scheduling.claim(third.pk, host="here", gpus=3) is None, "one GPU is not two"
    assert [slot.index for slot in claim(second, gpus=3).gpu_slots.all()] == [2]
    assert claim(third, host="elsewhere", gpus=2).gpu_slots.count() == 2


@pytest.mark.parametrize("end", [succeed, fail, scheduling.stopped, lose])
def test_gpus_are_free_again_when_the_attempt_ends(end: Callable[[Attempt], Any]) -> None:
    end(claim(make_run(gpus=2), gpus=2))
    assert GpuSlot.objects.filter(attempt=None).count() == 2


def test_a_host_without_gpus_does_not_take_a_run_that_needs_one() -> None:
    assert scheduling.claim(make_run(gpus=1).pk, host="here", gpus=0) is None


@with_threads
def test_gpus_are_never_shared_by_racing_claims() -> None:
    runs = [make_run(gpus=1) for _ in range(6)]
    everybody = threading.Barrier(len(runs))

    def try_to_claim(run: Run) -> None:
        try:
            everybody.wait()
            scheduling.claim(run.pk, host="here", gpus=2)
        finally:
            connection.close()

    threads = [threading.Thread(target=try_to_claim, args=[run]) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    holders = list(GpuSlot.objects.exclude(attempt=None).values_list("attempt__run", flat=True))
    running = Run.objects.filter(state=State.RUNNING)
    assert 1 <= len(holders) <= 2
    assert sorted(holders) == sorted(running.values_list("pk", flat=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "asleep"},
        {"state": State.SUCCEEDED},
        {"finished_at": Now()},
        {"state": State.RUNNING, "started_at": Now()},
        {"token": "00000000-0000-0000-0000-000000000001"},
        {"attempt_count": 99},
    ],
)
def test_the_database_refuses_an_impossible_run(wrong: dict[str, Any]) -> None:
    run = make_run()
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(**wrong)


@pytest.mark.parametrize("reason", ["a\0b", "half \ud800", "x" * 100_000])
def test_a_run_ends_whatever_its_reason_is_made_of(reason: str) -> None:
    run = make_run(max_attempts=1)
    scheduling.fail(claim(run), reason)
    run.refresh_from_db()
    assert run.state == State.FAILED and len(run.error) <= 2000
    assert run.error.startswith((reason[:1], "half"))
