"""The time of a request is that of the request as a whole: names and addresses count within it."""

from __future__ import annotations

import ast
import socket
import threading
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
from django.conf import settings

from annotation.notices import delivering
from config import deadlines
from tests.benchmark.fake_judge import Reply, fake_judge

SECONDS = 8.0


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    known = [(2, 1, 6, "", (address, 0)) for address in addresses]
    really = socket.getaddrinfo

    def look_up(host: str, *more: Any, **named: Any) -> Any:
        return known if host == "many.invalid" else really(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


class Clock:
    """Time passes only while an address is silent, for as long as it is waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, answering: str = "") -> None:
        self.now, self.tried = 100.0, list[str]()
        self._answering = answering
        self._connect = httpcore.SyncBackend.connect_tcp
        monkeypatch.setattr(deadlines.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(
            httpcore.SyncBackend, "connect_tcp", lambda backend, *more: self.connect(backend, *more)
        )

    def connect(self, backend: Any, host: str, port: int, timeout: float, *more: Any) -> Any:
        self.tried.append(host)
        if host == self._answering:
            return self._connect(backend, "127.0.0.1", port, 5.0, *more)
        self.now += timeout
        raise httpcore.ConnectTimeout("silent")


def ask(url: str) -> httpx.Response:
    client = httpx.Client(timeout=SECONDS, transport=deadlines.transport())
    with client, deadlines.within(SECONDS):
        return client.get(url)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_all_addresses_of_a_host_have_the_time_together(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    resolve_to(monkeypatch, *(f"192.0.2.{number}" for number in range(count)))
    clock = Clock(monkeypatch)
    with pytest.raises(httpx.TimeoutException):
        ask("http://many.invalid/")
    assert len(clock.tried) == count
    assert clock.now - 100.0 == pytest.approx(SECONDS)


def test_a_silent_address_leaves_time_for_one_that_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with fake_judge(lambda *_: Reply("Rating: 5")) as judge:
        port = httpx.URL(judge.url).port
        resolve_to(monkeypatch, "192.0.2.1", "192.0.2.2", "192.0.2.3")
        clock = Clock(monkeypatch, answering="192.0.2.3")
        assert ask(f"http://many.invalid:{port}/").status_code in (200, 404, 405, 501)
    assert clock.now - 100.0 < SECONDS


def test_a_name_that_nobody_looks_up_in_time_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: known.wait(60) and [])
    client = httpx.Client(timeout=60, transport=deadlines.transport())
    with (
        client,
        deadlines.within(0.05),
        pytest.raises(httpx.ConnectTimeout, match="is not known in time"),
    ):
        client.get("http://slow.invalid/")
    known.set()


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name not known"), UnicodeError("label")])
def test_a_name_that_nobody_knows_is_said(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(httpx.ConnectError):
        ask("http://unknown.invalid/")


def test_whatever_the_site_asks_over_http_has_a_time_as_a_whole() -> None:
    """Judges and webhooks; a new client of httpx that is made otherwise fails here. The engine is
    no part of the site: it waits for the samplers that it was given, as long as they take."""
    found = {}
    for package in ("annotation", "benchmark", "config", "training"):
        for path in (Path(settings.BASE_DIR) / package).rglob("*.py"):
            if "rlhf" in path.parts:
                continue
            source = path.read_text()
            for node in ast.walk(ast.parse(source)) if "httpx" in source else ():
                if isinstance(node, ast.Call) and ast.unparse(node.func) in HTTPX:
                    found[path.stem] = ast.unparse(node)
    assert set(found) == {"delivering", "endpoints"}
    assert all("transport=deadlines.transport()" in call for call in found.values())
    assert delivering.LEASE.total_seconds() > delivering.TIMEOUT_SECONDS


HTTPX = {f"httpx.{name}" for name in ("Client", "get", "post", "put", "request", "stream")}
