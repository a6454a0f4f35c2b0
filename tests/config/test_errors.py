"""Every way to be refused, as a page, as a fragment and over REST: in our own words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from config import errors
from tests import factories

pytestmark = pytest.mark.django_db
LARGE = 2**20 + 1
"""Bytes: one more than the promise says that a stranger may send (docs/security.md)."""


def nothing_here(client: Client, at: str, **headers: str) -> HttpResponse:
    return client.get(f"{at}nothing/here", **headers)


def a_body_too_large(client: Client, at: str, **headers: str) -> HttpResponse:
    kind = "application/octet-stream"
    return client.post(f"{at}projects", b"x" * LARGE, content_type=kind, **headers)


def another_host(client: Client, at: str, **headers: str) -> HttpResponse:
    return client.get(f"{at}projects", HTTP_HOST="elsewhere.example", **headers)


def a_form_of_another_session(client: Client, at: str, **headers: str) -> HttpResponse:
    return Client(enforce_csrf_checks=True).post(reverse("login"), {"username": "a"}, **headers)


def a_form_s_address(client: Client, at: str, **headers: str) -> HttpResponse:
    return client.get(reverse("logout"), **headers)


def too_many_fields(client: Client, at: str, **headers: str) -> HttpResponse:
    fields = {f"field-{number}": "x" for number in range(1100)}
    return client.post(reverse("login"), fields, **headers)


def a_fault(client: Client, at: str, **headers: str) -> HttpResponse:
    client.raise_request_exception = False
    return client.get(f"{at}faulty", **headers)


REFUSALS: list[tuple[Callable[..., HttpResponse], int]] = [
    (nothing_here, 404),
    (a_body_too_large, 413),
    (another_host, 400),
    (a_fault, 500),
]
OF_FORMS: list[tuple[Callable[..., HttpResponse], int]] = [
    (a_form_of_another_session, 403),
    (a_form_s_address, 405),
    (too_many_fields, 413),
]


@pytest.fixture
def faulty(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.config.faulty_urls"


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize(("refused", "status"), REFUSALS + OF_FORMS)
def test_a_page_says_it_in_our_words(refused: Callable[..., HttpResponse], status: int) -> None:
    answer = refused(Client(), "/")
    text = answer.content.decode()
    title = errors.OTHER_SESSION[0] if status == 403 else ""
    if refused is a_body_too_large:
        assert "Log in first" in text
    else:
        assert (title or errors.WORDS[status][0]) in text
    assert (answer.status_code, "FactLoop" in text, "</html>" in text) == (status, True, True)


@pytest.mark.parametrize("origin", ["https://labels.example.org:8443", "null"])
def test_a_form_from_another_address_is_told_what_to_set(origin: str) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post(reverse("login"), {"username": "a"}, HTTP_ORIGIN=origin)
    said = answer.content.decode()
    assert answer.status_code == 403
    assert errors.OTHER_ADDRESS[0] in said and "CSRF_TRUSTED_ORIGINS" in said


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize(("refused", "status"), REFUSALS + OF_FORMS)
def test_a_fragment_gets_a_sentence(refused: Callable[..., HttpResponse], status: int) -> None:
    answer = refused(Client(), "/", HTTP_HX_REQUEST="true")
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/plain")
    assert b"<" not in answer.content
    assert len(answer.content) > 40


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize(("refused", "status"), REFUSALS)
def test_rest_gets_problem_details(refused: Callable[..., HttpResponse], status: int) -> None:
    answer = refused(Client(), "/api/v1/")
    assert (answer.status_code, answer["Content-Type"]) == (status, errors.PROBLEM)
    problem = json.loads(answer.content)
    assert problem["status"] == status
    assert problem["title"] and problem["detail"] and problem["type"]


def test_a_role_that_does_not_reach_so_far_is_told_who_can_change_it() -> None:
    member = factories.make_member(factories.make_project(slug="words"))
    client = Client()
    client.force_login(member)
    answer = client.get("/projects/words/members/")
    assert answer.status_code == 403
    assert b"A manager of the project can change that" in answer.content


def test_what_is_refused_for_its_method_says_which_ones_there_are() -> None:
    assert "POST" in Client().get(reverse("logout"))["Allow"]


def test_people_who_have_logged_in_may_send_more() -> None:
    client = Client()
    client.force_login(factories.make_user())
    assert a_body_too_large(client, "/").status_code != 413
    token = factories.make_token(factories.make_user())
    known = a_body_too_large(Client(), "/api/v1/", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert known.status_code != 413
