"""Logging in, when it goes wrong too often."""

from __future__ import annotations

import pytest
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
