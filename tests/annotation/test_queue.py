"""The queue as one person meets it; test_queue_concurrency has the many."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import leases, queue
from annotation.models import Assignment, Comparison, Membership, Project
from tests.factories import (
    make_comparison,
    make_comparisons,
    make_member,
    make_project,
)

pytestmark = pytest.mark.django_db

WORSE_1 = queue.Answer(more_hallucinated="1")
WORSE_2 = queue.Answer(more_hallucinated="2")


def submit(assignment, answer=WORSE_2, client_uuid=None):
    return queue.submit(
        assignment.annotator, assignment.token, answer, client_uuid=client_uuid or uuid.uuid4()
    )


def expire(assignment):
    past = timezone.now() - timedelta(seconds=1)
    Assignment.objects.filter(pk=assignment.pk).update(expires_at=past)


def assert_slots_add_up(comparison):
    comparison.refresh_from_db()
    held = comparison.assignments.filter(state=Assignment.State.OPEN).count()
    counted = comparison.judgments.filter(surplus=False).count()
    assert comparison.judgment_count == counted
    assert comparison.wanted_judgments == counted + held + comparison.open_slots


# --- claim ------------------------------------------------------------------------------------


def test_claim_takes_a_slot_and_records_the_order_shown():
    project = make_project(k=2)
    comparison = make_comparison(project)
    assignment = queue.claim(project, make_member(project))
    assert assignment.comparison == comparison
    assert assignment.shown_first in (1, 2)
    assert assignment.expires_at - assignment.leased_at == project.lease
    comparison.refresh_from_db()
    assert comparison.open_slots == 1


def test_claim_shows_the_responses_in_both_orders():
    project = make_project(k=1)
    annotators = [make_member(project) for _ in make_comparisons(project, 40)]
    orders = {queue.claim(project, annotator).order for annotator in annotators}
    assert orders == {(1, 2), (2, 1)}


def test_claiming_again_gives_the_same_lease():
    project = make_project()
    make_comparisons(project, 3)
    annotator = make_member(project)
    first = queue.claim(project, annotator)
    assert queue.claim(project, annotator).token == first.token
    assert Assignment.objects.count() == 1


def test_claiming_ahead_gives_one_more_lease_and_no_third():
    project = make_project()
    make_comparisons(project, 5)
    annotator = make_member(project)
    now = queue.claim(project, annotator)
    following = queue.claim(project, annotator, ahead_of=[now.token])
    assert following.comparison != now.comparison
    assert queue.claim(project, annotator, ahead_of=[now.token]).token == following.token
    assert Assignment.objects.count() == 2


def test_claiming_ahead_of_two_gives_a_third_and_never_hoards():
    project = make_project()
    make_comparisons(project, 5)
    annotator = make_member(project)
    held = []
    for _ in range(leases.MOST_BESIDE + 1):
        held.append(queue.claim(project, annotator, ahead_of=held).token)
    assert len(set(held)) == leases.MOST_BESIDE + 1
    with pytest.raises(ValueError, match="at most 3"):
        queue.claim(project, annotator, ahead_of=held)


def test_claim_prefers_higher_priority():
    project = make_project()
    make_comparisons(project, 5)
    urgent = make_comparison(project, priority=5)
    assert queue.claim(project, make_member(project)).comparison == urgent


def test_claim_never_gives_a_person_what_they_judged_or_skipped():
    project = make_project(k=3)
    make_comparisons(project, 2)
    annotator = make_member(project)
    submit(queue.claim(project, annotator))
    queue.skip(annotator, queue.claim(project, annotator).token, reason="language")
    assert queue.claim(project, annotator) is None


def test_claim_is_none_when_every_slot_is_taken():
    project = make_project(k=1)
    make_comparison(project)
    assert queue.claim(project, make_member(project)) is not None
    assert queue.claim(project, make_member(project)) is None


def test_claim_gives_nothing_of_another_project():
    make_comparison(make_project())
    project = make_project()
    assert queue.claim(project, make_member(project)) is None


@pytest.mark.parametrize("state", [Project.State.PAUSED, Project.State.CLOSED])
def test_claim_is_refused_while_the_project_is_not_open(state):
    project = make_project(state=state)
    make_comparison(project)
    with pytest.raises(queue.NotHandedOut, match=state):
        queue.claim(project, make_member(project))


# --- expiry -----------------------------------------------------------------------------------


def test_an_expired_lease_goes_to_the_next_person_who_asks():
    project = make_project(k=1)
    comparison = make_comparison(project)
    expire(queue.claim(project, make_member(project)))
    assert queue.claim(project, make_member(project)).comparison == comparison
    assert_slots_add_up(comparison)


def test_the_beat_returns_expired_leases_once():
    project = make_project(k=2)
    comparison = make_comparison(project)
    expire(queue.claim(project, make_member(project)))
    queue.claim(project, make_member(project))
    assert queue.return_expired_leases() == 1
    assert queue.return_expired_leases() == 0
    assert_slots_add_up(comparison)


def test_more_expired_leases_than_one_batch_all_return(monkeypatch):
    monkeypatch.setattr("annotation.leases.EXPIRED_AT_ONCE", 2)
    project = make_project(k=1)
    comparisons = make_comparisons(project, 5)
    for _ in comparisons:
        expire(queue.claim(project, make_member(project)))
    assert queue.return_expired_leases() == 5
    assert list(Comparison.objects.values_list("open_slots", flat=True)) == [1] * 5


def test_a_person_whose_lease_expired_gets_it_again_with_token_and_order():
    project = make_project(k=1)
    make_comparison(project)
    annotator = make_member(project)
    first = queue.claim(project, annotator)
    expire(first)
    queue.return_expired_leases()
    again = queue.claim(project, annotator)
    assert (again.token, again.shown_first) == (first.token, first.shown_first)
    assert again.expires_at > timezone.now()


def test_renew_holds_a_lease_that_has_just_run_out():
    project = make_project(k=1)
    make_comparison(project)
    annotator = make_member(project)
    assignment = queue.claim(project, annotator)
    expire(assignment)
    queue.renew(annotator, assignment.token)
    assert queue.return_expired_leases() == 0


def test_renew_takes_a_returned_slot_back_while_it_is_free():
    project = make_project(k=1)
    comparison = make_comparison(project)
    annotator = make_member(project)
    assignment = queue.claim(project, annotator)
    expire(assignment)
    queue.return_expired_leases()
    assert queue.renew(annotator, assignment.token).state == Assignment.State.OPEN
    assert_slots_add_up(comparison)


def test_renew_says_when_the_slot_went_to_somebody_else():
    project = make_project(k=1)
    make_comparison(project)
    annotator = make_member(project)
    assignment = queue.claim(project, annotator)
    expire(assignment)
    queue.claim(project, make_member(project))
    with pytest.raises(queue.LeaseLost):
        queue.renew(annotator, assignment.token)


def test_pausing_a_member_returns_their_leases_and_hands_out_no_more():
    project = make_project(k=1)
    comparison = make_comparison(project)
    annotator = make_member(project)
    queue.claim(project, annotator)
    queue.pause(Membership.objects.get(user=annotator))
    assert_slots_add_up(comparison)
    assert comparison.open_slots == 1
    with pytest.raises(queue.NotHandedOut, match="paused"):
        queue.claim(project, annotator)


# --- skip -------------------------------------------------------------------------------------


def test_skip_gives_the_slot_back_with_a_reason():
    project = make_project(k=1)
    comparison = make_comparison(project)
    annotator = make_member(project)
    assignment = queue.claim(project, annotator)
    queue.skip(annotator, assignment.token, reason="image_broken", note="grey square")
    assert_slots_add_up(comparison)
    assert comparison.open_slots == 1
    assignment.refresh_from_db()
    assert (assignment.state, assignment.skip_reason) == ("skipped", "image_broken")


def test_skipping_twice_gives_one_slot_back():
    project = make_project(k=1)
    comparison = make_comparison(project)
    annotator = make_member(project)
    token = queue.claim(project, annotator).token
    queue.skip(annotator, token, reason="language")
    queue.skip(annotator, token, reason="language")
    assert_slots_add_up(comparison)


def test_skip_needs_a_known_reason():
    project = make_project()
    make_comparison(project)
    annotator = make_member(project)
    token = queue.claim(project, annotator).token
    with pytest.raises(queue.InvalidAnswer, match="image_broken"):
        queue.skip(annotator, token, reason="bored")


def test_a_skip_is_taken_back_by_answering():
    project = make_project(k=1)
    comparison = make_comparison(project)
    annotator = make_member(project)
    assignment = queue.claim(project, annotator)
    queue.skip(annotator, assignment.token, reason="cannot_tell")
    assert not submit(assignment).judgment.surplus
    assert_slots_add_up(comparison)


def test_an_answered_comparison_cannot_be_skipped():
    project = make_project()
    make_comparison(project)
    annotator = make_member(project)
    assignment = queue.claim(project, annotator)
    submit(assignment)
    with pytest.raises(queue.AlreadyJudged):
        queue.skip(annotator, assignment.token, reason="language")
