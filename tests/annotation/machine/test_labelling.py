"""A labelling from its request to its end: what is drawn, certified, taken, and given back."""

from __future__ import annotations

import uuid

import pytest
from django.db.models import F

from annotation import gold_and_repeats, preferences, queue
from annotation.bulk_actions import Action, Change, carry_out
from annotation.machine import deciding, labelling, stages
from annotation.machine.labelling import Answer, CannotLabel
from annotation.machine.stages import NotAtThisStage
from annotation.models import Comparison, MachineLabelling, Notice
from tests.annotation.machine.factories import (
    certified,
    make_labelling,
    of,
    say,
    second_is_worse,
    settle,
)
from tests.factories import judge, make_comparison, make_comparisons, make_member, make_project

pytestmark = pytest.mark.django_db
State = MachineLabelling.State


def decided(project):
    return project.comparisons.exclude(machine_vote="")


def test_the_sample_is_drawn_from_what_nobody_has_begun_and_asked_first():
    project = make_project(k=1)
    judged, skipped, gold = make_comparisons(project, 3)
    gold_and_repeats.make_gold(gold, more_hallucinated="1")
    ana = make_member(project)
    for _ in range(2):
        lease = queue.claim(project, ana)
        if lease.comparison_id == judged.pk:
            said = queue.Answer(more_hallucinated="2", more_helpful="")
            queue.submit(ana, lease.token, said, client_uuid=uuid.uuid4())
        else:
            queue.skip(ana, lease.token, reason="cannot_tell")
    found = make_labelling(project, waiting=40, audit_share=0.5)
    asked = set(found.labels.values_list("comparison", flat=True))
    assert len(asked) == found.total == 40
    assert not asked & {judged.pk, skipped.pk, gold.pk}
    assert {use: len(of(found, use)) for use in ("sample", "audit", "vote")} == {
        "sample": 22,
        "audit": 9,
        "vote": 9,
    }
    sample = {one.comparison_id for one in of(found, "sample")}
    handed = [queue.claim(project, make_member(project)).comparison_id for _ in range(5)]
    assert set(handed) <= sample


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sample_size": 21}, "sample_size"),  # Even without an error it could prove nothing.
        ({"sample_size": 30}, "sample_size"),
        ({"comparisons": 22}, "comparisons"),
        ({"machine": "oracle:2"}, "machine"),
        ({"machine": "nobody"}, "machine"),
    ],
)
def test_what_cannot_prove_anything_is_not_begun(changes, field):
    project = make_project(k=1)
    with pytest.raises((CannotLabel, labelling.labellers.NoSuchMachine)) as refused:
        make_labelling(project, waiting=30, **changes)
    assert refused.value.extra == {"field": field}
    assert not project.machine_labellings.exists()
    assert not project.comparisons.exclude(priority=0).exists()


def test_a_second_labelling_waits_for_the_first():
    found = make_labelling(make_project(k=1), waiting=60)
    with pytest.raises(CannotLabel, match="under way"):
        make_labelling(found.project)
    labelling.cancel(found)
    assert make_labelling(found.project).number == 2


def test_a_good_machine_is_certified_and_decides_what_nobody_has_begun():
    project = make_project(k=2, maximum=3)
    manager = make_member(project, "manager")
    found = make_labelling(project, waiting=60, audit_share=0.25)
    say(found, second_is_worse)
    assert found.state == State.SAMPLING
    sample = of(found, "sample")
    settle(sample[1:])
    deciding.look(found)
    assert found.state == State.SAMPLING, "one of the sample is open"
    begun = of(found, "vote")[0].comparison
    Comparison.objects.filter(pk=begun.pk).update(priority=99_999)
    ana = make_member(project)
    lease = queue.claim(project, ana)
    assert lease.comparison_id == begun.pk
    settle(sample[:1])
    deciding.look(found)
    found.refresh_from_db()
    assert found.state == State.CERTIFIED
    told = found.certificate
    assert (told["passed"], told["errors"], told["tested"], told["sample"]) == (True, 0, 22, 22)
    assert told["bound"] == pytest.approx(0.0994, abs=1e-3)
    assert told["taken"] == decided(project).count() > 0
    voted = set(decided(project).values_list("pk", flat=True))
    may = {row.comparison_id for row in of(found, "vote") if row.confidence >= told["threshold"]}
    assert voted == may - {begun.pk}
    one = decided(project).first()
    assert (one.outcome, one.preference, one.decided_by) == ("decided", 1, "machine")
    assert (
        not project.comparisons.exclude(wanted_judgments=F("judgment_count") + F("open_slots"))
        .exclude(pk=begun.pk)
        .exists()
    )
    assert (
        not project.comparisons.filter(priority__gte=stages.SAMPLE_POINTS)
        .exclude(pk=begun.pk)
        .exists()
    )
    notice = Notice.objects.get(person=manager, kind="machine_labelling")
    assert "is certified" in notice.title and notice.link == found.get_absolute_url()


@pytest.mark.parametrize("otherwise", ["1", "tie"])
def test_a_machine_that_people_contradict_gets_nothing(otherwise):
    found = make_labelling(make_project(k=1), waiting=60)
    say(found, second_is_worse)
    settle(of(found, "sample"), lambda place: otherwise if place % 4 == 0 else "2")
    deciding.look(found)
    found.refresh_from_db()
    assert (found.state, found.certificate["passed"]) == (State.REFUSED, False)
    assert not decided(found.project).exists()


def test_deciding_early_counts_what_is_open_as_wrong():
    found = make_labelling(make_project(k=1), waiting=60)
    with pytest.raises(NotAtThisStage):
        deciding.decide(found)
    say(found, second_is_worse)
    settle(of(found, "sample")[:10])
    deciding.decide(found)
    assert (found.state, found.certificate["unsettled"]) == (State.REFUSED, 12)


def test_what_is_taken_out_or_asked_again_speaks_against_no_certificate():
    found = certified(make_project(k=1), waiting=60)
    sample = [row.comparison_id for row in of(found, "sample")]
    project = found.project
    assert carry_out(project, sample[:2], Change(action=Action.RETIRE)).changed == 2
    again = Change(action=Action.HAND_OUT_AGAIN, amount=1)
    assert carry_out(project, sample[2:4], again).changed == 2
    deciding.look(found)
    found.refresh_from_db()
    assert (found.state, found.audit["sample_errors"]) == (State.CERTIFIED, 0)
    settle(of(found, "sample")[2:4], lambda _: "tie")
    deciding.look(found)
    found.refresh_from_db()
    assert (found.state, found.audit["sample_errors"]) == (State.WITHDRAWN, 2)


def test_further_answers_that_contradict_it_give_everything_back():
    project = make_project(k=1)
    manager = make_member(project, "manager")
    found = certified(project, audit_share=0.25)
    threshold = found.certificate["threshold"]
    audit = [one for one in of(found, "audit") if one.confidence >= threshold]
    settle(audit[:8])
    labelling.watch()
    found.refresh_from_db()
    assert (found.state, found.audit["answers"], found.audit["errors"]) == (State.CERTIFIED, 8, 0)
    promised, taken = found.certificate, decided(project).count()
    settle(audit[8:20], lambda _: "1")
    labelling.watch()
    found.refresh_from_db()
    assert found.state == State.WITHDRAWN
    assert "12 of 20" in found.error
    assert found.certificate == promised, "the certificate says what it said"
    assert not decided(project).exists() and not found.labels.filter(stands=True).exists()
    given_back = project.comparisons.filter(machine_labels__use="vote")
    assert set(given_back.values_list("outcome", "open_slots", "wanted_judgments")) == {
        ("waiting", 1, 1)
    }
    title = Notice.objects.get(person=manager, kind="machine_withdrawn").title
    assert f"{taken:,} comparisons" in title


def test_changed_answers_to_its_own_sample_withdraw_it():
    found = certified(make_project(k=1), waiting=60)
    settle(of(found, "sample")[:3], lambda _: "1")
    labelling.watch()
    found.refresh_from_db()
    assert found.state == State.WITHDRAWN and "sample were changed" in found.error


def test_a_manager_may_withdraw_once():
    found = certified(make_project(k=3), waiting=60)
    assert deciding.withdraw(found, reason="Enough.") == found.certificate["taken"]
    with pytest.raises(NotAtThisStage):
        deciding.withdraw(found, reason="Again.")
    judge_of = found.project.comparisons.filter(outcome="waiting").first()
    assert judge_of.open_slots == 3


def test_people_stand_above_the_machine():
    project = make_project(k=1)
    found = certified(project, waiting=60)
    one = decided(project).first()
    one.judgment_count, one.open_slots = 0, 0
    preferences.settle(one)
    assert (one.outcome, one.preference, one.machine_vote) == ("decided", 1, "2"), "it stays"
    gold_and_repeats.make_gold(one, more_hallucinated="1")
    assert (one.preference, one.machine_vote) == (2, "")
    deciding.withdraw(found, reason="Enough.")
    one.refresh_from_db()
    assert (one.outcome, one.preference, one.open_slots) == ("decided", 2, 0), "gold is no vote"


def test_what_people_settle_after_a_late_machine_vote_is_theirs():
    project = make_project(k=1)
    comparison = make_comparison(project)
    Comparison.objects.filter(pk=comparison.pk).update(machine_vote="2")
    judge(comparison, "1")
    comparison.refresh_from_db()
    assert (comparison.preference, comparison.machine_vote) == (2, "")


def test_a_failed_labelling_goes_on_where_it_was():
    found = make_labelling(make_project(k=1), waiting=60)
    first = labelling.unanswered(found).first()
    labelling.take_answers(
        found, {first.comparison_id: Answer(more_hallucinated="", confidence=None)}
    )
    labelling.fail(found, "The judge is away.")
    found.refresh_from_db()
    assert (found.state, found.error, found.done) == (State.FAILED, "The judge is away.", 1)
    assert not found.project.comparisons.exclude(priority=0).exists()
    labelling.resume(found)
    assert labelling.unanswered(found).count() == 59
    say(found, second_is_worse)
    assert (found.state, found.done, found.error) == (State.SAMPLING, 60, "")
    with pytest.raises(NotAtThisStage):
        labelling.resume(found)


@pytest.mark.parametrize(
    "bad",
    [
        Answer(more_hallucinated="3", confidence=0.9),
        Answer(more_hallucinated="1", confidence=None),
        Answer(more_hallucinated="", confidence=0.9),
        Answer(more_hallucinated="1", confidence=0.4),
        Answer(more_hallucinated="1", confidence=float("nan")),
    ],
)
def test_what_is_no_answer_is_refused(bad):
    found = make_labelling(make_project(k=1), waiting=30)
    with pytest.raises(ValueError, match=r"no (answer|confidence)"):
        labelling.take_answers(found, {labelling.unanswered(found).first().comparison_id: bad})
