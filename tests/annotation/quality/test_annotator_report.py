"""One annotator over time: their weeks, what is missing, and what they may see themselves."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation.models import Project, User, WorkDay
from annotation.models.figures import COUNTS
from annotation.quality import figures
from annotation.quality.annotator_report import annotator_report
from annotation.quality.shares import Share
from tests.factories import judge, make_comparison, make_member, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def figures_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days are made here by hand; counting would replace them."""
    monkeypatch.setattr(figures, "_count_days", lambda project: None)


def day(project: Project, person: User, when: date, **counts: float) -> None:
    zeros = dict.fromkeys(("active_seconds", *COUNTS), 0)
    WorkDay.objects.create(project=project, annotator=person, day=when, **{**zeros, **counts})


def this_monday() -> date:
    today = timezone.localdate()
    return today - timedelta(days=today.weekday())


def test_weeks_add_up_their_days_oldest_first() -> None:
    project, monday = make_project(pause_below=0.7), date(2026, 3, 2)
    person = make_member(project)
    day(project, person, monday + timedelta(days=8), answers=4, gold=4, gold_right=2)
    day(project, person, monday, answers=3, gold=1, gold_right=1, timed=2, active_seconds=30)
    day(project, person, monday + timedelta(days=6), answers=2, gold=3, gold_right=2)
    found = annotator_report(project, person)
    gold, time = found.plots
    assert gold.rows[0][:2] == ("2 Mar 2026", "0.75")
    assert gold.rows[1][:2] == ("9 Mar 2026", "0.50")
    assert [guide.text for guide in gold.guides] == ["project's bar"]
    assert time.rows == [("2 Mar 2026", "15", "none", "2")]
    assert found.person.gold == Share(5, 8)
    assert found.seconds_an_answer == 15
    assert len(found.missing) == 4


def test_the_person_sees_nothing_of_gold_repeats_and_others_of_whatever_week() -> None:
    project = make_project()
    person = make_member(project)
    checked = {"gold": 1, "gold_right": 1, "repeats": 1, "repeats_same": 1}
    checked |= {"paired": 2, "agreed": 1, "named": 2, "named_first": 1}
    for when in (this_monday() - timedelta(days=7), this_monday()):
        day(project, person, when, answers=2, **checked)
    own = annotator_report(project, person, own=True)
    assert own.person.first_named == Share(2, 4)
    assert (own.person.gold, own.person.consistent, own.person.agreed) == (Share(),) * 3
    assert ([plot.title for plot in own.plots], own.missing) == (["Names the first shown"], [])
    full = annotator_report(project, person)
    assert (full.person.gold, full.person.answers) == (Share(2, 2), own.person.answers)


def test_reviewers_and_the_person_open_the_page_and_nobody_else() -> None:
    project = make_project(k=1)
    judgment = judge(make_comparison(project))
    person = judgment.assignment.annotator
    path = reverse("annotation:annotator", args=[project.slug, person.pk])
    expected = {
        person: 200,
        make_member(project, "reviewer"): 200,
        make_member(project): 403,
        make_member(make_project(), "manager"): 404,
    }
    for visitor, status in expected.items():
        client = Client()
        client.force_login(visitor)
        assert client.get(path).status_code == status
    stranger = reverse("annotation:annotator", args=[project.slug, make_member(make_project()).pk])
    assert client.get(stranger).status_code == 404


def test_the_page_asks_as_often_for_many_weeks() -> None:
    project = make_project()
    reviewer, person = make_member(project, "reviewer"), make_member(project)
    client = Client()
    client.force_login(reviewer)
    path = reverse("annotation:annotator", args=[project.slug, person.pk])
    figures.refresh(project)
    counts = []
    for weeks in (1, 9):
        for number in range(weeks):
            when = date(2026, 1, 5) + timedelta(days=7 * number + weeks)
            day(project, person, when, answers=1, gold=1)
        with CaptureQueriesContext(connection) as caught:
            assert b"By week" in client.get(path).content
        counts.append(len(caught))
    assert counts[0] == counts[1]
