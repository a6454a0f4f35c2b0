"""What a project's front page says about throughput, agreement and completion."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation import queue
from annotation.dashboard import dashboard
from annotation.models import Judgment
from annotation.quality import figures
from annotation.quality.shares import Share
from tests.factories import judge, make_comparison, make_comparisons, make_member, make_project

pytestmark = pytest.mark.django_db


def test_throughput_leaves_today_out_and_counts_days_of_rest() -> None:
    project = make_project(k=1)
    for number, before in enumerate((0, 1, 3, 3, 3)):
        judgment = judge(make_comparison(project), active_seconds=1800 * (number + 1))
        moment = timezone.now() - timedelta(days=before)
        Judgment.objects.filter(pk=judgment.pk).update(created_at=moment)
    found = dashboard(project)
    assert [one.answers for one in found.days[-4:]] == [3, 0, 1, 1]
    assert found.answers_a_day == pytest.approx(4 / 3)
    assert found.days[-1].active_hours == pytest.approx(0.5)
    assert found.active_hours == pytest.approx(7.5)
    assert found.seconds_an_answer == pytest.approx(5400)
    assert sum(one.answers_today for one in found.people) == 1


def test_the_forecast_waits_for_three_days_and_then_counts_what_splits_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On a busy machine counting takes long, and what was counted is kept for longer.
    monkeypatch.setattr(figures, "FRESH_TIMES", 0)
    project = make_project(k=2, maximum=3)
    for number in range(12):
        comparison = make_comparison(project)
        for said in ("1", "2", "1") if number % 2 else ("1", "1"):
            judge(comparison, said)
    make_comparisons(project, 10)
    assert "Cannot say yet" in dashboard(project).forecast.reason
    keys = Judgment.objects.order_by("pk").values_list("pk", flat=True)
    for number, pk in enumerate(keys):
        moment = timezone.now() - timedelta(days=1 + number % 3)
        Judgment.objects.filter(pk=pk).update(created_at=moment)
    found = dashboard(project).forecast
    # Ten wait for two answers each, and every second one so far has needed a third.
    assert (found.remaining, found.rate) == (25, 10)
    assert found.done == timezone.localdate() + timedelta(days=3)


def test_ties_agreement_and_skips() -> None:
    project = make_project(k=2)
    comparison = make_comparison(project)
    judge(comparison, "1")
    judge(comparison, "tie", "1")
    make_comparison(project)
    person = make_member(project)
    lease = queue.claim(project, person)
    assert lease is not None
    queue.skip(person, lease.token, reason="sensitive")
    found = dashboard(project)
    assert found.ties == Share(1, 2)
    assert found.agreement["comparisons"] == 1
    assert found.skips == [("The content is sensitive", 1)]
    assert {one.user: one.skipped for one in found.people}[person] == 1


def test_annotators_see_progress_and_not_the_dashboard() -> None:
    project = make_project(k=1)
    judge(make_comparison(project))
    texts = {}
    for role in ("annotator", "reviewer"):
        client = Client()
        client.force_login(make_member(project, role))
        texts[role] = client.get(project.get_absolute_url()).content.decode()
    assert "Answers a day" in texts["reviewer"]
    assert "Answers a day" not in texts["annotator"]


def test_the_page_asks_as_often_for_much_work() -> None:
    counts = []
    for people in (1, 4):
        project = make_project(k=people)
        reviewer = make_member(project, "reviewer")
        comparison = make_comparison(project)
        for _ in range(people):
            judge(comparison)
        client = Client()
        client.force_login(reviewer)
        with CaptureQueriesContext(connection) as caught:
            assert client.get(reverse("annotation:project", args=[project.slug])).status_code == 200
        counts.append(len(caught))
    assert counts[0] == counts[1]


def test_before_the_first_count_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "QUICK_JUDGMENTS", 0)
    project = make_project(k=1)
    judge(make_comparison(project))
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    text = client.get(project.get_absolute_url()).content.decode()
    assert "Being counted for the first time" in text
