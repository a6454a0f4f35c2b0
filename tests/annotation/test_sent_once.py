"""Forms that arrive twice: one result, and both are led to it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from annotation.models import IdempotentAnswer, Project, Release, User
from tests.factories import judge, make_admin, make_comparison, make_member, make_project

pytestmark = pytest.mark.django_db
FIELDS = {"held_out_percent": "10", "seed": "0", "minimum_reliability": "0", "form_id": "a-1"}


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def ready_project() -> Project:
    project = make_project(k=1)
    judge(make_comparison(project))
    return project


def test_a_form_that_arrives_twice_is_carried_out_once() -> None:
    project = ready_project()
    client = logged_in(make_member(project, "manager"))
    address = reverse("annotation:releases", args=[project.slug])
    answers = [client.post(address, FIELDS) for _ in range(3)]
    assert {(one.status_code, one["Location"]) for one in answers} == {
        (302, project.releases.get().get_absolute_url())
    }


def test_other_fields_another_form_and_another_person_are_other_acts() -> None:
    project = ready_project()
    people = [make_member(project, "manager") for _ in range(2)]
    address = reverse("annotation:releases", args=[project.slug])
    first = logged_in(people[0])
    for change in ({}, {"seed": "1"}, {"form_id": "a-2"}, {"form_id": ""}, {"form_id": ""}):
        first.post(address, {**FIELDS, **change})
    logged_in(people[1]).post(address, FIELDS)
    assert Release.objects.count() == 6


def test_a_form_with_a_fault_may_be_sent_again() -> None:
    client = logged_in(make_admin())
    for _ in range(2):
        assert client.post(reverse("annotation:project-new"), {"form_id": "a"}).status_code == 422
    assert not IdempotentAnswer.objects.exists()


def test_what_the_work_wrote_goes_with_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    project = ready_project()
    client = logged_in(make_member(project, "manager"))
    client.raise_request_exception = False
    address = reverse("annotation:releases", args=[project.slug])
    with monkeypatch.context() as patch:
        patch.setattr(Release, "get_absolute_url", lambda self: 1 / 0)
        assert client.post(address, FIELDS).status_code == 500
    assert not Release.objects.exists() and not IdempotentAnswer.objects.exists()
    assert client.post(address, FIELDS).status_code == 302
    assert Release.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_presses_at_once_wait_for_each_other() -> None:
    project = ready_project()
    clients = [logged_in(user) for user in [make_member(project, "manager")] * 4]
    address = reverse("annotation:releases", args=[project.slug])

    def press(client: Client) -> str:
        try:
            return client.post(address, FIELDS)["Location"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        led_to = set(pool.map(press, clients))
    assert led_to == {project.releases.get().get_absolute_url()}
