"""Gold and mirrored repeats: mixed in, not to be told from work, and without a vote."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import gold_and_repeats, queue
from annotation.exporting import make_release, stream
from annotation.models import Assignment, Comparison, Membership
from tests.annotation.api import Api
from tests.factories import judge, make_comparison, make_comparisons, make_member, make_project

pytestmark = pytest.mark.django_db


def answer(person, assignment, choice="1"):
    said = queue.Answer(more_hallucinated=choice)
    return queue.submit(person, assignment.token, said, client_uuid=uuid.uuid4()).judgment


def gold_project(count=1, **fields):
    project = make_project(k=1, gold_rate=0.5, **fields)
    golds = make_comparisons(project, count)
    for gold in golds:
        gold_and_repeats.make_gold(gold, more_hallucinated="2")
    return project, golds


@pytest.fixture
def always_gold(monkeypatch):
    monkeypatch.setattr(gold_and_repeats.random, "random", lambda: 0.0)


def slots(comparison):
    comparison.refresh_from_db()
    return (comparison.wanted_judgments, comparison.open_slots, comparison.judgment_count)


def test_gold_is_handed_to_everybody_once_and_takes_no_vote(always_gold):
    project, (gold,) = gold_project()
    make_comparisons(project, 3)
    for _ in range(3):
        person = make_member(project)
        first = queue.claim(project, person)
        assert (first.comparison_id, first.purpose) == (gold.pk, "gold")
        assert queue.claim(project, person) == first
        answer(person, first, "1")
        assert queue.claim(project, person).purpose == "work"
    assert slots(gold) == (0, 0, 0)
    assert (gold.outcome, gold.preference) == ("decided", 1)


def counts_add_up(project):
    """As the docstring of Comparison says, of all of them."""
    for one in project.comparisons.all():
        held = one.assignments.filter(state="open", purpose="work").count()
        assert one.wanted_judgments == one.judgment_count + one.open_slots + held


def test_a_check_holds_the_place_of_the_work_that_it_stands_in_for(always_gold):
    project, (gold,) = gold_project()
    work = make_comparison(project)
    person, other = make_member(project), make_member(project)
    lease = queue.claim(project, person)
    assert (lease.comparison_id, slots(work)) == (gold.pk, (1, 0, 0))
    assert queue.claim(project, other) is None
    answer(person, lease, "1")
    assert (slots(gold), slots(work)) == ((0, 0, 0), (1, 1, 0))
    stored = Assignment.objects.get()
    assert (stored.comparison, stored.purpose, stored.shows) == (gold, "gold", None)
    assert queue.claim(project, person).comparison_id == work.pk
    counts_add_up(project)


@pytest.mark.parametrize("taken", [False, True], ids=["its work is free", "its work is taken"])
@pytest.mark.parametrize("then", ["claim", "renew", "answer", "skip"])
def test_a_check_whose_lease_ran_out_fares_as_its_work_does(always_gold, then, taken):
    project, (gold,) = gold_project()
    make_comparison(project)
    person, other = make_member(project), make_member(project)
    lease = queue.claim(project, person)
    Assignment.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert queue.return_expired_leases() == 1
    project.gold_rate = 0.0
    project.save()
    if taken:
        assert queue.claim(project, other).purpose == "work"
    if then == "claim":
        found = queue.claim(project, person)
        assert (found and found.comparison) == (None if taken else gold)
    elif then == "renew" and taken:
        with pytest.raises(queue.LeaseLost):
            queue.renew(person, lease.token)
    elif then == "renew":
        assert queue.renew(person, lease.token).comparison == gold
    elif then == "answer":
        assert answer(person, lease).comparison == gold
    else:
        assert queue.skip(person, lease.token, reason="cannot_tell").comparison == gold
    counts_add_up(project)


def test_gold_that_is_withdrawn_while_it_is_shown_breaks_nothing(always_gold):
    project, (gold,) = gold_project()
    make_comparison(project)
    person = make_member(project)
    lease = queue.claim(project, person)
    gold_and_repeats.withdraw_gold(gold)
    beside = queue.claim(project, person, ahead_of=[lease.token])
    assert (beside.comparison, beside.purpose) == (gold, "work")
    answer(person, beside)
    answer(person, lease)
    assert sorted(Assignment.objects.values_list("purpose", flat=True)) == ["repeat", "work"]
    counts_add_up(project)


def test_a_check_that_is_deleted_while_it_is_shown_leaves_the_work(always_gold):
    project, (gold,) = gold_project()
    work = make_comparison(project)
    person = make_member(project)
    lease = queue.claim(project, person)
    gold.delete()
    assert queue.claim(project, person).comparison == work
    assert not answer(person, lease).surplus
    assert slots(work) == (1, 0, 1)


def test_an_answer_to_gold_can_be_changed_and_sent_twice(always_gold):
    project, (gold,) = gold_project()
    make_comparison(project)
    person = make_member(project)
    judgment = answer(person, queue.claim(project, person), "1")
    again = queue.Answer(more_hallucinated="2")
    queue.edit(person, judgment.pk, again, version=1, client_uuid=uuid.uuid4())
    assert slots(gold) == (0, 0, 0)
    assert (gold.outcome, gold.preference) == ("decided", 1)


def test_checks_come_at_the_projects_rate():
    project, golds = gold_project(60, repeat_rate=0.0)
    make_comparisons(project, 60)
    person = make_member(project)
    purposes = []
    for _ in range(60):
        lease = queue.claim(project, person)
        purposes.append(lease.purpose)
        answer(person, lease)
    assert 12 <= purposes.count("gold") <= 48  # 30 expected; beyond 4.6 standard deviations.
    assert len(golds) == 60


def test_a_repeat_shows_an_own_answer_mirrored_and_only_once(monkeypatch):
    monkeypatch.setattr(gold_and_repeats, "REPEAT_AFTER", 1)
    project = make_project(k=1, repeat_rate=0.2)
    comparisons = make_comparisons(project, 3)
    person = make_member(project)
    for _ in range(2):
        answer(person, queue.claim(project, person))
    monkeypatch.setattr(gold_and_repeats.random, "random", lambda: 0.1)
    repeat = queue.claim(project, person)
    first = Assignment.objects.get(comparison=repeat.comparison, annotator=person, purpose="work")
    assert repeat.purpose == "repeat"
    assert repeat.shown_first == 3 - first.shown_first
    assert first.ended_at == min(
        Assignment.objects.filter(state="judged").values_list("ended_at", flat=True)
    )
    answer(person, repeat, "2")
    judged = Comparison.objects.get(pk=repeat.comparison_id)
    assert (judged.judgment_count, judged.preference) == (1, 2)
    follow = queue.claim(project, person)
    assert follow.comparison_id != repeat.comparison_id
    assert comparisons


def test_what_an_annotator_is_sent_tells_no_check_from_work(always_gold):
    project, _ = gold_project()
    make_comparisons(project, 2)
    person = make_member(project)
    api = Api(person)
    shapes = []
    for _ in range(2):
        given = api.post(f"projects/{project.slug}/assignments/next").json()
        body = {"client_uuid": str(uuid.uuid4()), "more_hallucinated": "1"}
        stored = api.post(f"assignments/{given['token']}/judgment", body).json()
        shapes.append((set(given), set(stored), stored["version"]))
    purposes = Assignment.objects.filter(annotator=person).values_list("purpose", flat=True)
    assert sorted(purposes) == ["gold", "work"]
    assert shapes[0] == shapes[1]


def test_an_annotator_below_the_bar_is_paused_and_gives_leases_back(always_gold, monkeypatch):
    monkeypatch.setattr(gold_and_repeats, "PAUSE_DECIDED_EVERY", 3)
    project, golds = gold_project(4, pause_below=0.6, pause_after=2)
    make_comparison(project)
    person, good = make_member(project), make_member(project)
    for number in range(3):
        answer(good, queue.claim(project, good), "2")
        ahead = queue.claim(project, person)
        answer(person, ahead, "1" if number else "2")
        paused = Membership.objects.get(project=project, user=person).paused
        assert paused == (number == 2)
    assert "known answer" in Membership.objects.get(project=project, user=person).paused_reason
    with pytest.raises(queue.NotHandedOut):
        queue.claim(project, person)
    assert not Membership.objects.get(project=project, user=good).paused
    assert len(golds) == 4


def test_managers_are_not_paused_by_gold(always_gold, monkeypatch):
    monkeypatch.setattr(gold_and_repeats, "PAUSE_DECIDED_EVERY", 1)
    project, _ = gold_project(1, pause_below=0.6, pause_after=1)
    make_comparison(project)
    manager = make_member(project, "manager")
    answer(manager, queue.claim(project, manager), "1")
    assert not Membership.objects.get(project=project, user=manager).paused


def test_unanimous_comparisons_become_gold_and_leave_releases():
    project = make_project(k=2)
    kept = make_comparison(project, priority=2)
    judge(kept, "1")
    judge(kept, "tie", "1")
    kept.refresh_from_db()
    unanimous = make_comparison(project, priority=3)
    other = make_comparison(project, priority=2)
    for comparison in (unanimous, other):
        judge(comparison, "1")
        judge(comparison, "1")
    assert gold_and_repeats.promote_unanimous(project, most=1) == 1
    gold = project.comparisons.exclude(gold_more_hallucinated="").get()
    assert gold in (unanimous, other)
    assert gold.gold_more_hallucinated == "1"
    release = make_release(project, policy={"accept_chance_agreement": True})
    lines = b"".join(stream(release, "llava_rlhf"))
    assert gold.external_id.encode() not in lines
    assert lines.count(b"\n") == 2


def test_withdrawn_gold_is_work_again_by_its_votes():
    project = make_project(k=2)
    fresh = make_comparison(project)
    gold_and_repeats.make_gold(fresh, more_hallucinated="tie")
    assert (fresh.outcome, fresh.open_slots) == ("undecided", 0)
    gold_and_repeats.withdraw_gold(fresh)
    assert (fresh.outcome, *slots(fresh)) == ("waiting", 2, 2, 0)
    judge(fresh, "1")
    judge(fresh, "1")
    gold_and_repeats.make_gold(fresh, more_hallucinated="2")
    gold_and_repeats.withdraw_gold(fresh)
    assert (fresh.outcome, fresh.preference, *slots(fresh)) == ("decided", 2, 2, 0, 2)


def test_a_lease_from_before_a_comparison_was_gold_ends_in_order():
    project = make_project(k=2)
    comparison = make_comparison(project)
    person, late = make_member(project), make_member(project)
    lease, lost = queue.claim(project, person), queue.claim(project, late)
    gold_and_repeats.make_gold(comparison, more_hallucinated="2")
    assert slots(comparison) == (2, 0, 0)
    answer(person, lease, "1")
    queue.skip(late, lost.token, reason="language")
    assert slots(comparison) == (1, 0, 1)
    assert (comparison.outcome, comparison.preference) == ("decided", 1)


def test_an_answer_that_is_none_is_no_gold():
    comparison = make_comparison(make_project())
    with pytest.raises(gold_and_repeats.NotGold):
        gold_and_repeats.make_gold(comparison, more_hallucinated="3")
    assert not Comparison.objects.get(pk=comparison.pk).is_gold
