"""Logging in, when it goes wrong too often."""

from __future__ import annotations

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.test import Client
from django.urls import reverse

from tests import factories

pytestmark = pytest.mark.django_db


def test_too_many_wrong_passwords_are_answered_by_a_page_that_says_so() -> None:
    user = factories.make_user()
    client, login = Client(), reverse("login")
    wrong = {"username": user.username, "password": "wrong"}
    first = client.post(login, wrong)
    assert first.status_code == 200
    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        last = client.post(login, wrong)
    assert last.status_code == 429
    assert b"Too many attempts" in last.content
    assert b"for 15 minutes" in last.content
    right = client.post(login, {**wrong, "password": factories.PASSWORD})
    assert right.status_code == 429


def test_one_person_locked_out_does_not_lock_out_another() -> None:
    user, other = factories.make_user(), factories.make_user()
    client, login = Client(), reverse("login")
    for _ in range(settings.AXES_FAILURE_LIMIT):
        client.post(login, {"username": user.username, "password": "wrong"})
    answer = client.post(login, {"username": other.username, "password": factories.PASSWORD})
    assert answer.status_code == 302


# --- Counts of a name and of an address -------------------------------------------------------


@pytest.fixture
def low_limits(settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    settings.LOGIN_FAILURES_OF_A_NAME = settings.LOGIN_FAILURES_OF_AN_ADDRESS = 6


def log_in(name: str, address: str, password: str = factories.PASSWORD) -> int:
    sent = {"username": name, "password": password}
    return Client().post(reverse("login"), sent, REMOTE_ADDR=address).status_code


@pytest.mark.usefixtures("low_limits")
def test_a_name_that_many_addresses_try_is_closed_to_strangers_and_open_to_its_owner() -> None:
    name = factories.make_user().username
    assert log_in(name, "10.0.0.1") == 302
    tried = [log_in(name, f"10.9.0.{number // 2}", "wrong") for number in range(8)]
    assert tried == [200] * 5 + [429] * 3
    assert log_in(name, "10.8.0.1") == 429, "the right password of somebody never seen there"
    assert log_in(name, "10.0.0.1") == 302


@pytest.mark.usefixtures("low_limits")
def test_an_address_that_tries_many_names_is_closed_to_strangers_and_open_to_who_works_there() -> (
    None
):
    colleague, newcomer = factories.make_user().username, factories.make_user().username
    assert log_in(colleague, "10.0.0.1") == 302
    tried = [log_in(f"name-{number}", "10.0.0.1", "wrong") for number in range(8)]
    assert tried == [200] * 5 + [429] * 3
    assert log_in(newcomer, "10.0.0.1") == 429
    assert log_in(newcomer, "10.0.0.2") == 302
    assert log_in(colleague, "10.0.0.1") == 302


@pytest.mark.usefixtures("low_limits")
def test_guesses_at_a_closed_log_in_count_for_nothing() -> None:
    """One address alone cannot fill the count of a name, nor prolong anybody's wait."""
    name = factories.make_user().username
    assert [log_in(name, "10.0.0.1", "wrong") for _ in range(9)] == [200, 200, *[429] * 7]
    assert AccessAttempt.objects.get().failures_since_start == 3
    assert log_in(name, "10.0.0.2") == 302


@pytest.mark.usefixtures("low_limits")
def test_logging_in_oneself_takes_back_no_other_name_s_failures() -> None:
    intruder = factories.make_user().username
    for number in range(6):
        log_in(f"name-{number}", "10.0.0.1", "wrong")
        log_in(intruder, "10.0.0.1")
    assert log_in("name-6", "10.0.0.1", "wrong") == 429
