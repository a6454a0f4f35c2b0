"""Simulated annotators over HTTP against gunicorn and Postgres: latencies, and whether all is kept.

    python -m perf.label_load [--annotators 500] [--per-minute 4] [--seconds 60] [--workers 2]
                              [--comparisons 20000]

Without DATABASE_URL a scratch Postgres is started and removed again. Comparisons are filled in by
COPY. Every annotator asks for a comparison, thinks as long as the rate says, and answers; printed
are the latencies of both in milliseconds. In the end every answer that was acknowledged must be
in the database, once, and nothing else; otherwise the exit status is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
import httpx

PROMPT_SHARE = 10


@dataclass
class Ledger:
    """What the clients saw."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"claim": [], "submit": []})
    statuses: Counter[int] = field(default_factory=Counter)
    acknowledged: list[str] = field(default_factory=list)
    reconnected: int = 0


def main() -> None:
    options = _options()
    os.environ.setdefault("LOG_LEVEL", "WARNING")  # One line a request would be measured too.
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        private = "DATABASE_URL" not in os.environ
        if private:
            os.environ["FACTLOOP_VAR"] = folder
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        from config import embedded

        django.setup()
        try:
            embedded.start_if_needed()
            sys.exit(_run(options, Path(folder)))
        finally:
            if private:
                subprocess.run([sys.executable, "-m", "config.embedded", "stop"], check=True)


def _run(options: argparse.Namespace, folder: Path) -> int:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    slug, tokens = _project(options)
    socket = folder / "web.sock"
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"unix:{socket}"]
    command += ["--workers", str(options.workers), "--threads", "8", "--log-level", "warning"]
    server = subprocess.Popen(command)
    try:
        while not socket.exists() and server.poll() is None:
            time.sleep(0.1)
        started = time.perf_counter()
        ledger = asyncio.run(_annotate(options, socket, slug, tokens))
        seconds = time.perf_counter() - started
    finally:
        server.terminate()
        server.wait(timeout=30)
    return _report(ledger, seconds)


async def _annotate(
    options: argparse.Namespace, socket: Path, slug: str, tokens: list[str]
) -> Ledger:
    ledger = Ledger()
    transport = httpx.AsyncHTTPTransport(uds=str(socket), limits=httpx.Limits(max_connections=200))
    web = httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1/", timeout=60)
    ends = time.perf_counter() + options.seconds
    pause = 60 / options.per_minute
    async with web:
        await asyncio.gather(*(_one(web, slug, token, pause, ends, ledger) for token in tokens))
    return ledger


async def _one(
    web: httpx.AsyncClient, slug: str, token: str, pause: float, ends: float, ledger: Ledger
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    # Nobody begins at the same moment, and nobody thinks equally long.
    await asyncio.sleep(random.uniform(0, pause))
    while time.perf_counter() < ends:
        path = f"projects/{slug}/assignments/next"
        given = await _timed(web, "claim", path, {}, headers, ledger)
        if given.status_code != 200:
            return
        await asyncio.sleep(random.uniform(0.5, 1.5) * pause)
        body = {"client_uuid": str(uuid.uuid4()), "more_hallucinated": random.choice("12")}
        path = f"assignments/{given.json()['token']}/judgment"
        stored = await _timed(web, "submit", path, body, headers, ledger)
        if stored.status_code in (200, 201):
            ledger.acknowledged.append(body["client_uuid"])


async def _timed(
    web: httpx.AsyncClient,
    kind: str,
    path: str,
    body: dict[str, str],
    headers: dict[str, str],
    ledger: Ledger,
) -> httpx.Response:
    started = time.perf_counter()
    response = await _post(web, path, body, headers, ledger)
    ledger.seconds[kind].append(time.perf_counter() - started)
    ledger.statuses[response.status_code] += 1
    return response


async def _post(
    web: httpx.AsyncClient, path: str, body: dict[str, str], headers: dict[str, str], ledger: Ledger
) -> httpx.Response:
    for attempt in range(10):
        try:
            return await web.post(path, json=body, headers=headers)
        except httpx.TransportError:
            # As a browser: the server closed an idle connection, so send the same again.
            ledger.reconnected += 1
            await asyncio.sleep(0.01 * attempt)
    raise RuntimeError(f"the server does not answer {path}")


def _report(ledger: Ledger, seconds: float) -> int:
    from annotation.models import Judgment, JudgmentVersion

    for kind, taken in ledger.seconds.items():
        cuts = statistics.quantiles(taken, n=100)
        p50, p95, p99 = (1000 * cuts[place] for place in (49, 94, 98))
        print(f"{kind:7} {len(taken):7,} p50 {p50:6.1f} ms  p95 {p95:6.1f} ms  p99 {p99:6.1f} ms")
    print(f"{len(ledger.acknowledged) / seconds:.1f} answers/s over {seconds:.0f} s")
    print(f"statuses {dict(sorted(ledger.statuses.items()))}, reconnected {ledger.reconnected}")
    rows = JudgmentVersion.objects.values_list("client_uuid", flat=True)
    stored = Counter(str(one) for one in rows)
    lost = set(ledger.acknowledged) - set(stored)
    doubled = Judgment.objects.count() - len(ledger.acknowledged)
    print(f"acknowledged {len(ledger.acknowledged):,}, lost {len(lost)}, beyond them {doubled}")
    failed = any(status >= 500 for status in ledger.statuses)
    return int(bool(lost or doubled or failed))


def _project(options: argparse.Namespace) -> tuple[str, list[str]]:
    """A project with comparisons and annotators; its slug and a token for each of them."""
    from annotation.models import ApiToken, Membership, Project, User

    slug = f"load-{uuid.uuid4().hex[:8]}"
    project = Project.objects.create(slug=slug, name=slug)
    started = time.perf_counter()
    _fill(project.pk, options.comparisons)
    print(f"{options.comparisons:,} comparisons in {time.perf_counter() - started:.0f} s")
    names = [f"{slug}-{number}" for number in range(options.annotators)]
    users = User.objects.bulk_create([User(username=name, password="!") for name in names])
    Membership.objects.bulk_create([Membership(project=project, user=user) for user in users])
    scopes = [ApiToken.Scope.ANNOTATE]
    return slug, [ApiToken.create(user, name="load", scopes=scopes)[1] for user in users]


def _fill(project: int, comparisons: int) -> None:
    from django.db import connection
    from django.utils import timezone

    from annotation.models import Comparison, Image, Prompt
    from annotation.models.items import random_shuffle

    now = timezone.now()
    image = Image.objects.create(
        sha256=uuid.uuid4().hex * 2, original_sha256="0" * 64, file="images/none.png",
        width=640, height=480, bytes=1, format="png",
    )  # fmt: skip
    said = json.dumps([{"from": "human", "value": "<image>\nWhat is on the desk?"}])
    prompts = {
        "project_id": project, "image_id": image.pk, "conversation": said, "captions": "[]",
        "caption_type": 1, "length_bonus": 1, "content_sha256": "0" * 64, "created_at": now,
    }  # fmt: skip
    _copy(Prompt, ({**prompts, "external_id": n} for n in range(comparisons // PROMPT_SHARE + 1)))
    first = Prompt.objects.filter(project=project).order_by("pk").values_list("pk", flat=True)[0]
    pairs = {
        "project_id": project, "response_1": "A laptop and a cup. " * 12,
        "response_2": "Two books and a lamp. " * 12, "model_1": "one", "model_2": "two",
        "source": "load", "content_sha256": "0" * 64, "created_at": now, "priority": 0,
        "wanted_judgments": 3, "open_slots": 3, "judgment_count": 0, "outcome": "waiting",
        "imported_votes": "{}", "gold_more_hallucinated": "", "gold_explanation": "",
    }  # fmt: skip
    rows = (
        {
            **pairs,
            "external_id": number,
            "prompt_id": first + number // PROMPT_SHARE,
            "shuffle": random_shuffle(),
        }
        for number in range(comparisons)
    )
    _copy(Comparison, rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _copy(model: Any, rows: Iterable[dict[str, Any]], at_once: int = 20_000) -> None:
    """Rows (column -> value) into the table of ``model`` by COPY; no value holds a tab."""
    from itertools import islice

    from django.db import connection

    rows = iter(rows)
    while batch := list(islice(rows, at_once)):
        columns = ", ".join(batch[0])
        text = "\n".join("\t".join(_escaped(v) for v in row.values()) for row in batch)
        with connection.cursor() as cursor:
            statement = f"COPY {model._meta.db_table} ({columns}) FROM STDIN"
            cursor.copy_expert(statement, io.StringIO(text + "\n"))


def _escaped(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace("\n", "\\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--annotators", type=int, default=500)
    parser.add_argument("--per-minute", type=float, default=4)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--comparisons", type=int, default=20_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
