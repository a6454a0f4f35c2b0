"""Asking for a labelling, following it and ending it, on the page and over REST."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import reverse

from annotation import queue
from annotation.bulk_actions import Action, Change, carry_out
from annotation.machine import deciding, labellers
from annotation.models import MachineLabelling
from tests.annotation.machine.factories import (
    ASKED,
    certified,
    make_labelling,
    of,
    say,
    second_is_worse,
    settle,
)
from tests.factories import make_comparisons, make_member, make_project, make_token

pytestmark = pytest.mark.django_db
FORM = {
    **{"machine": "oracle:1", "level_percent": 10, "confidence_percent": 90, "audit_percent": 0},
    **{"sample_size": 22, "comparisons": 1000},
}


@pytest.fixture
def project():
    return make_project(k=1)


@pytest.fixture
def manager(project):
    client = Client()
    client.force_login(make_member(project, "manager"))
    return client


@pytest.fixture
def rest(project):
    token = make_token(make_member(project, "manager"))
    return Client(headers={"Authorization": f"Bearer {token}"})


def test_a_manager_asks_and_is_told_what_is_wrong(project, manager):
    make_comparisons(project, 30)
    page = reverse("annotation:machine-labels", args=[project.slug])
    assert "30 comparisons wait and nobody has begun them" in manager.get(page).content.decode()
    refused = manager.post(page, {**FORM, "sample_size": 5})
    assert refused.status_code == 422
    assert "It takes at least 22 comparisons" in refused.content.decode()
    assert manager.post(page, {**FORM, "machine": "oracle:2"}).status_code == 422
    asked = manager.post(page, FORM)
    found = project.machine_labellings.get()
    assert asked.url == found.get_absolute_url()
    assert (found.level, found.confidence) == (0.1, 0.9)
    assert found.created_by is not None


def test_without_a_machine_the_page_says_how_to_get_one(project, manager, monkeypatch):
    monkeypatch.setattr(labellers, "_labellers", {})
    text = manager.get(reverse("annotation:machine-labels", args=[project.slug])).content.decode()
    assert "There is no machine yet" in text and "<form class" not in text


def test_nothing_of_the_sample_is_shown_before_it_is_decided(project, manager, rest):
    found = make_labelling(project, waiting=60)
    say(found, second_is_worse)
    sample = of(found, "sample")
    settle(sample, lambda place: "1" if place == 0 else "2")
    secret = sample[0].comparison.external_id
    labels = f"/api/v1/projects/{project.slug}/machine-labellings/1/labels"
    text = manager.get(found.get_absolute_url()).content.decode()
    assert "22 of 22 settled" in text and secret not in text
    assert rest.get(labels).json()["results"] == []
    assert rest.get(labels, {"use": "none"}).status_code == 400
    act = reverse("annotation:machine-labelling-act", args=[project.slug, 1])
    assert manager.post(act, {"action": "decide"}).url == found.get_absolute_url()
    text = manager.get(found.get_absolute_url()).content.decode()
    assert "Not certified" in text and secret in text
    told = rest.get(labels, {"use": "sample", "page_size": 100}).json()["results"]
    assert [one["people_agree"] for one in told].count(False) == 1
    assert rest.get(labels, {"use": "none"}).status_code == 400


@pytest.mark.parametrize("state", ["certified", "refused", "withdrawn"])
def test_what_people_have_still_to_settle_is_told_to_managers_who_do_not_annotate(
    project, rest, state
):
    found = certified(project, waiting=120, audit_share=0.25)
    audit = of(found, "audit")
    settle(audit[:2])
    if state == "withdrawn":
        deciding.withdraw(found, reason="It is a test.")
    elif state == "refused":
        project.machine_labellings.update(state=state)
    at = f"/api/v1/projects/{project.slug}/machine-labellings/1/labels"
    reviewer = make_member(project, "reviewer")
    asking = Client(headers={"Authorization": f"Bearer {make_token(reviewer)}"})

    def told(client, **asked):
        rows = client.get(at, {"page_size": 200, **asked}).json()["results"]
        return {row["comparison"] for row in rows}

    waiting = set(
        project.comparisons.filter(outcome="waiting").values_list("external_id", flat=True)
    )
    everything = {label.comparison.external_id for label in found.labels.all()}
    assert len(audit) > 2 and waiting & everything
    assert told(rest) == everything
    assert told(asking) == everything - waiting
    assert told(asking, use="audit") == {one.comparison.external_id for one in audit[:2]}
    queue.claim(project, project.memberships.get(role="manager").user)
    assert told(rest) == everything - waiting


def test_a_certificate_is_shown_and_its_votes_withdrawn(project, manager):
    found = certified(project, waiting=60)
    text = manager.get(found.get_absolute_url()).content.decode()
    assert "9.94 %" in text and "90 % sure; 10 % were allowed" in text
    act = reverse("annotation:machine-labelling-act", args=[project.slug, 1])
    assert manager.post(act, {"action": "sell"}).status_code == 422
    manager.post(act, {"action": "withdraw"})
    text = manager.get(found.get_absolute_url()).content.decode()
    assert "Its votes are withdrawn" in text and "withdrew it." in text
    again = manager.post(act, {"action": "withdraw"}, follow=True).content.decode()
    assert "Only the votes of a certified labelling" in again


def test_what_was_taken_out_is_said_beside_what_the_certificate_counts(project, manager, rest):
    found = certified(project, waiting=60, audit_share=0.5)
    out = [of(found, "sample")[0].comparison_id, *(row.comparison_id for row in of(found, "audit"))]
    assert carry_out(project, out[:3], Change(action=Action.RETIRE)).changed == 3
    text = manager.get(found.get_absolute_url()).content.decode()
    assert "at random, 1 of them taken out" in text
    assert "that stay with people, 2 of them taken out" in text
    told = rest.get(f"/api/v1/projects/{project.slug}/machine-labellings/1").json()
    assert told["taken_out"] == {"sample": 1, "audit": 2}


def test_over_rest(project, rest):
    make_comparisons(project, 30)
    at = f"/api/v1/projects/{project.slug}"
    offered = rest.get(f"{at}/machines").json()
    assert offered["candidates"] == 30
    assert "oracle:1" in [one["machine"] for one in offered["machines"]]

    def post(path, body):
        return rest.post(f"{at}/{path}", json.dumps(body), content_type="application/json")

    refused = post("machine-labellings", {**ASKED, "sample_size": 29, "level": 0.001})
    assert (refused.status_code, refused.json()["field"]) == (422, "sample_size")
    assert post("machine-labellings", {**ASKED, "level": 0.9}).status_code == 400
    made = post("machine-labellings", ASKED).json()
    assert (made["number"], made["state"], made["sample_settled"]) == (1, "labelling", 0)
    assert post("machine-labellings/1", {"action": "decide"}).status_code == 409
    assert post("machine-labellings/1", {"action": "cancel"}).json()["state"] == "cancelled"
    assert [one["state"] for one in rest.get(f"{at}/machine-labellings").json()["results"]] == [
        "cancelled"
    ]
    say(make_labelling(project), second_is_worse)
    found = MachineLabelling.objects.get(number=2)
    settle(of(found, "sample"))
    certificate = post("machine-labellings/2", {"action": "decide"}).json()["certificate"]
    listed = rest.get(f"{at}/comparisons", {"page_size": 100}).json()["results"]
    by = [one["decided_by"] for one in listed if one["judgment_count"] == 0]
    assert set(by) <= {"machine", ""}
    counted = rest.get(f"{at}/progress").json()["project"]
    assert certificate["passed"]
    assert by.count("machine") == counted["by_machine"] == certificate["taken"]


def test_lists_ask_no_more_where_there_is_more(project, manager, django_assert_max_num_queries):
    for waiting in (60, 120):
        found = make_labelling(project, waiting=waiting)
        say(found, second_is_worse)
        settle(of(found, "sample"), lambda _: "1")
        manager.post(
            reverse("annotation:machine-labelling-act", args=[project.slug, found.number]),
            {"action": "decide"},
        )
        with django_assert_max_num_queries(25):
            manager.get(found.get_absolute_url())
        with django_assert_max_num_queries(25):
            manager.get(reverse("annotation:machine-labels", args=[project.slug]))
