"""The proxies of docs/deployment.md, as they stand there, before a site with one worker."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import bodies
from perf.documented_proxies import caddy, nginx
from tests.config.server.conftest import PATIENCE_SECONDS, Served, rest_of
from tests.config.server.test_requests import post
from tests.config.server.test_slow_clients import SLOW

HEALTH = b"GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


Open = Callable[[bytes], socket.socket]


@pytest.fixture(params=[caddy, nginx])
def through(
    request: pytest.FixtureRequest, serve: Callable[..., Served], tmp_path: Path
) -> Iterator[Open]:
    """Opens a connection to the proxy and sends something."""
    name = request.param.__name__
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = request.param(tmp_path, serve().path, port)
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/usr/sbin:/bin"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    opened: list[socket.socket] = []

    def send(sent: bytes) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        opened.append(made)
        made.sendall(sent)
        return made

    with process:
        while not _listens(port):
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.05)
        yield send
        for one in opened:
            one.close()
        process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_the_site_answers_while_slow_clients_of_every_kind_are_connected(through: Open) -> None:
    for sent in list(SLOW.values()) * 3:
        through(sent)
    assert rest_of(through(HEALTH)).startswith(b"HTTP/1.1 200 ")


def test_the_site_sees_the_client_s_address_whatever_the_client_says(through: Open) -> None:
    invented = "X-Forwarded-For: 198.51.100.9"
    sent = post("/test/address", invented, "Connection: close", length=0)
    assert json.loads(rest_of(through(sent)).partition(b"\r\n\r\n")[2]) == "127.0.0.1"


def test_a_stranger_s_large_body_is_refused_before_it_comes(through: Open) -> None:
    sent = post("/login/", "Connection: close", length=2**31) + bytes(bodies.OF_A_STRANGER + 1)
    assert through(sent).recv(2**16).startswith(b"HTTP/1.1 413 ")
