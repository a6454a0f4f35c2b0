"""Many comparisons changed at once: what fits is changed, and no vote is ever lost."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from annotation import adjudication, bulk_actions, gold_and_repeats, leases, progress, steps
from annotation.answers import Answer
from annotation.bulk_actions import Action, Change, NoSuchChange, TooMany
from annotation.machine import labelling
from annotation.models import Comparison, Judgment, MachineLabel, Project
from annotation.preferences import withdraw_machine_votes
from annotation.releases.snapshot import snapshot
from tests import factories

pytestmark = pytest.mark.django_db
RETIRE = Change(action=Action.RETIRE)
BRING_BACK = Change(action=Action.BRING_BACK)
AGAIN = Change(action=Action.HAND_OUT_AGAIN, amount=2)
LABEL = {"outcome": "decided", "preference": 1, "hallucination": True, "margin": 1.0}
GOING_BACK = importlib.import_module(
    "annotation.migrations.0027_taken_out_and_asked_again"
).BRING_BACK
NOBODY = {"wanted_judgments": 0, "open_slots": 0}


@pytest.fixture
def project() -> Project:
    return factories.make_project(k=1)


def waiting(project: Project) -> Comparison:
    return factories.make_comparison(project)


def judged(project: Project) -> Comparison:
    comparison = factories.make_comparison(project, priority=1000)
    factories.judge(comparison)
    return comparison


def from_a_file(project: Project) -> Comparison:
    return factories.make_comparison(project, **LABEL, **NOBODY)


def equal(project: Project) -> Comparison:
    texts = {"response_1": "A star.", "response_2": "A star."}
    return factories.make_comparison(project, outcome="undecided", **texts, **NOBODY)


def gold(project: Project) -> Comparison:
    comparison = factories.make_comparison(project)
    gold_and_repeats.make_gold(comparison, more_hallucinated="1")
    return comparison


def ruled(project: Project) -> Comparison:
    comparison = factories.make_comparison(project, priority=1000)
    factories.judge(comparison, "tie", "tie")
    Comparison.objects.filter(pk=comparison.pk).update(outcome="disputed")
    reviewer = factories.make_member(project, "reviewer")
    adjudication.rule(comparison, reviewer, Answer(more_hallucinated="1"))
    return comparison


def by_machine(project: Project) -> Comparison:
    comparison = factories.make_comparison(project, machine_vote="2", **LABEL, **NOBODY)
    made = factories.make_machine_labelling(project)
    MachineLabel.objects.create(
        **{"labelling": made, "comparison": comparison, "use": "vote", "stands": True},
        **{"more_hallucinated": "2", "confidence": 1.0},
    )
    return comparison


KINDS: list[Callable[[Project], Comparison]] = [
    *(waiting, judged, from_a_file, equal, gold, ruled, by_machine)
]


def act(project: Project, comparison: Comparison, change: Change) -> bulk_actions.Changed:
    foreseen = bulk_actions.foreseen(project, [comparison.pk], change)
    done = bulk_actions.carry_out(project, [comparison.pk], change)
    assert foreseen == done
    comparison.refresh_from_db()
    return done


def state(comparison: Comparison) -> dict[str, Any]:
    names = ("wanted_judgments", "open_slots", "judgment_count", "outcome", "preference")
    return {name: getattr(comparison, name) for name in (*names, "margin", "machine_vote")}


@pytest.mark.parametrize("make", KINDS)
def test_what_is_taken_out_comes_back_as_it_was(project: Project, make: Any) -> None:
    comparison = make(project)
    comparison.refresh_from_db()
    before = state(comparison)
    if make is gold:
        assert act(project, comparison, RETIRE).left
        assert state(comparison) == before
        return
    assert act(project, comparison, RETIRE).changed == 1
    assert (comparison.outcome, comparison.open_slots, comparison.decided_by) == ("retired", 0, "")
    assert act(project, comparison, RETIRE).left == {"taken out already": 1}
    assert act(project, comparison, BRING_BACK).changed == 1
    assert state(comparison) == before
    assert act(project, comparison, BRING_BACK).left == {"not taken out": 1}


def test_what_is_taken_out_is_in_no_count_and_no_release(project: Project) -> None:
    out, stays = from_a_file(project), from_a_file(project)
    assert {row["external_id"] for row in snapshot(project)} == {
        out.external_id,
        stays.external_id,
    }
    act(project, out, RETIRE)
    assert [row["external_id"] for row in snapshot(project)] == [stays.external_id]
    done = progress.progress_of(project)
    assert (done.comparisons, done.decided, done.retired) == (1, 1, 1)
    assert progress.sizes([project]) == {project.pk: 1}
    assert step_is_done(project, "Label")
    act(project, stays, RETIRE)
    assert not step_is_done(project, "Label")


def test_corrections_of_what_is_taken_out_are_not_counted(project: Project) -> None:
    project.ask_correction = "worse"
    judged(project)
    late = factories.judge(factories.make_comparison(project, source="other"))
    Judgment.objects.update(corrections=[{"response": 1, "text": "A star."}])
    Judgment.objects.filter(pk=late.pk).update(surplus=True)
    before = progress.progress_of(project)
    assert (before.corrected, before.surplus) == (1, 1)
    for one in project.comparisons.all():
        act(project, one, RETIRE)
    done = progress.progress_of(project)
    assert (done.judgments, done.corrected, done.surplus) == (0, 0, 0)


def step_is_done(project: Project, title: str) -> bool:
    return {step.title: step.done for step in steps.of([project])[project.pk]}[title]


@pytest.mark.parametrize("make", KINDS)
def test_asking_again_takes_what_votes_have_settled(project: Project, make: Any) -> None:
    comparison = make(project)
    comparison.refresh_from_db()
    before = state(comparison)
    done = act(project, comparison, AGAIN)
    if make not in (judged, by_machine):
        assert sum(done.left.values()) == 1
        assert state(comparison) == before
        return
    assert (comparison.outcome, comparison.open_slots, comparison.preference) == (
        *("waiting", 2),
        None,
    )
    assert not MachineLabel.objects.filter(stands=True).exists()
    factories.judge(comparison, "1")
    comparison.refresh_from_db()
    assert comparison.outcome == "waiting"  # All that were asked for decide, and not the first.
    factories.judge(comparison, "1")
    comparison.refresh_from_db()
    assert (comparison.outcome, comparison.preference) == ("decided", 2)


def test_who_stops_asking_again_has_what_the_votes_say(project: Project) -> None:
    stop = Change(action=Action.STOP_ASKING)
    voted, guessed, never = judged(project), by_machine(project), waiting(project)
    voted.refresh_from_db()
    before = state(voted)
    for comparison in (voted, guessed):
        act(project, comparison, AGAIN)
        assert act(project, comparison, stop).changed == 1
    assert state(voted) == before
    # The machine's vote is gone, so it waits as any other does.
    assert (guessed.outcome, guessed.open_slots, guessed.asked_judgments) == ("waiting", 1, None)
    assert act(project, never, stop).left == {"not being asked again": 1}


def test_a_project_that_wants_more_asks_as_much_of_what_is_asked_again(project: Project) -> None:
    comparison = judged(project)
    act(project, comparison, Change(action=Action.HAND_OUT_AGAIN, amount=1))
    leases.change_overlap(project, usual=5, maximum=5)
    comparison.refresh_from_db()
    assert (comparison.wanted_judgments, comparison.open_slots) == (5, 4)


def test_what_is_taken_out_becomes_no_gold(project: Project) -> None:
    comparison = waiting(project)
    act(project, comparison, RETIRE)
    with pytest.raises(gold_and_repeats.NotGold, match="taken out"):
        gold_and_repeats.make_gold(comparison, more_hallucinated="1")
    assert not comparison.is_gold


def test_no_machine_is_asked_what_people_are_asked_again(project: Project) -> None:
    comparison = by_machine(project)
    act(project, comparison, AGAIN)
    assert (comparison.outcome, comparison.judgment_count) == ("waiting", 0)
    assert not labelling.candidates(project).filter(pk=comparison.pk).exists()


@pytest.mark.parametrize("votes", [[], [("1", "")], [("tie", "tie")] * 2, [("1", ""), ("2", "")]])
def test_going_back_a_migration_leaves_what_is_taken_out_to_its_votes(votes: Any) -> None:
    """Nobody has found equal what nobody was asked about, and what waits has a free slot."""
    project = factories.make_project(k=2, maximum=3)
    comparison = waiting(project)
    for vote in votes:
        factories.judge(comparison, *vote)
    comparison.refresh_from_db()
    before = state(comparison)
    act(project, comparison, RETIRE)
    with connection.cursor() as cursor:
        cursor.execute(GOING_BACK)
    comparison.refresh_from_db()
    assert state(comparison) == before


def test_a_machines_votes_withdrawn_meanwhile_do_not_bring_back(project: Project) -> None:
    comparison = by_machine(project)
    act(project, comparison, RETIRE)
    withdraw_machine_votes(comparison.machine_labels.get().labelling_id)
    comparison.refresh_from_db()
    assert (comparison.outcome, comparison.machine_vote) == ("retired", "")
    act(project, comparison, BRING_BACK)
    assert (comparison.outcome, comparison.open_slots) == ("waiting", 1)


@pytest.mark.parametrize(
    ("action", "amount"),
    [
        *(("priority", 0), ("priority", 1_000_001), ("priority", -(10**300))),
        *(("retire", 1), ("bring_back", -1), ("hand_out_again", 0), ("hand_out_again", 21)),
    ],
)
def test_an_amount_that_an_action_cannot_have_is_refused(action: str, amount: int) -> None:
    with pytest.raises(NoSuchChange) as refused:
        Change(action=Action(action), amount=amount)
    assert refused.value.extra == {"field": "amount"}


@pytest.mark.parametrize(("at", "points"), [(10**9 - 1, 2), (1 - 10**9, -2), (2**31 - 1, 1)])
def test_no_priority_comes_near_the_ends_of_its_column(
    project: Project, at: int, points: int
) -> None:
    comparison = factories.make_comparison(project, priority=at)
    change = Change(action=Action.PRIORITY, amount=points)
    assert act(project, comparison, change).left == {"their priority would pass 1,000,000,000": 1}
    assert comparison.priority == at
    back = Change(action=Action.PRIORITY, amount=-points)
    assert act(project, comparison, back).changed == (abs(at - points) <= 10**9)


def test_other_projects_are_never_changed(project: Project) -> None:
    foreign = waiting(factories.make_project())
    assert act(project, foreign, RETIRE) == bulk_actions.Changed(changed=0, left={})
    assert foreign.outcome == "waiting"


def test_more_than_go_at_once_are_refused_whole(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "MOST_AT_ONCE", 2)
    factories.make_comparisons(project, 3)
    with pytest.raises(TooMany):
        bulk_actions.chosen(project.comparisons.all())


def test_the_command_changes_any_number_by_portions(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.management.commands.change_comparisons.MOST_AT_ONCE", 2)
    factories.make_comparisons(project, 5)
    gold(project)
    out = io.StringIO()
    told = {"stdout": out, "stderr": io.StringIO()}
    call_command("change_comparisons", project.slug, "retire", "--dry-run", **told)
    assert not project.comparisons.filter(outcome="retired").exists()
    call_command("change_comparisons", project.slug, "retire", outcome="waiting", **told)
    assert project.comparisons.filter(outcome="retired").count() == 5
    assert out.getvalue().splitlines() == [
        "5 would be changed",
        "1 as before: gold comparisons: withdraw them as gold first",
        "5 changed",
    ]
    with pytest.raises(CommandError, match="--amount: The amount must be a number"):
        call_command("change_comparisons", project.slug, "priority", **told)


# --- Over HTTP ------------------------------------------------------------------------------------


def logged_in(project: Project, role: str) -> Client:
    client = Client()
    client.force_login(factories.make_member(project, role))
    return client


def test_the_page_shows_what_would_change_and_then_changes_it(project: Project) -> None:
    client = logged_in(project, "manager")
    first, second, known = waiting(project), waiting(project), gold(project)
    comparisons = reverse("annotation:comparisons", args=[project.slug])
    shown = client.get(f"{comparisons}?outcome=waiting").content.decode()
    assert f'value="{first.pk}"' in shown and "For all 2…" in shown
    change = reverse("annotation:change-comparisons", args=[project.slug])
    sent = {"action": "retire", "comparison": [first.pk, known.pk], "amount": "7"}
    asked = client.post(change, sent).content.decode()
    assert "Take out 1 comparison?" in asked and "1 stays as before: gold comparisons" in asked
    first.refresh_from_db()
    assert first.outcome == "waiting"
    told = client.post(change, {**sent, "sure": "on"}, follow=True).content.decode()
    assert "1 comparison is changed. As before: 1 (gold comparisons" in told
    first.refresh_from_db()
    assert first.outcome == "retired"
    # All that are found: the one that still waits, and nothing beside the filter.
    client.post(f"{change}?outcome=waiting", {"action": "retire", "all": "on", "sure": "on"})
    assert project.comparisons.filter(outcome="retired").count() == 2
    second.refresh_from_db()
    assert "Taken out" in client.get(f"{comparisons}?outcome=retired").content.decode()
    assert "A manager took it out" in client.get(second.get_absolute_url()).content.decode()


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("", {"action": "retire"}),
        ("", {"action": "nothing", "all": "on"}),
        ("", {"action": "priority", "all": "on"}),
        ("", {"action": "retire", "comparison": "x"}),
        ("?outcome=nothing", {"action": "retire", "all": "on"}),
        ("?person=0", {"action": "retire", "all": "on"}),
    ],
)
def test_what_cannot_be_read_changes_nothing(
    project: Project, query: str, sent: dict[str, str]
) -> None:
    waiting(project)
    client = logged_in(project, "manager")
    change = reverse("annotation:change-comparisons", args=[project.slug])
    answer = client.post(change + query, {**sent, "sure": "on"}, follow=True)
    assert 'class="toast toast-error"' in answer.content.decode()
    assert not project.comparisons.filter(outcome="retired").exists()


def test_rest_changes_what_the_address_finds_or_the_body_names(project: Project) -> None:
    client = logged_in(project, "manager")
    made = [waiting(project), waiting(project), factories.make_comparison(project, source="run 1")]
    path = f"/api/v1/projects/{project.slug}/comparisons/changes"

    def send(query: str = "", key: str = "", **body: Any) -> tuple[int, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        text = json.dumps(body)
        answer = client.post(path + query, text, content_type="application/json", headers=headers)
        return answer.status_code, answer.json()

    names = [made[0].pk]
    for _ in range(2):
        points = {"action": "priority", "amount": 5, "comparisons": names}
        assert send(key="k", **points) == (200, {"changed": 1, "left": {}})
    made[0].refresh_from_db()
    assert made[0].priority == 5
    assert send("?source=run%201", action="retire", all=True, dry_run=True)[1]["changed"] == 1
    assert send("?source=run%201", action="retire", all=True)[1]["changed"] == 1
    assert [one.outcome for one in project.comparisons.order_by("pk")] == [
        *("waiting", "waiting", "retired")
    ]
    for wrong in (
        {"action": "retire"},
        {"action": "retire", "all": True, "comparisons": names},
        {"action": "priority", "all": True},
        {"action": "retire", "comparisons": [10**30]},
        {"action": "retire", "comparisons": [*names, 10**9]},
        {"action": "retire", "all": True, "amount": 3},
    ):
        assert send(**wrong)[0] in (400, 422), wrong
    assert send("?outcome=nothing", action="retire", all=True)[0] == 400
