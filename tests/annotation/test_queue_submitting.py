"""Answers that come back to the queue: taken, counted towards the overlap, changed."""

import uuid

import pytest
from django.http import Http404

from annotation import queue
from annotation.models import Judgment, Project
from tests.annotation.test_queue import WORSE_1, WORSE_2, assert_slots_add_up, expire, submit
from tests.factories import (
    judge,
    make_comparison,
    make_comparisons,
    make_member,
    make_project,
    make_user,
)

pytestmark = pytest.mark.django_db


# --- submit -----------------------------------------------------------------------------------


def test_submit_stores_the_answer_and_its_first_version():
    project = make_project(k=1, mark_spans=True)
    comparison = make_comparison(project, response_1="a red circle")
    assignment = queue.claim(project, make_member(project))
    span = {"response": 1, "start": 2, "end": 5, "kind": "attribute"}
    answer = queue.Answer(
        more_hallucinated="1", spans=[span], confidence=4, note="not red", active_seconds=3.5
    )
    submission = submit(assignment, answer)
    assert submission.created
    judgment = Judgment.objects.get()
    assert judgment == submission.judgment
    assert (judgment.more_hallucinated, judgment.spans, judgment.surplus) == ("1", [span], False)
    version = judgment.versions.get()
    assert (version.version, version.note, version.confidence) == (1, "not red", 4)
    comparison.refresh_from_db()
    assert (comparison.outcome, comparison.preference) == ("decided", 2)


def test_submitting_the_same_twice_stores_one_judgment():
    project = make_project()
    make_comparison(project)
    assignment = queue.claim(project, make_member(project))
    client_uuid = uuid.uuid4()
    first = submit(assignment, client_uuid=client_uuid)
    second = submit(assignment, client_uuid=client_uuid)
    assert (first.created, second.created) == (True, False)
    assert first.judgment == second.judgment
    assert Judgment.objects.count() == 1


def test_the_same_uuid_with_another_answer_is_refused():
    project = make_project()
    make_comparison(project)
    assignment = queue.claim(project, make_member(project))
    client_uuid = uuid.uuid4()
    submit(assignment, WORSE_1, client_uuid)
    with pytest.raises(queue.ClientUuidReused):
        submit(assignment, WORSE_2, client_uuid)
    assert Judgment.objects.get().more_hallucinated == "1"


def test_the_same_uuid_for_another_comparison_is_refused():
    project = make_project()
    make_comparisons(project, 2)
    annotator = make_member(project)
    client_uuid = uuid.uuid4()
    submit(queue.claim(project, annotator), WORSE_1, client_uuid)
    with pytest.raises(queue.ClientUuidReused):
        submit(queue.claim(project, annotator), WORSE_1, client_uuid)


def test_two_tabs_with_equal_answers_make_one_judgment():
    project = make_project()
    make_comparison(project)
    assignment = queue.claim(project, make_member(project))
    first = submit(assignment, WORSE_1)
    assert submit(assignment, WORSE_1).judgment == first.judgment


def test_two_tabs_with_different_answers_are_told_which_version_stands():
    project = make_project()
    make_comparison(project)
    assignment = queue.claim(project, make_member(project))
    judgment = submit(assignment, WORSE_1).judgment
    with pytest.raises(queue.AlreadyJudged) as refused:
        submit(assignment, WORSE_2)
    assert refused.value.extra == {"judgment": judgment.pk, "version": 1}


def test_an_answer_after_expiry_whose_slot_was_given_away_is_kept_as_surplus():
    project = make_project(k=1)
    comparison = make_comparison(project)
    late = queue.claim(project, make_member(project))
    expire(late)
    submit(queue.claim(project, make_member(project)), WORSE_1)
    judgment = submit(late, WORSE_2).judgment
    assert judgment.surplus
    assert_slots_add_up(comparison)
    assert comparison.judgment_count == 1
    assert comparison.preference == 2


def test_an_answer_after_expiry_counts_while_its_slot_is_free():
    project = make_project(k=1)
    comparison = make_comparison(project)
    late = queue.claim(project, make_member(project))
    expire(late)
    queue.return_expired_leases()
    assert not submit(late).judgment.surplus
    assert_slots_add_up(comparison)
    assert comparison.outcome == "decided"


def test_an_answer_is_taken_after_the_project_was_closed():
    project = make_project(k=1)
    make_comparison(project)
    assignment = queue.claim(project, make_member(project))
    Project.objects.update(state=Project.State.CLOSED)
    assert submit(assignment).created


def test_nobody_answers_with_somebody_elses_token():
    project = make_project()
    make_comparison(project)
    assignment = queue.claim(project, make_member(project))
    with pytest.raises(Http404):
        queue.submit(make_user(), assignment.token, WORSE_1, client_uuid=uuid.uuid4())


SPAN = {"response": 1, "start": 0, "end": 3, "kind": "object"}
BAD_ANSWERS = [
    ({"more_hallucinated": "left"}, "more_hallucinated"),
    ({"more_hallucinated": "tie"}, "more_helpful"),
    ({"more_hallucinated": "1", "more_helpful": "1"}, "more_helpful"),
    ({"more_hallucinated": "1", "confidence": 6}, "confidence"),
    ({"more_hallucinated": "1", "note": "x" * 2001}, "note"),
    ({"more_hallucinated": "1", "active_seconds": -1}, "active_seconds"),
    ({"more_hallucinated": "1", "active_seconds": float("nan")}, "active_seconds"),
    ({"more_hallucinated": "1", "spans": ["x"]}, "spans[0]"),
    ({"more_hallucinated": "1", "spans": [{**SPAN, "response": 3}]}, "spans[0].response"),
    ({"more_hallucinated": "1", "spans": [SPAN, {**SPAN, "end": 999}]}, "spans[1].start"),
    ({"more_hallucinated": "1", "spans": [{**SPAN, "start": 3}]}, "spans[0].start"),
    ({"more_hallucinated": "1", "spans": [{**SPAN, "kind": "lie"}]}, "spans[0].kind"),
]


@pytest.mark.parametrize(("fields", "named"), BAD_ANSWERS)
def test_a_bad_answer_is_refused_and_its_field_named(fields, named):
    project = make_project()
    make_comparison(project)
    assignment = queue.claim(project, make_member(project))
    with pytest.raises(queue.InvalidAnswer) as refused:
        submit(assignment, queue.Answer(**fields))
    assert refused.value.extra["field"] == named
    assert not Judgment.objects.exists()


def test_a_project_without_ties_refuses_one():
    project = make_project(allow_tie=False)
    make_comparison(project)
    assignment = queue.claim(project, make_member(project))
    with pytest.raises(queue.InvalidAnswer, match="no ties"):
        submit(assignment, queue.Answer(more_hallucinated="tie", more_helpful="1"))


# --- overlap ----------------------------------------------------------------------------------


def test_a_comparison_waits_until_all_its_judgments_are_in():
    project = make_project(k=3)
    comparison = make_comparison(project)
    judge(comparison, "2")
    judge(comparison, "2")
    comparison.refresh_from_db()
    assert (comparison.outcome, comparison.preference) == ("waiting", None)
    judge(comparison, "1")
    comparison.refresh_from_db()
    assert (comparison.outcome, comparison.preference) == ("decided", 1)
    assert comparison.margin == pytest.approx(1 / 3)
    assert comparison.hallucination is True


def test_split_votes_ask_one_more_person():
    project = make_project(k=2, maximum=3)
    comparison = make_comparison(project)
    judge(comparison, "1")
    judge(comparison, "2")
    assert_slots_add_up(comparison)
    assert (comparison.outcome, comparison.open_slots) == ("waiting", 1)
    judge(comparison, "2")
    assert_slots_add_up(comparison)
    assert (comparison.outcome, comparison.preference) == ("decided", 1)


def test_split_votes_at_the_maximum_are_disputed():
    project = make_project(k=2, maximum=2)
    comparison = make_comparison(project)
    judge(comparison, "1")
    judge(comparison, "2")
    assert_slots_add_up(comparison)
    assert (comparison.outcome, comparison.open_slots) == ("disputed", 0)


def test_agreed_equality_asks_nobody_else():
    project = make_project(k=2, maximum=5)
    comparison = make_comparison(project)
    judge(comparison, "tie", "tie")
    judge(comparison, "tie", "tie")
    assert_slots_add_up(comparison)
    assert (comparison.outcome, comparison.preference) == ("undecided", None)


def test_helpfulness_decides_between_equals():
    project = make_project(k=1)
    comparison = make_comparison(project)
    judge(comparison, "tie", "2")
    comparison.refresh_from_db()
    assert (comparison.preference, comparison.hallucination) == (2, False)


def test_raising_the_overlap_reopens_waiting_comparisons_only():
    project = make_project(k=1)
    decided = make_comparison(project)
    judge(decided)
    waiting = make_comparison(project)
    queue.change_overlap(project, usual=2, maximum=3)
    assert_slots_add_up(waiting)
    assert_slots_add_up(decided)
    assert (waiting.open_slots, decided.open_slots) == (2, 0)


def test_lowering_the_overlap_settles_what_has_enough():
    project = make_project(k=3)
    comparison = make_comparison(project)
    judge(comparison, "1")
    queue.change_overlap(project, usual=1, maximum=1)
    assert_slots_add_up(comparison)
    assert (comparison.outcome, comparison.open_slots) == ("decided", 0)


# --- edit -------------------------------------------------------------------------------------


def edit(judgment, answer, version=1, client_uuid=None):
    annotator = judgment.assignment.annotator
    return queue.edit(
        annotator,
        judgment.pk,
        answer,
        version=version,
        client_uuid=client_uuid or uuid.uuid4(),
    )


def test_edit_adds_a_version_and_settles_again():
    project = make_project(k=1)
    comparison = make_comparison(project)
    judgment = judge(comparison, "1")
    edited = edit(judgment, WORSE_2)
    assert edited.version == 2
    kept = edited.versions.values_list("version", "more_hallucinated")
    assert list(kept) == [(1, "1"), (2, "2")]
    comparison.refresh_from_db()
    assert comparison.preference == 1


def test_edit_of_an_answer_to_what_gets_more_by_now_has_others_asked():
    project = make_project(k=1)
    comparison = make_comparison(project)
    judgment = judge(comparison, "1")
    queue.change_overlap(project, usual=3, maximum=3)
    edit(judgment, WORSE_2)
    comparison.refresh_from_db()
    assert (comparison.outcome, comparison.open_slots) == ("waiting", 2)


def test_edit_of_a_version_that_is_not_current_is_refused():
    project = make_project(k=1)
    judgment = judge(make_comparison(project), "1")
    edit(judgment, WORSE_2)
    with pytest.raises(queue.VersionMismatch) as refused:
        edit(judgment, WORSE_1, version=1)
    assert refused.value.extra == {"version": 2}


def test_sending_the_same_edit_again_changes_nothing():
    project = make_project(k=1)
    judgment = judge(make_comparison(project), "1")
    client_uuid = uuid.uuid4()
    edit(judgment, WORSE_2, client_uuid=client_uuid)
    assert edit(judgment, WORSE_2, client_uuid=client_uuid).version == 2
    with pytest.raises(queue.ClientUuidReused):
        edit(judgment, WORSE_1, client_uuid=client_uuid)


def test_an_edit_into_agreement_closes_the_slot_that_was_opened():
    project = make_project(k=2, maximum=3)
    comparison = make_comparison(project)
    judge(comparison, "1")
    edit(judge(comparison, "2"), WORSE_1)
    assert_slots_add_up(comparison)
    assert (comparison.outcome, comparison.open_slots, comparison.wanted_judgments) == (
        "decided",
        0,
        2,
    )


def test_a_lease_that_ends_after_the_decision_opens_no_slot():
    project = make_project(k=2, maximum=3)
    comparison = make_comparison(project)
    judge(comparison, "1")
    split = judge(comparison, "2")
    third = queue.claim(project, make_member(project))
    edit(split, WORSE_1)
    queue.skip(third.annotator, third.token, reason="cannot_tell")
    assert_slots_add_up(comparison)
    assert (comparison.outcome, comparison.open_slots) == ("decided", 0)


def test_only_the_last_twenty_answers_can_be_changed():
    project = make_project(k=1)
    make_comparisons(project, 21)
    annotator = make_member(project)
    judgments = [submit(queue.claim(project, annotator)).judgment for _ in range(21)]
    assert list(queue.editable_judgments(project, annotator)) == judgments[:0:-1]
    with pytest.raises(queue.TooOldToEdit):
        edit(judgments[0], WORSE_1)
    assert edit(judgments[1], WORSE_1).version == 2


def test_nobody_edits_somebody_elses_answer():
    project = make_project(k=1)
    judgment = judge(make_comparison(project))
    with pytest.raises(Http404):
        queue.edit(make_user(), judgment.pk, WORSE_1, version=1, client_uuid=uuid.uuid4())
