"""Redis away while people work: what a request for a run takes, and what annotators notice."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from config import embedded
from perf.fault_lab import Lab, Service
from perf.fault_phases import wait
from perf.fault_runs import SETTINGS, Bench
from training.models import Run, State
from training.runs import scheduling

ASKS = 20
THERE_SECONDS = 30.0
LEISURELY_SECONDS = 0.5
"""Between two requests of an annotator while Redis is away for long."""


@dataclass
class Away:
    """Milliseconds of answers, by how Redis was away; all lists are of single requests."""

    seconds: float = 0.0
    asking: dict[str, list[float]] = field(default_factory=dict)
    answering: dict[str, list[float]] = field(default_factory=dict)
    refused: int = 0
    """Requests that were not answered with success."""
    begun_after: float | None = None
    """Seconds from Redis's return until the run that was asked for meanwhile had begun."""


def redis_away(lab: Lab, bench: Bench, *, seconds: float) -> Away:
    """Ask and annotate with Redis there, gone, hung and unreachable; then let it come back."""
    found, people = Away(), _People(bench)
    with _web(lab, {}) as web:
        people.annotate(web, found, "there", min(THERE_SECONDS, seconds / 4))
        people.ask(web, found, "there")
        embedded.stop_valkey(embedded.var_folder())
        began = time.monotonic()
        people.ask(web, found, "gone")
        pause = min(LEISURELY_SECONDS, seconds / 400)
        people.annotate(web, found, "gone", seconds, pause=pause)
    with _hung() as address, _web(lab, {"REDIS_URL": address}) as web:
        people.ask(web, found, "hung")
    with _unreachable() as address, _web(lab, {"REDIS_URL": address}) as web:
        people.ask(web, found, "unreachable")
    kept = people.keep_one()
    embedded.start_valkey(embedded.var_folder())
    found.seconds = time.monotonic() - began
    back = time.monotonic()
    if wait(lambda: Run.objects.get(pk=kept.pk).state != State.QUEUED, 60):
        found.begun_after = time.monotonic() - back
    wait(lambda: Run.objects.get(pk=kept.pk).ended, 120)
    return found


class _People:
    """An admin who asks for runs and an annotator, both over REST."""

    def __init__(self, bench: Bench) -> None:
        from tests.factories import make_comparisons, make_member, make_project, make_token

        self._bench = bench
        self._asked: list[int] = []
        self._manager = make_token(bench.common.requested_by)
        self._labelling = make_project(k=1)
        make_comparisons(self._labelling, 1500)
        self._annotator = make_token(make_member(self._labelling))

    def ask(self, web: httpx.Client, found: Away, how: str) -> None:
        common = self._bench.common
        body = {
            "project": common.project.slug, "kind": "sft", "base": common.base.pk,
            "release": common.release.pk, "preset": common.preset, "gpus": 1,
            "settings": SETTINGS["sft"],
        }  # fmt: skip
        for _ in range(ASKS):
            answer = _timed(web, "runs", body, self._manager, found.asking.setdefault(how, []))
            if answer.status_code == 201:
                self._asked.append(answer.json()["id"])
            else:
                found.refused += 1

    def annotate(
        self, web: httpx.Client, found: Away, how: str, seconds: float, *, pause: float = 0.05
    ) -> None:
        taken = found.answering.setdefault(how, [])
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            path = f"projects/{self._labelling.slug}/assignments/next"
            given = _timed(web, path, {}, self._annotator, taken)
            if given.status_code == 200:
                body = {"client_uuid": str(uuid.uuid4()), "more_hallucinated": "2"}
                path = f"assignments/{given.json()['token']}/judgment"
                given = _timed(web, path, body, self._annotator, taken)
            found.refused += given.status_code >= 300
            time.sleep(pause)

    def keep_one(self) -> Run:
        """The last run that was asked for; the others are cancelled."""
        *others, last = self._asked
        for run in Run.objects.filter(pk__in=others):
            scheduling.cancel(run)
        self._bench.runs.append(last)
        return Run.objects.get(pk=last)


def _timed(
    web: httpx.Client, path: str, body: dict[str, Any], token: str, taken: list[float]
) -> httpx.Response:
    began = time.perf_counter()
    headers = {"Authorization": f"Bearer {token}"}
    answer = web.post(f"/api/v1/{path}", json=body, headers=headers)
    taken.append(1000 * (time.perf_counter() - began))
    return answer


@contextmanager
def _web(lab: Lab, environment: dict[str, str]) -> Iterator[httpx.Client]:
    address = lab.folder / f"{uuid.uuid4().hex[:6]}.sock"
    arguments = ["gunicorn", "config.wsgi", "--bind", f"unix:{address}", "--threads", "4"]
    service = Service("web", arguments, environment, lab.folder / "logs" / "web.log")
    service.start()
    try:
        wait(address.exists, 60)
        transport = httpx.HTTPTransport(uds=str(address))
        with httpx.Client(transport=transport, base_url="http://localhost", timeout=60) as web:
            for _ in range(4):
                web.get("/login/")  # The first requests of a process load its code.
            yield web
    finally:
        service.end()


@contextmanager
def _hung() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@contextmanager
def _unreachable() -> Iterator[str]:
    """Nobody takes the connection, and nobody refuses it either: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        yield f"redis://127.0.0.1:{address[1]}/0"
        for one in waiting:
            one.close()
