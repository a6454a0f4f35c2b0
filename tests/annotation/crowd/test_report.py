"""What managers read of participants, and do with studies."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation import gold_and_repeats, leases
from annotation.crowd import platforms, report, sessions, studies
from annotation.models import Participant, Project, Study, User
from tests import factories
from tests.annotation.crowd.conftest import answer, arrive, participant


@pytest.fixture
def manager(project: Project) -> Client:
    client = Client()
    client.force_login(factories.make_member(project, "manager"))
    return client


def only_line(study: Study) -> report.Line:
    [line] = report.lines(study, list(study.participants.select_related("user")))
    return line


def test_minutes_answers_and_quality_of_a_participant(project: Project, study: Study) -> None:
    project.gold_rate = 0.5
    project.save()
    for _ in range(3):
        gold_and_repeats.make_gold(factories.make_comparison(project), more_hallucinated="1")
    Study.objects.update(answers=4)
    arrive(study)
    who = participant().user
    given = [answer(project, who, active_seconds=30) for _ in range(4)]
    began = given[-1].created_at - timedelta(minutes=5)
    Participant.objects.update(arrived_at=began)
    study.refresh_from_db()
    line = only_line(study)
    assert line.state == report.State.FINISHED
    assert (line.answers, line.skipped) == (4, 0)
    assert line.active_minutes == 2
    assert line.minutes == pytest.approx(5, abs=0.1)
    gold = [one for one in given if one.assignment.purpose == "gold"]
    assert line.person.gold.whole == len(gold)
    assert line.person.gold.part == len(gold)
    assert (line.too_fast.part, line.too_fast.whole) == (0, 4)


def test_states_of_participants(project: Project, study: Study) -> None:
    arrive(study)
    assert only_line(study).state == report.State.AT_WORK
    Participant.objects.update(seen_at=timezone.now() - timedelta(days=2))
    assert only_line(study).state == report.State.LEFT
    answer(project, participant().user)
    membership = project.memberships.get(user=participant().user)
    leases.pause(membership)
    assert only_line(study).state == report.State.PAUSED
    sessions.finish(participant())
    assert only_line(study).state == report.State.FINISHED_EARLY
    membership.quiz_attempts.create(number=1, pass_mark=1, passed=False, ended_at=timezone.now())
    membership.quiz_attempts.create(number=2, pass_mark=1, passed=False, ended_at=timezone.now())
    Participant.objects.update(finished_at=None)
    membership.paused = False
    membership.save()
    assert only_line(study).state == report.State.FAILED_QUIZ
    membership.quiz_grants.create()
    assert only_line(study).state == report.State.LEFT


def test_queries_do_not_grow_with_participants(
    project: Project, study: Study, django_assert_max_num_queries: Any
) -> None:
    Study.objects.update(places=100)
    for number in range(6):
        arrive(study, f"p{number}")
        answer(project, participant(f"p{number}").user)
    people = list(study.participants.select_related("user"))
    report.lines(study, people[:2])
    with django_assert_max_num_queries(40) as few:
        report.lines(study, people[:2])
    with django_assert_max_num_queries(len(few.captured_queries)):
        report.lines(study, people)


def test_the_csv_is_what_the_page_shows_and_runs_no_formula(
    project: Project, study: Study, manager: Client
) -> None:
    arrive(study, "=HYPERLINK(1)")
    answer(project, participant("=HYPERLINK(1)").user, active_seconds=6)
    path = reverse("annotation:study-participants", args=[project.slug, study.pk])
    answered: Any = manager.get(path)
    [row] = csv.DictReader(io.StringIO(b"".join(answered.streaming_content).decode()))
    assert tuple(row) == report.COLUMNS
    assert row["participant_id"] == "'=HYPERLINK(1)"
    assert (row["answers"], row["answers_wanted"], row["active_minutes"]) == ("1", "2", "0.1")
    assert row["state"] == "at_work"
    page = manager.get(study.get_absolute_url()).content.decode()
    assert "=HYPERLINK(1)" in page
    assert "1 of 2" in page


def test_a_study_is_made_on_a_page_and_its_link_shown_once(
    project: Project, manager: Client
) -> None:
    path = reverse("annotation:studies", args=[project.slug])
    given: Any = {
        **{"name": "Pilot", "platform": "prolific", "answers": 10, "places": 5},
        **{"session_hours": 2, "completion_code": "C1", "return_url": ""},
    }
    made = manager.post(path, given).content.decode()
    assert "?PROLIFIC_PID={{%PROLIFIC_PID%}}" in made
    assert "SESSION_ID={{%SESSION_ID%}}" in made
    study = Study.objects.get()
    assert "shown this once" not in manager.get(study.get_absolute_url()).content.decode()
    assert "Pilot" in manager.get(path).content.decode()
    refused = manager.post(path, {**given, "completion_code": ""})
    assert refused.status_code == 422
    assert "Give a completion code" in refused.content.decode()
    act = reverse("annotation:study-act", args=[project.slug, study.pk])
    assert "shown this once" in manager.post(act, {"action": "renew-link"}).content.decode()
    for action, state in (("end", "ended"), ("reopen", "open"), ("withdraw-link", "no link")):
        manager.post(act, {"action": action})
        assert Study.objects.with_counts().get().state == state


def test_the_number_of_answers_stands_once_people_came(
    project: Project, study: Study, manager: Client
) -> None:
    arrive(study)
    path = reverse("annotation-api:study", args=[project.slug, study.pk])
    kind = "application/json"
    assert manager.patch(path, {"answers": 7}, content_type=kind).status_code == 409
    changed = manager.patch(path, {"places": 9, "ended": True}, content_type=kind).json()
    assert (changed["places"], changed["answers"], changed["taken"]) == (9, 2, 1)
    assert changed["ended_at"]
    study.refresh_from_db()
    assert studies.address_to_paste(study, "L").startswith("L?PROLIFIC_PID=")


def test_rest_makes_studies_and_reports(project: Project, manager: Client) -> None:
    path = reverse("annotation-api:studies", args=[project.slug])
    sent: Any = {"name": "Pilot", "platform": "mturk", "completion_code": "C", "answers": 1}
    kind = "application/json"
    made = manager.post(path, sent, content_type=kind).json()
    assert made["link"].endswith(
        "?workerId=${workerId}&hitId=${hitId}&assignmentId=${assignmentId}"
    )
    address = made["link"].replace("${workerId}", "w1").replace("${assignmentId}", "a1")
    assert Client().post(address.partition("testserver")[2]).status_code == 302
    answer(project, participant("w1").user)
    inside = f"{path}/{made['id']}"
    [line] = manager.get(f"{inside}/participants").json()["results"]
    assert (line["participant_id"], line["session_id"]) == ("w1", "a1")
    assert (line["state"], line["answers"]) == ("finished", 1)
    listed = manager.get(path).json()["results"][0]
    assert (listed["arrived"], listed["has_link"]) == (1, True)
    again = manager.post(f"{inside}/link").json()["link"]
    assert again != made["link"]
    assert manager.delete(f"{inside}/link").status_code == 204
    assert manager.get(inside).json()["has_link"] is False
    bad = manager.patch(inside, {"return_url": "http://x.org"}, content_type=kind)
    assert bad.status_code == 400
    assert [one["field"] for one in bad.json()["errors"]] == ["return_url"]


GOOD = ["https://app.prolific.com/submissions/complete?cc=ABC"]
BAD = [
    "http://app.prolific.com/",
    "javascript:alert(1)",
    "//app.prolific.com/",
    "https://app.prolific.com.evil.org/",
    "https://evilprolific.com/",
    "https://app.prolific.com@evil.org/",
    "https://evil.org/app.prolific.com",
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://localhost/",
    "https://app.prolific.com:99999/",
    "https:///x",
    "https://app.prolific.com/\n",
    "https://evil.org\\@app.prolific.com/",
]


@pytest.mark.parametrize("address", GOOD + BAD)
def test_people_are_led_back_to_the_platform_alone(address: str) -> None:
    fault = platforms.fault_of_address(address, "prolific")
    assert bool(fault) == (address in BAD), fault


def test_members_are_listed_without_participants(
    project: Project, study: Study, manager: Client
) -> None:
    arrive(study)
    page = manager.get(reverse("annotation:members", args=[project.slug])).content.decode()
    assert User.objects.get(is_participant=True).username not in page
    assert "So far 1 came" in page
