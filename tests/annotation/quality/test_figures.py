"""Counts of a project's judgments: right, kept, and made anew."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from annotation import gold_and_repeats, queue
from annotation.dashboard import dashboard
from annotation.models import Assignment, Comparison, Figures, Judgment, Project, User, WorkDay
from annotation.quality import figures
from tests.announcing import keep_announcements
from tests.factories import (
    judge,
    make_comparison,
    make_comparisons,
    make_member,
    make_project,
    make_study,
)

pytestmark = pytest.mark.django_db
MONDAY = datetime(2026, 3, 2, 12, tzinfo=timezone.get_default_timezone())


def answer(project: Project, person: User, **said: Any) -> Judgment:
    lease = queue.claim(project, person)
    assert lease is not None
    given = queue.Answer(**said)
    return queue.submit(person, lease.token, given, client_uuid=uuid.uuid4()).judgment


def given_at(judgment: Judgment, moment: datetime) -> None:
    Judgment.objects.filter(pk=judgment.pk).update(created_at=moment)


def test_a_day_counts_what_was_answered_on_it() -> None:
    project = make_project(k=1)
    make_comparison(project, response_1="long " * 9, response_2="short", priority=2)
    make_comparison(project, response_1="even", response_2="same", priority=1)
    make_comparison(project)
    person = make_member(project)
    first = answer(project, person, more_hallucinated="2", active_seconds=7.5)
    tie = answer(project, person, more_hallucinated="tie", more_helpful="1")
    given_at(tie, MONDAY + timedelta(days=1))
    given_at(first, MONDAY)
    lease = queue.claim(project, person)
    assert lease is not None
    queue.skip(person, lease.token, reason="language")
    figures.refresh(project)
    days = {one.day: one for one in WorkDay.objects.filter(annotator=person)}
    one = days[MONDAY.date()]
    assert (one.answers, one.timed, one.active_seconds, one.named) == (1, 1, 7.5, 1)
    assert (one.unequal, one.longer, one.skipped, one.ties) == (1, 1, 0, 0)
    assert one.named_first == int(first.assignment.shown_first == 2)
    two = days[MONDAY.date() + timedelta(days=1)]
    assert (two.answers, two.ties, two.timed, two.named, two.unequal) == (1, 1, 0, 0, 0)
    assert days[timezone.localdate()].skipped == 1


def test_votes_of_others_are_paired_and_surplus_is_not() -> None:
    project = make_project(k=3)
    comparison = make_comparison(project)
    judgments = [judge(comparison, choice) for choice in ("1", "1", "2")]
    late = make_member(project)
    Assignment.objects.create(
        project=project,
        comparison=comparison,
        annotator=late,
        state="judged",
        shown_first=1,
        leased_at=MONDAY,
        expires_at=MONDAY,
    )
    Judgment.objects.create(
        assignment=late.assignments.get(),
        comparison=comparison,
        more_hallucinated="1",
        surplus=True,
        created_at=MONDAY,
        changed_at=MONDAY,
    )
    figures.refresh(project)
    found = [
        WorkDay.objects.values_list("agreed", "paired").get(annotator=one.assignment.annotator)
        for one in judgments
    ]
    assert found == [(1, 2), (1, 2), (0, 2)]
    assert WorkDay.objects.values_list("agreed", "paired").get(annotator=late) == (0, 0)


def test_gold_and_repeats_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gold_and_repeats, "REPEAT_AFTER", 0)
    project = make_project(k=1, gold_rate=0.5, repeat_rate=0.2)
    for gold in make_comparisons(project, 2):
        gold_and_repeats.make_gold(gold, more_hallucinated="2")
    make_comparisons(project, 3)  # One stays: a check comes only in place of work.
    person = make_member(project)
    draws = iter([0.0, 0.0, 0.9, 0.9, 0.6, 0.6])
    monkeypatch.setattr(gold_and_repeats.random, "random", lambda: next(draws))
    for said in ("2", "1", "1", "1", "1", "2"):
        answer(project, person, more_hallucinated=said)
    figures.refresh(project)
    day = WorkDay.objects.get()
    assert (day.gold, day.gold_right, day.repeats, day.repeats_same) == (2, 1, 2, 1)
    assert (day.answers, day.paired) == (6, 0)


def test_counting_again_follows_changes_and_forgets_what_is_gone() -> None:
    project = make_project(k=1)
    make_comparisons(project, 2)
    person = make_member(project)
    kept, moved = (answer(project, person, more_hallucinated="1") for _ in range(2))
    given_at(moved, MONDAY)
    figures.refresh(project)
    assert WorkDay.objects.count() == 2
    change = queue.Answer(more_hallucinated="tie", more_helpful="tie")
    queue.edit(person, kept.pk, change, version=1, client_uuid=uuid.uuid4())
    given_at(moved, kept.created_at)
    figures.refresh(project)
    day = WorkDay.objects.get()
    assert (day.answers, day.ties, day.day) == (2, 1, timezone.localdate())


def test_other_projects_are_left_alone() -> None:
    projects = [make_project(k=1) for _ in range(2)]
    for project in projects:
        judge(make_comparison(project))
        figures.refresh(project)
    figures.refresh(projects[0])
    assert sorted(WorkDay.objects.values_list("project", flat=True)) == sorted(
        project.pk for project in projects
    )


def test_a_large_project_shows_what_was_counted_and_asks_a_worker(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    cache.clear()
    sent = keep_announcements(monkeypatch)
    monkeypatch.setattr(figures, "QUICK_JUDGMENTS", 0)
    project = make_project(k=1)
    judge(make_comparison(project))
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            assert figures.current(project).as_of is None
    assert sent == [("annotation.tasks.refresh_figures", project.pk)]
    counted = figures.refresh(project)
    Figures.objects.update(cost_seconds=60)
    judge(make_comparison(project))
    shown = figures.current(project)
    assert shown.as_of == counted.as_of
    assert figures.progress(shown).comparisons == 1


def test_a_small_project_is_always_current() -> None:
    project = make_project(k=1)
    assert figures.progress(figures.current(project)).comparisons == 0
    judge(make_comparison(project))
    found = figures.current(project)
    assert figures.progress(found).comparisons == 1
    assert found.data["settled"] == {"comparisons": 1, "more_votes": 0}


def test_agreement_is_told_by_annotator() -> None:
    project = make_project(k=2)
    people = [make_member(project) for _ in range(3)]
    # In the first comparison two agree. In the second the first of them and the third do not.
    for pair, choices in (((0, 1), "11"), ((0, 2), "12")):
        make_comparison(project)
        for place, choice in zip(pair, choices, strict=True):
            answer(project, people[place], more_hallucinated=choice)
    found = figures.agreements(figures.refresh(project))
    both, agreeing, other = (found[one.pk] for one in people)
    # Four answers, 3 and 1: 1 - (4 - 1) * 2 / (4**2 - 3**2 - 1**2) = 0.
    assert (both["comparisons"], both["alpha"]) == (2, pytest.approx(0))
    assert both["low"] <= 0 <= both["high"]
    assert (agreeing["comparisons"], agreeing["alpha"]) == (1, None)
    assert (other["comparisons"], other["alpha"]) == (1, pytest.approx(0))


@pytest.mark.parametrize(
    "more", ["nobody", "one who has not", "a study", "one whose lease ran out"]
)
def test_what_waits_although_everybody_has_had_it_is_counted(more: str) -> None:
    project = make_project(k=3)
    comparison, _ = make_comparison(project, priority=1), make_comparison(project)
    make_member(project, "manager")  # manages, and annotates nothing
    people = [make_member(project), make_member(project, "reviewer")]
    for person in people:
        answer(project, person, more_hallucinated="1")
    if more == "one who has not":
        make_member(project)
    elif more == "a study":
        make_study(project)
    elif more == "one whose lease ran out":
        had = Assignment.objects.filter(comparison=comparison)[:1].values("pk")
        Judgment.objects.filter(assignment__in=had).delete()
        Assignment.objects.filter(pk__in=had).update(state="expired")
    kept = figures.refresh(project)
    assert kept.data["nobody_left"] == (1 if more == "nobody" else 0)
    assert dashboard(project, kept).nobody_left == kept.data["nobody_left"]
    Comparison.objects.exclude(pk=comparison.pk).delete()
    kept = figures.refresh(project)
    said = dashboard(project, kept).forecast.reason
    assert (said == "Nobody is left to ask.") == (more == "nobody")
    if more == "nobody":
        client = Client()
        client.force_login(people[1])
        page = client.get(project.get_absolute_url()).content.decode()
        assert "1 comparison waits, and nobody is left to ask" in page
