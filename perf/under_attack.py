"""What a stranger and hostile machines can do to a running site, while somebody annotates on it.

    python -m perf.under_attack [--seconds 10] [--workers 3]

Starts Postgres, Valkey and gunicorn as they are started behind a proxy, and before them Caddy as
``docs/deployment.md`` has it, on a free port. An annotator takes comparisons and answers them
through Caddy all the time, ten a second. Meanwhile each attack that once stopped the site, filled
its memory or was an error of the server is tried again, ``--seconds`` long where it lasts. Printed
is what came of each, and how the annotator fared beside it. The exit status is 1 if one of their
requests failed or took ``PATIENCE_SECONDS``, or if any attack was answered with a 5xx or taken in.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
import httpx

from perf import documented_proxies, labelling_site
from perf.attacks import ATTACKS, PATIENCE_SECONDS, Site, ask_judge

PAUSE_SECONDS = 0.1
COMPARISONS = 20_000


@dataclass
class Row:
    """What came of one attack; ``kept``: nothing of it was taken in, and nothing was a 5xx."""

    attack: str
    came: str
    kept: bool
    beside: list[float] = field(default_factory=list)
    failed: int = 0

    def __str__(self) -> str:
        took = sorted(1000 * one for one in self.beside)
        cuts = statistics.quantiles(took, n=20, method="inclusive") if len(took) > 1 else took * 19
        fared = f"{cuts[9]:.0f}, {cuts[18]:.0f}, {took[-1]:.0f} ms of {len(took)}" if took else ""
        return f"| {self.attack} | {self.came} | {fared} | {self.failed} |"


class Annotator(threading.Thread):
    """Takes comparisons and answers them; how long each request took, and how many failed."""

    def __init__(self, address: str, slug: str, token: str) -> None:
        super().__init__(daemon=True)
        self._api = httpx.Client(
            base_url=f"{address}/api/v1/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE_SECONDS,
        )
        self._slug = slug
        self._lock = threading.Lock()
        self._took: list[float] = []
        self._failed = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(PAUSE_SECONDS):
            given = self._ask(f"projects/{self._slug}/assignments/next", {})
            if given is not None:
                said = {"client_uuid": str(uuid.uuid4()), "more_hallucinated": "1"}
                self._ask(f"assignments/{given['token']}/judgment", said)

    def _ask(self, path: str, body: dict[str, str]) -> Any:
        began, answer = time.perf_counter(), None
        with suppress(httpx.HTTPError):
            answer = self._api.post(path, json=body)
        failed = answer is None or not answer.is_success
        with self._lock:
            self._took.append(time.perf_counter() - began)
            self._failed += failed
        return None if answer is None or failed else answer.json()

    def since(self) -> tuple[list[float], int]:
        """Seconds of each request since this was asked last, and how many failed."""
        with self._lock:
            took, failed = self._took, self._failed
            self._took, self._failed = [], 0
        return took, failed


def main() -> int:
    options = _options()
    os.environ.setdefault("LOG_LEVEL", "CRITICAL")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if options.ask:
        django.setup()
        ask_judge(options.ask)
        return 0
    if shutil.which("caddy") is None:
        sys.exit("caddy is not installed")
    with tempfile.TemporaryDirectory(prefix="under-attack-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # So that Postgres's own user may keep its files there.
        os.environ["FACTLOOP_VAR"] = name
        spool = folder / "spool"
        spool.mkdir()
        os.environ["TMPDIR"] = str(spool)
        django.setup()
        try:
            return _run(options, folder, spool)
        finally:
            subprocess.run([sys.executable, "-m", "config.embedded", "stop"], check=True)


def _run(options: argparse.Namespace, folder: Path, spool: Path) -> int:
    from django.core.management import call_command

    from config import embedded

    embedded.start_if_needed()
    call_command("migrate", verbosity=0)
    slug, tokens = labelling_site.fill_project(comparisons=COMPARISONS, annotators=1)
    manager, link = _people(slug)
    rows: list[Row] = []
    with (
        labelling_site.Site(folder, workers=options.workers, threads=0) as started,
        caddy(folder, started.socket) as port,
    ):
        site = Site(port, started.socket, slug, manager, link, spool, options.seconds)
        annotator = Annotator(site.address, slug, tokens[0])
        annotator.start()
        time.sleep(options.seconds)
        rows.append(Row("nothing", f"{options.seconds:g} s long", True, *annotator.since()))
        for attack in ATTACKS:
            for what, came, kept in attack(site):
                rows.append(Row(what, came, kept, *annotator.since()))
        annotator.ended.set()
        annotator.join()
    print("| tried | what came of it | the annotator: p50, p95, most | failed |\n|---|---|---|---|")
    for row in rows:
        print(row, flush=True)
    broken = [row.attack for row in rows if not row.kept or row.failed]
    broken += [row.attack for row in rows if max(row.beside, default=0) >= PATIENCE_SECONDS]
    print("all as promised" if not broken else f"broken: {'; '.join(broken)}")
    return int(bool(broken))


def _people(slug: str) -> tuple[str, str]:
    """A manager's token, and the address of a public link to an answer of newlines; an owner."""
    from annotation.models import ApiToken, Membership, Project, User
    from benchmark.models import SharedLink
    from tests.benchmark.factories import make_evaluation

    owner = User.objects.create_superuser("owner", password="correct horse battery")
    project = Project.objects.get(slug=slug)
    Membership.objects.create(project=project, user=owner, role="manager")
    _, token = ApiToken.create(owner, name="attacks", scopes=list(ApiToken.Scope.values))
    evaluation = make_evaluation([6] * 8)
    evaluation.answers.update(text="A" + "\n" * 40_000 + "B")
    _, raw = SharedLink.create(
        [evaluation], days=7, title="Scores", created_by=owner, with_answers=True
    )
    return token, f"/shared/{raw}/evaluations/{evaluation.pk}/"


@contextmanager
def caddy(folder: Path, site: Path) -> Iterator[int]:
    """Caddy as the document has it, before a Unix socket; the port where it listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    with subprocess.Popen(
        documented_proxies.caddy(folder, site, port),
        env={**os.environ, "HOME": str(folder)},
        stderr=subprocess.DEVNULL,
    ) as process:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None, "caddy ended"
            time.sleep(0.05)
        yield port
        process.terminate()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--ask", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
