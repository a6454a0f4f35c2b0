"""What is shown once stands in no log line and in no dump: secrets are made, used, and sought."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django_otp import oath

from annotation import second_factor
from benchmark.models import Evaluation, Judge
from benchmark.tasks import judge_evaluation
from config.logs import JsonFormatter, PlainFormatter
from tests import factories
from tests.benchmark.fake_judge import Reply, fake_judge
from tests.postgres import run
from tests.security.world import World

PASSWORD = "canary-password-9d1f"
JUDGE_KEY = "canary-judge-key-7c2a"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Every line that is logged, as it is written in JSON and as plain text."""
    written: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(JsonFormatter().format(record))
            written.append(PlainFormatter().format(record))

    handler, root = Handler(), logging.getLogger()
    # The engine, which is in this process in tests alone, has httpx tell less.
    before = {logger: logger.level for logger in (root, logging.getLogger("httpx"))}
    root.addHandler(handler)
    for logger in before:
        logger.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    for logger, level in before.items():
        logger.setLevel(level)


def use(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Every secret rightly used and wrongly used; all of them by name."""
    secrets = {**world.secrets, **made_on_pages(world), "password": PASSWORD}
    person = factories.make_user()
    person.set_password(PASSWORD)
    person.save()
    client = Client()
    sent = {"username": person.username, "password": PASSWORD}
    # Whoever is invited and has an account logs in first: the address of the log-in names the
    # invitation.
    invited = f"/login/?next=/join/{secrets['invitation']}/"
    client.post(invited, {**sent, "username": "nobody", "next": invited})
    client.post("/login/", sent)
    client.get("/projects/nowhere/")
    for address in (f"/join/{secrets['invitation']}/", f"/shared/{secrets['share']}/"):
        Client().get(address)
        Client().get(address + "nowhere/")
        Client().put(address)
        Client().post(address, {"username": "", "password1": PASSWORD, "password2": "x"})
    bearer = {"Authorization": f"Bearer {secrets['token']}"}
    for path in ("/api/v1/projects", "/api/v1/projects/nowhere", "/api/v1/projects?a=b"):
        Client(headers=bearer).get(path)
    Client(headers={"Authorization": f"Bearer {secrets['token']}x"}).get("/api/v1/projects")
    secrets["recovery code"] = use_recovery_codes(world)
    secrets["recovery code, plain"] = secrets["recovery code"].replace("-", "")
    ask_a_judge(world, monkeypatch)
    return {**secrets, "judge's key": JUDGE_KEY, "session": str(client.session.session_key)}


def made_on_pages(world: World) -> dict[str, str]:
    """What pages and REST show once."""
    client = Client()
    client.force_login(world.people["admin"])
    page = client.post("/account/tokens/", {"name": "script", "scopes": ["read"], "days": "30"})
    token = re.search(r"fl_[\w-]{20,}", page.content.decode())
    project = world.project.slug
    asked = {"role": "annotator", "note": "", "count": "1"}
    invited = client.post(f"/projects/{project}/invitations/", asked).content.decode()
    link = re.search(r"/join/([\w-]{20,})/", invited)
    again = {"Idempotency-Key": "once"}
    made = [
        client.post(
            f"/api/v1/projects/{project}/invitations",
            {"role": "annotator"},
            content_type="application/json",
            headers=again,
        ).json()
        for _ in range(2)
    ]
    assert token and link and made[1]["link"] is None
    return {
        "token of a page": token[0],
        "invitation of a page": link[1],
        "invitation of REST": made[0]["link"].rstrip("/").rpartition("/")[2],
    }


def use_recovery_codes(world: World) -> str:
    """Sets a second factor up and uses one recovery code with a letter wrong, then as it is."""
    person = world.people["reviewer"]
    device = second_factor.begin(person)
    codes, _ = second_factor.confirm(person, f"{oath.totp(device.bin_key):06d}")
    client = Client()
    sent = {"username": person.username, "password": factories.PASSWORD}
    client.post("/login/", sent)
    client.post("/login/code/", {"code": codes[0][:-1] + "0"})
    person.totpdevice_set.update(throttling_failure_timestamp=None)
    assert client.post("/login/code/", {"code": codes[0]}).status_code == 302
    # Wrong by its last letter alone, so that whoever read it would nearly have it.
    return codes[0][:-1]


def ask_a_judge(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker asks a judge that repeats its key in what it answers, and one that refuses it."""
    monkeypatch.setenv("JUDGE_API_KEY", JUDGE_KEY)
    evaluation = world.rows["evaluation"]
    replies = iter([Reply(f"{JUDGE_KEY} Rating: 5"), Reply(status=401, body=JUDGE_KEY.encode())])
    with fake_judge(lambda prompt, before: next(replies)) as judge:
        Judge.objects.filter(pk=evaluation.judge_id).update(base_url=judge.url, concurrency=1)
        evaluation.verdicts().delete()
        Evaluation.objects.filter(pk=evaluation.pk).update(state="judging", summary={})
        judge_evaluation.apply([evaluation.pk])
        assert judge.authorizations == [f"Bearer {JUDGE_KEY}"] * 2


def test_secrets_stand_in_no_log_line(
    world: World, lines: list[str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LOG_FORMAT = "json"
    secrets = use(world, monkeypatch)
    assert any("factloop.requests" in line for line in lines)
    assert any("httpx" in line for line in lines)
    assert any("judge_evaluation" in line for line in lines), "what a worker says of a task"
    assert all(len(secret) > 12 for secret in secrets.values())
    # What the database is asked is logged by nobody unless DEBUG is on, which tests are not.
    found = [(what, line) for what, one in secrets.items() for line in lines if one in line]
    assert found == []


@pytest.mark.django_db(transaction=True)
def test_secrets_stand_in_no_dump(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = use(world, monkeypatch)
    dump = run("pg_dump", database=str(settings.DATABASES["default"]["NAME"]))
    assert f"\t{world.people['annotator'].username}\t" in dump
    # Sessions are written in base 64.
    dump += json.dumps([row.get_decoded() for row in Session.objects.all()])
    found = [what for what, one in secrets.items() if one in dump]
    assert found == []


def test_a_line_that_held_a_secret_would_be_found(lines: list[str]) -> None:
    logging.getLogger("a.logger").warning("Bearer %s", PASSWORD)
    assert any(PASSWORD in json.loads(line)["message"] for line in lines if line.startswith("{"))
