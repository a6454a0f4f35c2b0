"""What the web server makes of requests: sizes, framing, and the end of a worker."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from config import bodies
from tests import factories
from tests.config.server.conftest import Served, rest_of

Serve = Callable[..., Served]
BODY = os.urandom(bodies.OF_A_STRANGER + 2**18)


def post(path: str, *headers: str, length: int | None = None) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "X-Forwarded-Proto: https", *headers]
    return "\r\n".join([*lines, framing, "", ""]).encode()


def chunked(body: bytes) -> bytes:
    parts = [body[start : start + 50_000] for start in range(0, len(body), 50_000)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_stranger_s_large_body_is_refused_before_it_comes(serve: Serve) -> None:
    """Three gigabytes are announced; what is read of them is the first of 2,000 parts."""
    answer = serve().ask(post("/login/", length=3 * 2**30) + BODY)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Log in first" in answer
    assert answer.rstrip().endswith(b"</html>"), "a page of the site, and all of it"


def test_so_is_one_that_comes_in_chunks_and_one_with_an_invented_session(serve: Serve) -> None:
    sent = post("/api/v1/projects", "Authorization: Bearer fl_none") + chunked(BODY)[:-5]
    answer = serve().ask(sent)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 413
    cookie = f"Cookie: {settings.SESSION_COOKIE_NAME}=abcdefghijklmnopqrstuvwxyz"
    assert serve().ask(post("/login/", cookie, length=2**31) + BODY).startswith(b"HTTP/1.1 413 ")


@pytest.mark.django_db(transaction=True)
def test_people_of_the_installation_send_large_bodies_and_every_byte_arrives(serve: Serve) -> None:
    user = factories.make_user()
    browser = Client()
    browser.force_login(user)
    session = browser.cookies[settings.SESSION_COOKIE_NAME].value
    people = [
        f"Cookie: {settings.SESSION_COOKIE_NAME}={session}",
        f"Authorization: Bearer {factories.make_token(user)}",
    ]
    for person in people:
        whole = post("/test/echo", person, length=len(BODY)) + BODY
        for sent in (whole, post("/test/echo", person) + chunked(BODY)):
            assert echoed(serve().ask(sent))["sha256"] == hashlib.sha256(BODY).hexdigest()
    too_much = post("/test/echo", people[0], length=settings.LARGEST_BODY_MB * 2**20 + 1)
    # The three test addresses stand before the site, which is what refuses.
    refused = too_much.replace(b"/test/echo", b"/login/") + BODY
    assert b"At most 4096 MiB" in serve().ask(refused)


def echoed(answer: bytes) -> dict[str, Any]:
    assert answer.startswith(b"HTTP/1.1 200 ")
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


def test_a_body_that_waits_to_be_wanted_is_asked_for(serve: Serve) -> None:
    made = serve().open(post("/test/echo", "Expect: 100-continue", length=4))
    assert made.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    made.sendall(b"body")
    assert echoed(rest_of(made))["bytes"] == 4


@pytest.mark.parametrize(
    "wrong",
    [
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        post("/login/", length=1).replace(b": 1", b": " + b"9" * 5000),
        post("/login/", "Content-Length: 3") + chunked(b"abc").replace(b"3", b"-3"),
        post("/login/") + b"3;" + b"a" * 9000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=["a long address", "a long header", "a length", "a chunk", "a chunk's head", "TLS"],
)
def test_what_is_not_a_request_is_refused(serve: Serve, wrong: bytes) -> None:
    assert serve().ask(wrong).split()[1] in (b"400", b"431")
    assert serve().is_healthy()


def test_an_answer_to_head_has_no_body(serve: Serve) -> None:
    for path in ("/login/", "/test/stream?3"):
        asked = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\n\r\n"
        head, _, body = serve().ask(asked.encode()).partition(b"\r\n\r\n")
        assert (head.split()[1], body) == (b"200", b"")


def test_a_worker_that_is_told_to_end_answers_what_it_has_begun(
    serve: Serve, tmp_path: Path
) -> None:
    for name in ("begun", "go"):
        os.mkfifo(tmp_path / name)
    site = serve("--max-requests", "1000")
    arriving = site.open(post("/login/", length=100))  # first, so the worker has it too
    asked = site.open(f"GET /test/wait?{tmp_path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    (tmp_path / "begun").read_bytes()
    os.kill(site.process.pid, signal.SIGTERM)
    (tmp_path / "go").write_bytes(b"done")
    assert b"done" in rest_of(asked)
    assert rest_of(arriving).startswith(b"HTTP/1.1 408 ")
    assert site.process.wait(timeout=60) == 0


def test_a_worker_whose_master_was_killed_ends(serve: Serve) -> None:
    site = serve("--max-requests", "1001")
    arriving = site.open(post("/login/", length=100))
    assert site.is_healthy(), "asked later, so the worker has the other one too"
    site.process.kill()
    assert rest_of(arriving).startswith(b"HTTP/1.1 408 ")
