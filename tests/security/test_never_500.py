"""Requests that were errors of the server once: refused in words now, each by one guard."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotation import second_factor
from tests.security.test_filters import client_of
from tests.security.world import World

NUMBERS = ["1e400", "9" * 300, "1" + "0" * 30, "NaN"]
BODIES = [
    b"[" * 50_000 + b"]" * 50_000,
    b'{"name": "a\\u0000b"}',
    b'{"name": "\\ud800"}',
    b"\xff",
    *(b'{"seed": %s, "gold_rate": %s}' % (one.encode(), one.encode()) for one in NUMBERS),
]


@pytest.fixture
def admin(world: World) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(world.people["admin"])
    return client


def test_what_no_row_can_hold_is_refused_in_an_address(world: World, admin: Client) -> None:
    comparisons = f"/api/v1/projects/{world.project.slug}/comparisons"
    for address in (
        f"{comparisons}?source=%00",
        "/api/v1/runs?kind=%00",
        "/api/v1/runs?project=%00",
    ):
        assert admin.get(address).status_code == 400, address
    assert admin.get("/training/?state=%00").status_code == 400
    for cursor in ("cD1hYmM=", "cD0A", "cD05OTk5OTk5OTk5OTk5OTk5OTk5OQ=="):
        assert admin.get(f"{comparisons}?cursor={cursor}").status_code == 404, cursor


def test_json_that_no_row_can_hold_is_refused(world: World, admin: Client) -> None:
    project = f"/api/v1/projects/{world.project.slug}"
    for method, path in (("PATCH", project), ("POST", f"{project}/releases")):
        for body in BODIES:
            answer = admin.generic(method, path, body, content_type="application/json")
            assert answer.status_code == 400, (path, body[:30])


def test_a_second_factor_over_another_persons_session_logs_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_factor, "device_of", lambda user: object())
    monkeypatch.setattr(second_factor, "check", lambda user, code: "")
    client = client_of(world, "annotator")
    person = world.people["manager"]
    person.set_password("a long password")
    person.save()
    sent = {"username": person.username, "password": "a long password"}
    assert client.post(reverse("login"), sent).url == reverse("login-code")
    answer = client.post(reverse("login-code"), {"code": "123456"})
    assert answer.status_code == 302
    assert client.session["_auth_user_id"] == str(person.pk)
