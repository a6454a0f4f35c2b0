"""The queue through real gunicorn workers, one of which is killed: nothing lost, nothing double."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.db import connection

from annotation.models import Comparison, Judgment, JudgmentVersion
from tests.factories import make_comparisons, make_member, make_project, make_token

CLIENTS = 60
PATIENCE_SECONDS = 60


@pytest.fixture
def gunicorn(tmp_path: Path, transactional_db: None) -> Iterator[tuple[Path, int]]:
    """(socket, process id of the master) of a web server with two workers."""
    socket = tmp_path / "web.sock"
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"unix:{socket}"]
    command += ["--workers", "2", "--threads", "8", "--log-level", "warning"]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.annotation.web_settings",
        "TEST_DATABASE": connection.settings_dict["NAME"],
        "PYTHONPATH": str(settings.BASE_DIR),
    }
    with (tmp_path / "web.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=settings.BASE_DIR, env=environment, stdout=log, stderr=log
        )
    try:
        wait_for(socket, server)
        yield socket, server.pid
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_SECONDS)


def wait_for(socket: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Only a socket that is there is tried: httpx leaves one open that could not connect.
    while not socket.exists() and time.monotonic() < deadline and server.poll() is None:
        time.sleep(0.05)
    with client(socket, "none") as web:
        assert web.get("projects").status_code == 401


def client(socket: Path, token: str) -> httpx.Client:
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=str(socket)),
        base_url="http://localhost/api/v1/",
        headers={"Authorization": f"Bearer {token}"},
        timeout=PATIENCE_SECONDS,
    )


def post_until_answered(web: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
    """What a browser does when the connection breaks: send the same again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return web.post(path, json=body)
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def kill_one_worker(master: int) -> None:
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)


def test_sixty_clients_through_web_workers_of_which_one_dies(gunicorn):
    socket, master = gunicorn
    project = make_project(k=3)
    make_comparisons(project, 50)
    tokens = [make_token(make_member(project), "annotate") for _ in range(CLIENTS)]
    ready = threading.Barrier(CLIENTS)
    half_done = threading.Event()
    ledger: list[str] = []

    def work(token: str) -> None:
        with client(socket, token) as web:
            ready.wait(timeout=PATIENCE_SECONDS)
            while True:
                given = post_until_answered(web, f"projects/{project.slug}/assignments/next", {})
                if given.status_code == 204:
                    return
                assert given.status_code == 200, given.text
                body = {"client_uuid": str(uuid.uuid4()), "more_hallucinated": "1"}
                path = f"assignments/{given.json()['token']}/judgment"
                sent = post_until_answered(web, path, body)
                assert sent.status_code in (200, 201), sent.text
                ledger.append(body["client_uuid"])
                if len(ledger) > 75:
                    half_done.set()

    with ThreadPoolExecutor(CLIENTS) as pool:
        futures = [pool.submit(work, token) for token in tokens]
        assert half_done.wait(timeout=PATIENCE_SECONDS)
        kill_one_worker(master)
        for future in futures:
            future.result()
    assert set(Comparison.objects.values_list("judgment_count", flat=True)) == {3}
    assert not Comparison.objects.exclude(open_slots=0, outcome="decided").exists()
    assert not Judgment.objects.filter(surplus=True).exists()
    stored = {str(sent) for sent in JudgmentVersion.objects.values_list("client_uuid", flat=True)}
    assert stored == set(ledger)
    assert len(ledger) == 150
