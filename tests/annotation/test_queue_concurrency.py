"""Many people at once on real Postgres: exactly the judgments wanted, none lost, none doubled."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Count, F
from django.test import Client

from annotation import adjudication, bulk_actions, preferences, priorities, queue
from annotation.bulk_actions import Action, Change
from annotation.models import (
    Assignment,
    Comparison,
    Judgment,
    JudgmentVersion,
    MachineLabel,
    Project,
    Release,
    User,
)
from tests.factories import (
    judge,
    make_comparison,
    make_comparisons,
    make_machine_labelling,
    make_member,
    make_project,
    make_token,
)

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = 60


def at_once(action: Callable[[Any], Any], arguments: list[Any]) -> list[Any]:
    """``action`` of each argument in threads that start together, each on a connection its own."""
    ready = threading.Barrier(len(arguments))

    def run(argument: Any) -> Any:
        try:
            connection.ensure_connection()
            ready.wait(timeout=60)
            return action(argument)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(run, arguments))


def while_it_waits(action: Callable[[], Any], meanwhile: Callable[[], None]) -> Any:
    """What ``action`` gives, on a connection its own; ``meanwhile`` runs here, in the transaction
    that it waits for, once it does."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            list(Comparison.objects.order_by("pk").select_for_update(no_key=True)[:1])
            begun = pool.submit(at_once, lambda _: action(), [None])
            while not begun.done() and not waits_for_a_lock():
                pass
            meanwhile()
        return begun.result(timeout=60)[0]


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_stat_clear_snapshot(), EXISTS (SELECT 1 FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        return bool(cursor.fetchone()[1])


def work_until_done(project: Project, annotator: User) -> list[uuid.UUID]:
    """Claims and answers until there is nothing left; the client UUIDs of accepted answers."""
    ledger = []
    while (assignment := queue.claim(project, annotator)) is not None:
        client_uuid = uuid.uuid4()
        answer = queue.Answer(more_hallucinated=str(1 + assignment.comparison_id % 2))
        queue.submit(annotator, assignment.token, answer, client_uuid=client_uuid)
        ledger.append(client_uuid)
    return ledger


def assert_exactly(project: Project, k: int) -> None:
    assert not Comparison.objects.exclude(open_slots=0).exists()
    assert set(Comparison.objects.values_list("judgment_count", flat=True)) == {k}
    assert not Judgment.objects.filter(surplus=True).exists()
    counted = Comparison.objects.annotate(rows=Count("judgments"))
    assert not counted.exclude(rows=F("judgment_count")).exists()


def test_sixty_people_give_each_comparison_exactly_three_judgments():
    project = make_project(k=3)
    make_comparisons(project, 150)
    annotators = [make_member(project) for _ in range(CLIENTS)]
    ledgers = at_once(lambda annotator: work_until_done(project, annotator), annotators)
    assert_exactly(project, 3)
    sent = [client_uuid for ledger in ledgers for client_uuid in ledger]
    assert len(sent) == 450
    assert set(sent) == set(JudgmentVersion.objects.values_list("client_uuid", flat=True))


def test_sixty_people_and_sixty_items_leave_nobody_without_work():
    # Each gets one though all the others are locking rows: busy is not the same as none left.
    project = make_project(k=1)
    make_comparisons(project, CLIENTS)
    annotators = [make_member(project) for _ in range(CLIENTS)]
    claims = at_once(lambda annotator: queue.claim(project, annotator), annotators)
    assert None not in claims
    assert max(Counter(claim.comparison_id for claim in claims).values()) == 1


def test_sixty_people_and_ten_slots_hand_out_ten():
    project = make_project(k=10)
    make_comparison(project)
    annotators = [make_member(project) for _ in range(CLIENTS)]
    claims = at_once(lambda annotator: queue.claim(project, annotator), annotators)
    assert sum(claim is not None for claim in claims) == 10
    assert Assignment.objects.count() == 10


def test_one_person_asking_sixty_times_at_once_holds_one_lease():
    project = make_project(k=3)
    make_comparisons(project, 30)
    annotator = make_member(project)
    claims = at_once(lambda _: queue.claim(project, annotator), list(range(CLIENTS)))
    assert len({claim.token for claim in claims}) == 1
    assert Assignment.objects.count() == 1


def test_an_answer_sent_many_times_at_once_is_stored_once():
    project = make_project(k=3)
    make_comparison(project)
    annotator = make_member(project)
    token = queue.claim(project, annotator).token
    client_uuid = uuid.uuid4()
    answer = queue.Answer(more_hallucinated="1")
    stored = at_once(
        lambda _: queue.submit(annotator, token, answer, client_uuid=client_uuid), list(range(20))
    )
    assert sum(submission.created for submission in stored) == 1
    assert len({submission.judgment.pk for submission in stored}) == 1
    assert Comparison.objects.get().judgment_count == 1


def test_one_uuid_sent_for_two_comparisons_at_once_is_taken_for_one():
    project = make_project(k=1)
    make_comparisons(project, 2)
    annotator = make_member(project)
    first = queue.claim(project, annotator)
    second = queue.claim(project, annotator, ahead_of=[first.token])
    client_uuid = uuid.uuid4()

    def send(token: uuid.UUID) -> bool:
        answer = queue.Answer(more_hallucinated="1")
        try:
            queue.submit(annotator, token, answer, client_uuid=client_uuid)
        except queue.ClientUuidReused:
            return False
        return True

    assert sorted(at_once(send, [first.token, second.token])) == [False, True]
    assert Judgment.objects.count() == 1


def test_leases_that_expire_while_people_work_lose_and_double_nothing():
    project = make_project(k=2)
    make_comparisons(project, 60)
    workers = [make_member(project) for _ in range(20)]
    vanishing = [make_member(project) for _ in range(20)]

    def vanish(annotator: User) -> list[uuid.UUID]:
        for _ in range(5):
            assignment = queue.claim(project, annotator)
            if assignment is None:
                break
            mine = Assignment.objects.filter(pk=assignment.pk)
            mine.update(expires_at=F("leased_at"))
            queue.return_expired_leases()
        return []

    def act(annotator: User) -> list[uuid.UUID]:
        return vanish(annotator) if annotator in vanishing else work_until_done(project, annotator)

    at_once(act, workers + vanishing)
    # Whoever came last may have found the rest on lease to somebody who then vanished.
    queue.return_expired_leases()
    for annotator in workers:
        work_until_done(project, annotator)
    assert_exactly(project, 2)


def test_split_votes_ask_exactly_one_more_among_many():
    project = make_project(k=2, maximum=3)
    make_comparisons(project, 40)
    annotators = [make_member(project) for _ in range(CLIENTS)]

    def disagree(annotator: User) -> int:
        done = 0
        while (assignment := queue.claim(project, annotator)) is not None:
            answer = queue.Answer(more_hallucinated=str(1 + annotator.pk % 2))
            queue.submit(annotator, assignment.token, answer, client_uuid=uuid.uuid4())
            done += 1
        return done

    at_once(disagree, annotators)
    disagree(make_member(project))
    for comparison in Comparison.objects.prefetch_related("judgments"):
        votes = Counter(judgment.more_hallucinated for judgment in comparison.judgments.all())
        assert comparison.judgment_count == comparison.wanted_judgments == sum(votes.values())
        assert comparison.outcome == "decided"
        first_two_agree = len(votes) == 1
        assert comparison.judgment_count == (2 if first_two_agree else 3)


def test_edits_and_late_answers_at_once_do_not_wait_for_each_other_in_a_ring():
    project = make_project(k=5)
    comparison = make_comparison(project)
    annotators = [make_member(project) for _ in range(5)]
    for annotator in annotators:
        queue.claim(project, annotator)
    Assignment.objects.update(expires_at=F("leased_at"))
    tokens = dict(Assignment.objects.values_list("annotator_id", "token"))

    def act(index: int) -> None:
        annotator = annotators[index % 5]
        if index < 5:
            answer = queue.Answer(more_hallucinated="1")
            queue.submit(annotator, tokens[annotator.pk], answer, client_uuid=uuid.uuid4())
        else:
            queue.return_expired_leases()

    at_once(act, list(range(25)))
    comparison.refresh_from_db()
    assert (comparison.judgment_count, comparison.open_slots) == (5, 0)


def test_one_idempotency_key_sent_many_times_at_once_makes_one_release():
    project = make_project(k=1)
    judge(make_comparison(project))
    manager = make_member(project, "manager")
    token = make_token(manager)

    def send(_: int) -> tuple[int, Any]:
        client = Client(headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "once"})
        path = f"/api/v1/projects/{project.slug}/releases"
        response = client.post(path, {}, content_type="application/json")
        return response.status_code, response.json()

    answers = at_once(send, list(range(10)))
    assert [status for status, _ in answers] == [201] * 10
    assert len({body["id"] for _, body in answers}) == 1
    assert Release.objects.count() == 1


@pytest.mark.parametrize("who", ["a score", "a withdrawal", "a manager"])
def test_many_comparisons_are_locked_in_the_order_of_their_ids(who):
    """While the first is somebody else's, none of what comes after it is held."""
    project = make_project(k=1)
    first, second = make_comparisons(project, 2)
    Comparison.objects.filter(pk=first.pk).update(priority=1)
    judge(first)
    found = make_machine_labelling(project)
    Comparison.objects.filter(pk=first.pk).update(machine_vote="2")
    said = {"use": "vote", "stands": True, "more_hallucinated": "2", "confidence": 1.0}
    for one in (first, second):
        MachineLabel.objects.create(labelling=found, comparison=one, **said)
    opinions = [
        priorities.Opinion(comparison=pk, probability_1=0.5, points_before=points)
        for pk, points in ((first.pk, 7), (second.pk, 0))
    ]
    change = Change(action=Action.RETIRE)
    act = {
        "a score": lambda: priorities.reprioritise(project, opinions),
        "a withdrawal": lambda: transaction.atomic(preferences.withdraw_machine_votes)(found.pk),
        "a manager": lambda: bulk_actions.carry_out(project, [second.pk, first.pk], change),
    }[who]

    def nothing_else_is_held() -> None:
        for rows in (Comparison.objects.filter(pk=second.pk), MachineLabel.objects.all()):
            assert list(rows.select_for_update(nowait=True, of=("self",)))

    while_it_waits(act, nothing_else_is_held)


def test_a_ruling_that_was_waited_for_is_not_asked_about_again():
    project = make_project(k=1)
    comparison = make_comparison(project)
    judge(comparison, "tie", "tie")
    Comparison.objects.update(outcome="disputed")
    reviewer = make_member(project, "reviewer")
    ruling = queue.Answer(more_hallucinated="1")
    change = Change(action=Action.HAND_OUT_AGAIN, amount=1)
    done = while_it_waits(
        lambda: bulk_actions.carry_out(project, [comparison.pk], change),
        lambda: adjudication.rule(comparison, reviewer, ruling) and None,
    )
    assert (done.changed, sum(done.left.values())) == (0, 1)
    comparison.refresh_from_db()
    assert comparison.outcome == "decided"
