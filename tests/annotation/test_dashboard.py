"""What a project's front page says about throughput, agreement and completion."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation import bulk_actions, exporting, gold_and_repeats, queue
from annotation.dashboard import dashboard
from annotation.days import current_day
from annotation.models import Judgment
from annotation.progress import own_progress, progress_of
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
    assert found.done == current_day() + timedelta(days=3)
    type(project).objects.filter(pk=project.pk).update(state="paused")
    project.refresh_from_db()
    stopped = dashboard(project).forecast
    assert (stopped.done, stopped.remaining) == (None, 25)
    assert "not open" in stopped.reason


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


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_everybody_reads_the_same_days_wherever_they_are(zone: str) -> None:
    project = make_project(k=1)
    for number, before in enumerate((0, 0, 1, 2)):
        judgment = judge(make_comparison(project), active_seconds=60 * (number + 1))
        moment = timezone.now() - timedelta(days=before)
        Judgment.objects.filter(pk=judgment.pk).update(created_at=moment)
    here = dashboard(project)
    annotator = judgment.assignment.annotator
    mine = own_progress(project, annotator)
    with timezone.override(zone):
        there = dashboard(project)
        assert own_progress(project, annotator) == mine
    assert (there.days, there.answers_a_day) == (here.days, here.answers_a_day)
    assert [one.answers_today for one in there.people] == [one.answers_today for one in here.people]
    assert here.days[-1].answers == 2


def test_a_mean_of_days_says_of_how_many_and_is_none_of_none() -> None:
    project = make_project(k=1)
    judgment = judge(make_comparison(project))
    found = dashboard(project)
    assert (found.answers_a_day, found.rate_days) == (None, 0)
    Judgment.objects.filter(pk=judgment.pk).update(
        created_at=judgment.created_at - timedelta(days=2)
    )
    found = dashboard(project)
    assert (found.answers_a_day, found.rate_days) == (0.5, 2)


def test_a_project_and_its_release_say_the_same_agreement() -> None:
    project = make_project(k=2, ask_correction="better")
    comparisons = []
    for said in (("1", "1"), ("2", "2"), ("1", "2"), ("1", "1"), ("2", "2"), ("tie", "1")):
        comparison = make_comparison(project)
        for one in said:
            texts = (
                {} if one == "tie" else {"corrections": [{"response": 3 - int(one), "text": "A."}]}
            )
            judge(comparison, one, "1" if one == "tie" else "", **texts)
        comparisons.append(comparison)
    gold_and_repeats.make_gold(comparisons[0], more_hallucinated="1")
    out = bulk_actions.Change(action=bulk_actions.Action.RETIRE)
    bulk_actions.carry_out(project, [comparisons[2].pk], out)
    release = exporting.make_release(
        project, seed=7, policy={"accept_chance_agreement": True, "honesty_only": True}
    )
    found, counts = dashboard(project), progress_of(project)
    assert release.agreement == found.agreement
    assert found.agreement["comparisons"] == 4 == counts.comparisons
    assert counts.corrected == 7 <= counts.judgments == 8
