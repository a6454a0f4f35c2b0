"""Simulated annotators over HTTP against gunicorn and Postgres: latencies, and whether all is kept.

    python -m perf.label_load [--annotators 500] [--per-minute 4] [--seconds 60] [--workers 4]
                              [--threads 0] [--comparisons 20000] [--cores 2] [--server gthread]
                              [--kill-web-every 5] [--kill-database 3] [--exactly 3]
                              [--vanish 0.3] [--each 40]

Without DATABASE_URL a scratch Postgres is started and removed again. Comparisons are filled in by
COPY. Every annotator asks for a comparison, thinks as long as the rate says, and answers; printed
are the latencies of both in milliseconds, and what they cost in processor time. The site and
Postgres are kept on ``--cores`` cores, and the annotators on the others, as their browsers would
be. The first think time is left out of the latencies: the workers are loading then.

``--exactly 3`` lets them all work without thinking until nothing is left, and then demands that
every comparison has 3 judgments that count, no more and no fewer. ``--each 40`` lets each of them
answer 40 times without thinking, and demands that everybody has 40 judgments.

``--kill-web-every`` sends kill -9 to a gunicorn worker every so many seconds, ``--kill-database``
crashes Postgres (all its processes at once) so many times, evenly spread; annotators then send
again what was not acknowledged.

``--vanish 0.3`` has that share of the annotators close their browser at some moment with a
comparison before them. Leases last a minute then, a worker with beat runs too, and each of these
leases must be given back within half a minute of its end.

In the end every answer that was acknowledged must be in the database, once, every answer sent at
most once, and no comparison with more counted answers than it wants; else the exit status is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import django
import httpx

from perf import labelling_site
from perf.label_ledger import Ledger

TRIES_SECONDS = 60
"""How long an annotator sends one request again before they give up."""


def main() -> None:
    options = _options()
    # One line a request would be measured too, and a crash of Postgres is asked for.
    os.environ.setdefault("LOG_LEVEL", "CRITICAL" if options.kill_database else "ERROR")
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        private = "DATABASE_URL" not in os.environ
        if private:
            os.environ["FACTLOOP_VAR"] = folder
            Path(folder).chmod(0o755)  # So that Postgres's own user may keep its files there.
        elif options.kill_database:
            sys.exit("--kill-database needs the private Postgres: unset DATABASE_URL")
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        django.setup()
        try:
            sys.exit(_run(options, Path(folder), private=private))
        finally:
            if private:
                command = [sys.executable, "-m", "config.embedded", "stop"]
                subprocess.run(command, check=True)


def _run(options: argparse.Namespace, folder: Path, *, private: bool) -> int:
    from django.core.management import call_command
    from django.db import connection

    from config import embedded

    with labelling_site.cores(options.cores) as left:
        embedded.start_if_needed()
        call_command("migrate", verbosity=0)
        started = time.perf_counter()
        slug, tokens = labelling_site.fill_project(
            comparisons=options.comparisons,
            annotators=options.annotators,
            judgments=options.exactly or 3,
            lease_minutes=1 if options.vanish else 15,
        )
        print(f"{options.comparisons:,} comparisons in {time.perf_counter() - started:.0f} s")
        site = labelling_site.Site(
            folder,
            workers=options.workers,
            threads=options.threads,
            server=options.server,
            beat=bool(options.vanish),
        )
    shared = f"{left} others for the annotators" if left else "shared with the annotators"
    print(f"{options.cores} cores for {options.workers} workers and Postgres, {shared}")
    watched = {"web": site.master.pid, "annotators": os.getpid()}
    if private and not options.kill_database:
        watched["database"] = labelling_site.postmaster(folder)
    with site:
        before = {who: labelling_site.tree_seconds(pid) for who, pid in watched.items()}
        ledger = asyncio.run(_annotate(options, site, folder, slug, tokens))
        costs = {
            who: labelling_site.tree_seconds(pid) - before[who] for who, pid in watched.items()
        }
        connection.close()  # It may lead to a Postgres that was killed.
        returned = ledger.leases_came_back() if options.vanish else True
    ledger.print_figures(costs)
    complete = ledger.is_complete(options.exactly, options.each, options.annotators)
    return int(not (ledger.is_kept() and complete and returned))


async def _annotate(
    options: argparse.Namespace,
    site: labelling_site.Site,
    folder: Path,
    slug: str,
    tokens: list[str],
) -> Ledger:
    ledger = Ledger()
    limits = httpx.Limits(max_connections=options.annotators, keepalive_expiry=20)
    transport = httpx.AsyncHTTPTransport(uds=str(site.socket), limits=limits)
    web = httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1/", timeout=60)
    starts = time.perf_counter()
    counted = options.exactly or options.each
    pause = 0 if counted else 60 / options.per_minute
    ends = starts + (math.inf if counted else pause + options.seconds)
    async with web:
        people = [Annotator(web, slug, token, pause, starts + pause, ends) for token in tokens]
        for person in people:
            person.most = options.each or math.inf
        for person in people[: round(options.vanish * len(people))]:
            person.vanishes = random.uniform(starts, ends - pause)
        troubles = [
            asyncio.create_task(_kill_web(site, options, ledger)),
            asyncio.create_task(_kill_database(folder, options, ledger, pause)),
        ]
        await asyncio.gather(*(person.work(ledger) for person in people))
        for trouble in troubles:
            trouble.cancel()
    ledger.took = time.perf_counter() - starts
    return ledger


@dataclass
class Annotator:
    """One person at a browser: asks, thinks, answers, and sends again what got no answer."""

    web: httpx.AsyncClient
    slug: str
    token: str
    pause: float
    measured_from: float
    ends: float
    vanishes: float = math.inf
    most: float = math.inf
    """Answers; then this person stops."""

    async def work(self, ledger: Ledger) -> None:
        # Nobody begins at the same moment, and nobody thinks equally long.
        await asyncio.sleep(random.uniform(0, self.pause))
        answered = 0
        while time.perf_counter() < self.ends and answered < self.most:
            given = await self._post("claim", f"projects/{self.slug}/assignments/next", {}, ledger)
            if given.status_code != 200:
                return
            if time.perf_counter() > self.vanishes:
                ledger.left_behind.add(given.json()["token"])
                return
            await asyncio.sleep(random.uniform(0.5, 1.5) * self.pause)
            body = {"client_uuid": str(uuid.uuid4()), "more_hallucinated": random.choice("12")}
            ledger.sent.add(body["client_uuid"])
            path = f"assignments/{given.json()['token']}/judgment"
            stored = await self._post("submit", path, body, ledger)
            if stored.status_code in (200, 201):
                ledger.acknowledged.add(body["client_uuid"])
                answered += 1

    async def _post(
        self, kind: str, path: str, body: dict[str, str], ledger: Ledger
    ) -> httpx.Response:
        started = time.perf_counter()
        attempt = 0
        while True:
            response = await self._try(path, body, ledger)
            if response is not None and response.status_code < 500:
                break
            # As the page does: the server was gone or failed, so send the very same again.
            attempt += 1
            if time.perf_counter() - started > TRIES_SECONDS:
                raise RuntimeError(f"the server does not answer {path}")
            await asyncio.sleep(min(0.01 * 2**attempt, 1.0))
        if started >= self.measured_from:
            ledger.seconds[kind].append(time.perf_counter() - started)
        return response

    async def _try(self, path: str, body: dict[str, str], ledger: Ledger) -> httpx.Response | None:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            response = await self.web.post(path, json=body, headers=headers)
        except httpx.TransportError:
            ledger.reconnected += 1
            return None
        ledger.statuses[response.status_code] += 1
        return response


async def _kill_web(site: labelling_site.Site, options: argparse.Namespace, ledger: Ledger) -> None:
    while options.kill_web_every:
        await asyncio.sleep(options.kill_web_every)
        site.kill_a_worker()
        ledger.killed["web worker"] += 1


async def _kill_database(
    folder: Path, options: argparse.Namespace, ledger: Ledger, pause: float
) -> None:
    for _ in range(options.kill_database):
        await asyncio.sleep((pause + options.seconds) / (options.kill_database + 1))
        answered = sum(ledger.statuses[code] for code in (200, 201))
        began = time.perf_counter()
        await asyncio.to_thread(labelling_site.crash_postgres, folder)
        ledger.killed["Postgres"] += 1
        while sum(ledger.statuses[code] for code in (200, 201)) <= answered + 1:
            await asyncio.sleep(0.02)
        ledger.longest_gap = max(ledger.longest_gap, time.perf_counter() - began)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--annotators", type=int, default=500)
    parser.add_argument("--per-minute", type=float, default=4)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0, help="0: as behind a proxy")
    parser.add_argument("--server", default="", help="another class of gunicorn's workers: gthread")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--kill-web-every", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--exactly", type=int, default=0, metavar="JUDGMENTS")
    parser.add_argument("--each", type=int, default=0, metavar="ANSWERS")
    parser.add_argument("--kill-database", type=int, default=0, metavar="TIMES")
    parser.add_argument("--vanish", type=float, default=0, metavar="SHARE")
    parser.add_argument("--comparisons", type=int, default=20_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
