"""What is shown once stands in no log line and in no table: secrets are made, used, and sought."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from config.logs import JsonFormatter, PlainFormatter
from tests import factories
from tests.security.world import World

PASSWORD = "canary-password-9d1f"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Every line that is logged, as it is written in JSON and as plain text."""
    written: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(JsonFormatter().format(record))
            written.append(PlainFormatter().format(record))

    handler, root = Handler(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


def use(world: World) -> dict[str, str]:
    """Every secret rightly used and wrongly used; all of them by name."""
    secrets = dict(world.secrets)
    person = factories.make_user()
    person.set_password(PASSWORD)
    person.save()
    client = Client()
    sent = {"username": person.username, "password": PASSWORD}
    client.post("/login/", {**sent, "username": "nobody"})
    client.post("/login/", sent)
    client.get("/projects/nowhere/")
    answer = client.post("/account/tokens/", {"name": "script", "scopes": ["read"], "days": "30"})
    assert answer.status_code < 400
    for address in (f"/join/{secrets['invitation']}/", f"/shared/{secrets['share']}/"):
        Client().get(address)
        Client().get(address + "nowhere/")
        Client().put(address)
        Client().post(address, {"username": "", "password1": PASSWORD, "password2": "x"})
    bearer = {"Authorization": f"Bearer {secrets['token']}"}
    for path in ("/api/v1/projects", "/api/v1/projects/nowhere", "/api/v1/projects?a=b"):
        Client(headers=bearer).get(path)
    Client(headers={"Authorization": f"Bearer {secrets['token']}x"}).get("/api/v1/projects")
    return {**secrets, "password": PASSWORD, "session": client.session.session_key}


def tables() -> dict[str, str]:
    """The text of every table, as COPY writes it into a dump."""
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
        found = {}
        for name in names:
            text = io.StringIO()
            cursor.copy_expert(f'COPY "{name}" TO STDOUT', text)
            found[name] = text.getvalue()
    return found


def test_secrets_stand_in_no_log_line(world: World, lines: list[str], settings: Any) -> None:
    settings.LOG_FORMAT = "json"
    secrets = use(world)
    assert any("factloop.requests" in line for line in lines)
    assert all(len(secret) > 12 for secret in secrets.values())
    # What the database is asked is logged by nobody unless DEBUG is on, which tests are not.
    found = [(what, line) for what, one in secrets.items() for line in lines if one in line]
    assert found == []


def test_secrets_stand_in_no_table(world: World) -> None:
    secrets = use(world)
    dump = tables()
    assert world.people["annotator"].username in dump["annotation_user"]
    session = secrets.pop("session")
    found = [(what, name) for what, one in secrets.items() for name in dump if one in dump[name]]
    assert found == []
    # Sessions are looked up by their key and end with the log-out: they are in their table alone.
    assert {name for name in dump if session in dump[name]} <= {"django_session"}


def test_a_line_that_held_a_secret_would_be_found(lines: list[str]) -> None:
    logging.getLogger("a.logger").warning("Bearer %s", PASSWORD)
    assert any(PASSWORD in json.loads(line)["message"] for line in lines if line.startswith("{"))
