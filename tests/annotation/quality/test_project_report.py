"""The quality page's figures, its advice, and who may make gold."""

import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation import gold_and_repeats, queue
from annotation.models import Assignment, Comparison, Judgment
from annotation.quality.project_report import Person, advice, report
from annotation.quality.shares import Share
from annotation.quality.significance import beyond_chance
from tests.factories import judge, make_comparison, make_comparisons, make_member, make_project

pytestmark = pytest.mark.django_db


def labels(project, person, count, choose):
    """``person`` answers ``count`` comparisons by ``choose(assignment)``."""
    for _ in range(count):
        lease = queue.claim(project, person)
        answer = queue.Answer(more_hallucinated=choose(lease))
        queue.submit(person, lease.token, answer, client_uuid=uuid.uuid4())


def of(found, person):
    return next(one for one in found.people if one.user == person)


def browser(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(5, 10, 0.2366, 0.7634), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_wilsons_interval(part, whole, low, high):
    assert Share(part, whole).interval == pytest.approx((low, high), abs=1e-4)


def test_who_always_names_the_first_shown_is_found_out():
    project = make_project(k=2)
    make_comparisons(project, 14)
    hasty, careful = make_member(project), make_member(project)
    labels(project, hasty, 14, lambda lease: str(lease.shown_first))
    labels(project, careful, 14, lambda lease: str(1 + lease.comparison_id % 2))
    found = report(project)
    assert (of(found, hasty).first_named.part, of(found, hasty).first_named.whole) == (14, 14)
    assert "shown first too often" in " ".join(of(found, hasty).advice)
    assert found.together.answers == 28
    expected = Judgment.objects.filter(assignment__annotator=careful)
    firsts = sum(j.more_hallucinated == str(j.assignment.shown_first) for j in expected)
    assert of(found, careful).first_named.part == firsts


def test_the_longer_response_and_ties_are_counted_apart():
    project = make_project(k=1)
    make_comparison(project, response_1="long " * 9, response_2="short", priority=3)
    make_comparison(project, response_1="short", response_2="long " * 9, priority=2)
    make_comparison(project, response_1="same", response_2="even", priority=1)
    make_comparison(project, response_1="a", response_2="longer")
    person = make_member(project)
    answers = iter(["2", "2", "1"])
    labels(project, person, 3, lambda lease: next(answers))
    lease = queue.claim(project, person)
    tie = queue.Answer(more_hallucinated="tie", more_helpful="2")
    queue.submit(person, lease.token, tie, client_uuid=uuid.uuid4())
    assert of(report(project), person).longer_won == Share(1, 2)


def test_gold_and_repeats_are_reported(monkeypatch):
    monkeypatch.setattr(gold_and_repeats, "REPEAT_AFTER", 0)
    project = make_project(k=1, gold_rate=0.5, repeat_rate=0.2)
    for gold in make_comparisons(project, 2):
        gold_and_repeats.make_gold(gold, more_hallucinated="2")
    make_comparisons(project, 3)  # One stays: a check comes only in place of work.
    person = make_member(project)
    draws = iter([0.0, 0.0, 0.9, 0.9, 0.6, 0.6])
    monkeypatch.setattr(gold_and_repeats.random, "random", lambda: next(draws))
    answers = iter(["2", "1", "1", "1", "1", "2"])
    labels(project, person, 6, lambda lease: next(answers))
    purposes = Assignment.objects.values_list("purpose", flat=True)
    assert sorted(purposes) == ["gold", "gold", "repeat", "repeat", "work", "work"]
    mine = of(report(project), person)
    assert (mine.gold, mine.consistent, mine.answers) == (Share(1, 2), Share(1, 2), 6)


def test_advice_keeps_silent_about_chance():
    project = make_project(gold_rate=0.1)
    chance = {"gold": Share(6, 9), "first_named": Share(7, 10), "longer_won": Share(6, 10)}
    assert said_of(chance, project) == []
    poor = {"gold": Share(5, 20), "first_named": Share(1, 20), "longer_won": Share(20, 20)}
    assert len(said_of(poor, project)) == 3


def said_of(shares, project):
    person = Person(answers=20, **shares)
    person.beyond_chance = beyond_chance({1: shares})[1]
    return advice(person, project)


def test_agreement_is_told_by_week_and_without_checks():
    project = make_project(k=2)
    comparison = make_comparison(project)
    judge(comparison, "1")
    judge(comparison, "2")
    other = make_comparison(project)
    judge(other, "1")
    judge(other, "1")
    found = report(project)
    assert found.agreement["comparisons"] == 2
    assert [week["comparisons"] for week in found.weeks] == [2]
    assert found.weeks[0]["alpha"] == found.agreement["alpha"]


def test_the_page_asks_as_often_for_many_annotators():
    counts = []
    for people in (1, 4):
        project = make_project(k=people)
        make_comparisons(project, 2)
        reviewer = make_member(project, "reviewer")
        for _ in range(people):
            labels(project, make_member(project), 2, lambda lease: "1")
        client = browser(reviewer)
        path = reverse("annotation:quality", args=[project.slug])
        with CaptureQueriesContext(connection) as caught:
            assert client.get(path).status_code == 200
        counts.append(len(caught))
    assert counts[0] == counts[1]


def test_an_empty_project_says_what_will_be_here():
    project = make_project()
    path = reverse("annotation:quality", args=[project.slug])
    text = browser(make_member(project, "reviewer")).get(path).content.decode()
    assert "No answers yet" in text
    assert "Make gold" not in text


def test_only_managers_make_gold():
    project = make_project(k=2)
    comparison = make_comparison(project)
    judge(comparison, "1")
    judge(comparison, "1")
    promote = reverse("annotation:promote", args=[project.slug])
    single = reverse("annotation:gold", args=[project.slug, comparison.pk])
    page = reverse("annotation:quality", args=[project.slug])
    for role, status in (("annotator", 403), ("reviewer", 403)):
        client = browser(make_member(project, role))
        assert client.post(promote, {"most": 1}).status_code == status
        assert client.post(single, {"more_hallucinated": "1"}).status_code == status
    outsider = browser(make_member(make_project(), "manager"))
    assert [outsider.post(promote).status_code, outsider.get(page).status_code] == [404, 404]
    assert not Comparison.objects.exclude(gold_more_hallucinated="").exists()
    manager = browser(make_member(project, "manager"))
    assert manager.post(promote, {"most": 5}).status_code == 302
    comparison.refresh_from_db()
    assert comparison.gold_more_hallucinated == "1"
    manager.post(single, {"more_hallucinated": ""})
    comparison.refresh_from_db()
    assert not comparison.is_gold
    manager.post(single, {"more_hallucinated": "tie", "explanation": "both fine"})
    comparison.refresh_from_db()
    assert (comparison.gold_more_hallucinated, comparison.outcome) == ("tie", "undecided")
