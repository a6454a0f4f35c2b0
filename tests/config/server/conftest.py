"""A real gunicorn with our worker, over a Unix socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

PATIENCE_SECONDS = 60


class Served:
    """A running site. ``open`` gives a connection on which something was sent."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        self.path = path
        self.process = process
        self._open: list[socket.socket] = []

    def open(self, sent: bytes = b"") -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(PATIENCE_SECONDS)
        made.connect(str(self.path))
        self._open.append(made)
        made.sendall(sent)
        return made

    def ask(self, sent: bytes) -> bytes:
        """The whole answer, up to the end of the connection."""
        return rest_of(self.open(sent))

    def is_healthy(self) -> bool:
        found = self.ask(b"GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return found.startswith(b"HTTP/1.1 200 OK")

    def close(self) -> None:
        for one in self._open:
            one.close()
        self.process.terminate()
        self.process.wait(timeout=PATIENCE_SECONDS)


def rest_of(made: socket.socket) -> bytes:
    parts = []
    while part := made.recv(2**16):
        parts.append(part)
    return b"".join(parts)


@pytest.fixture(scope="module")
def serve(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None
) -> Iterator[Callable[..., Served]]:
    """Gives a site as behind a proxy, with one worker that answers one request at a time.

    Tests that ask for the same one get the same one.
    """
    folder = tmp_path_factory.mktemp("sites")
    running: dict[object, Served] = {}

    def started(*arguments: str, **variables: str) -> Served:
        key = (arguments, *variables.items())
        if key not in running:
            running[key] = _start(folder / f"{len(running)}.sock", arguments, variables)
        return running[key]

    yield started
    for one in running.values():
        one.close()


def _start(path: Path, arguments: tuple[str, ...], variables: dict[str, str]) -> Served:
    command = [sys.executable, "-m", "gunicorn", "tests.config.server.site", "--workers", "1"]
    command += ["--bind", f"unix:{path}", "--log-level", "warning", *arguments]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.annotation.web_settings",
        "TEST_DATABASE": connection.settings_dict["NAME"],
        "PYTHONPATH": str(settings.BASE_DIR),
        "BEHIND_PROXY": "yes",
        **variables,
    }
    log = path.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=settings.BASE_DIR, env=environment, stdout=output, stderr=output
        )
    while not _listens(path):
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    return Served(path, process)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as tried:
        return path.exists() and tried.connect_ex(str(path)) == 0
