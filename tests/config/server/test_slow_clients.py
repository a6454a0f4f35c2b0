"""Clients that are slow, silent or many hold no worker: one that answers one request at a time."""

from __future__ import annotations

import socket
from collections.abc import Callable
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.config.server.conftest import Served, rest_of

Serve = Callable[..., Served]
# With such a cookie the site reads the form, to compare what stands in it.
LOGIN = b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrftoken=%s\r\n" % (b"x" * 32)
LOGIN += b"Content-Type: application/x-www-form-urlencoded\r\n"
SLOW = {
    "nothing sent": b"",
    "a request line": b"GET /healthz/li",
    "headers": b"GET / HTTP/1.1\r\nHost: local",
    "a body": LOGIN + b"Content-Length: 100\r\n\r\nuser",
    "a body in chunks": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n4\r\nus",
    "a body that waits to be wanted": LOGIN + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n",
    "an answer that nobody reads": b"GET /test/stream?1024 HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


def test_the_site_answers_while_slow_clients_of_every_kind_are_connected(serve: Serve) -> None:
    site = serve()
    for _ in range(3):
        for sent in SLOW.values():
            site.open(sent)
    assert site.is_healthy()


def test_where_browsers_connect_directly_it_answers_too(serve: Serve) -> None:
    site = serve("--threads", "2", BEHIND_PROXY="no")
    for sent in list(SLOW.values()) * 3:
        site.open(sent)
    kept = site.open()
    for _ in range(3):
        kept.sendall(b"GET /healthz/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = HTTPResponse(kept)
        answer.begin()
        assert (answer.status, answer.read()) == (200, b"ok\n"), "on one connection, kept open"


@pytest.mark.parametrize("kind", ["a request line", "headers", "a body", "a body in chunks"])
def test_what_does_not_arrive_in_time_is_given_up(serve: Serve, kind: str) -> None:
    site = serve(TEST_IMPATIENCE="yes")
    assert site.ask(SLOW[kind]).startswith(b"HTTP/1.1 408 ")


def test_a_body_of_one_byte_at_a_time_is_given_up_though_it_never_pauses(serve: Serve) -> None:
    slow = serve(TEST_IMPATIENCE="yes").open(LOGIN + b"Content-Length: 1000000\r\n\r\n")
    slow.settimeout(0.1)
    answer = b""
    while not answer:
        try:
            slow.sendall(b"x")
            answer = slow.recv(100)
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_an_answer_that_is_not_taken_is_given_up(serve: Serve) -> None:
    site = serve(TEST_IMPATIENCE="yes")
    reader = site.open(b"GET /test/stream?1024 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    silent = site.open()
    assert rest_of(silent) == b"", "opened later, and closed by now"
    try:
        taken = len(rest_of(reader))
    except ConnectionResetError:
        taken = 0
    assert taken < 2**26


def test_a_newcomer_takes_the_place_of_whoever_waited_longest(serve: Serve) -> None:
    site = serve("--worker-connections", "5")
    crowd = [site.open(SLOW["a body"]) for _ in range(20)]
    assert site.is_healthy()
    assert rest_of(crowd[0]).startswith(b"HTTP/1.1 408 "), "the first one had to go"
    assert is_open(crowd[-1])


def is_open(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        one.recv(1)
    except BlockingIOError:
        return True
    return False


def test_many_who_each_send_what_a_stranger_may_fill_no_memory(serve: Serve) -> None:
    site = serve(TEST_LITTLE_MEMORY="yes")
    small = site.open(LOGIN + b"Content-Length: 14\r\n\r\nusername=")
    crowd = [site.open(LOGIN + b"Content-Length: 1000000\r\n\r\n") for _ in range(9)]
    for one in crowd[:-1]:
        one.sendall(b"x" * 900_000)
    assert rest_of(crowd[0]).startswith(b"HTTP/1.1 503 "), "the first of those that hold most"
    assert site.is_healthy()
    small.sendall(b"noone")
    assert small.recv(2**16).startswith(b"HTTP/1.1 403 "), "a form without its token"
    assert is_open(crowd[-1])


def test_many_answers_that_nobody_takes_fill_no_memory(serve: Serve) -> None:
    site = serve(TEST_LITTLE_MEMORY="yes")
    asked = b"GET /test/stream?15 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    crowd = [site.open(asked) for _ in range(9)]
    assert site.is_healthy(), "asked after them, so answered when all of them are made"
    taken = [taken_of(one) for one in crowd]
    assert min(taken) < 15 * 2**16 <= max(taken), "some, not all of them"


def taken_of(one: socket.socket) -> int:
    """Bytes that came before the end of the connection."""
    try:
        return len(rest_of(one))
    except ConnectionResetError:
        return 0


def test_an_answer_that_nobody_reads_fills_no_memory(serve: Serve) -> None:
    site = serve()
    site.open(b"GET /test/stream?1600 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert site.is_healthy(), "asked after it, so answered when 100 MiB are made"
    master = site.process.pid
    (worker,) = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines()
    )
    assert int(status["VmHWM"].split()[0]) < int(memory_of(master)) + 40_000, "kB"


def memory_of(pid: int) -> str:
    (line,) = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in line
    ]
    return line.split()[1]
