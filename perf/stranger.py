"""What a stranger and hostile machines can do to a running site, while somebody annotates on it.

    python -m perf.stranger [--seconds 10] [--workers 3]

Starts Postgres, Valkey and gunicorn as they are started behind a proxy, and before them Caddy as
``docs/deployment.md`` has it, on a free port. An annotator takes comparisons and answers them
through Caddy all the time, ten a second. Meanwhile each attack that once stopped the site, filled
its memory or was an error of the server is tried again, ``--seconds`` long where it lasts. Printed
is what came of each, and how the annotator fared beside it. The exit status is 1 if one of their
requests failed or took ``PATIENCE_SECONDS``, or if any attack was answered with a 5xx or taken in.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
import httpx

from perf import documented_proxies, stage

PATIENCE_SECONDS = 10.0
PAUSE_SECONDS = 0.1
COMPARISONS = 20_000
MIB = 2**20


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


@dataclass
class Site:
    """Where the site is, what the attacks know of it, and how long they last."""

    port: int
    direct: Path
    slug: str
    manager: str
    shared: str
    spool: Path
    seconds: float

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self, sent: bytes, path: Path | None = None) -> socket.socket:
        """A connection to the proxy, or to the site itself as a proxy has it."""
        made = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        made.settimeout(PATIENCE_SECONDS)
        made.connect(str(path) if path else ("127.0.0.1", self.port))
        made.sendall(sent)
        return made


Attack = Callable[[Site], Iterator[tuple[str, str, bool]]]
"""Yields what was tried, what came of it, and whether that is as promised."""


# --- Slow, silent, large -----------------------------------------------------------------------


def form(length: int, *more: str) -> bytes:
    """The head of a log-in; with such a cookie the site reads the form, to compare it."""
    lines = ["POST /login/ HTTP/1.1", "Host: localhost", *more, f"Cookie: csrftoken={'x' * 32}"]
    lines += [f"Content-Length: {length}"] if length else []
    if not any(line.startswith("Content-Type") for line in more):
        lines.append("Content-Type: application/x-www-form-urlencoded")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def slow(site: Site) -> Iterator[tuple[str, str, bool]]:
    for number in (3, 50, 300):
        crowd = [site.open(form(1000)) for _ in range(number)]
        until = time.monotonic() + site.seconds
        while time.monotonic() < until:
            time.sleep(1)
            for one in crowd:
                with suppress(OSError):
                    one.send(b"x")
        for one in crowd:
            one.close()
        yield f"{number} log-ins at one byte a second", f"{site.seconds:g} s long", True


def silent(site: Site) -> Iterator[tuple[str, str, bool]]:
    crowd = [site.open(b"GET /login/ HTTP/1.1\r\nHost: local") for _ in range(300)]
    time.sleep(site.seconds)
    for one in crowd:
        one.close()
    yield "300 heads that never end", f"{site.seconds:g} s long", True


def large(site: Site) -> Iterator[tuple[str, str, bool]]:
    kind = "Content-Type: multipart/form-data; boundary=b"
    begun = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    for how, head in (
        ("", form(400 * MIB, kind)),
        (" in chunks", form(0, kind, "Transfer-Encoding: chunked")),
    ):
        made, sent, most = site.open(head), 0, 0
        piece = begun + bytes(65_536 - len(begun))
        framed = (
            f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
            if "chunked" in head.decode()
            else piece
        )
        with suppress(OSError):
            while sent < 400 * MIB:
                made.sendall(framed)
                sent += len(piece)
                most = max(most, _bytes_below(site.spool))
        status = _status(made)
        came = f"{status or 'closed'} after {sent / MIB:.1f} MiB; {most / MIB:.1f} MiB on the disk"
        yield f"400 MB of form by a stranger{how}", came, sent < 16 * MIB and most < 4 * MIB


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _status(made: socket.socket) -> int:
    """Of the answer on a connection; 0 where it was closed without one."""
    with suppress(OSError), made:
        found = re.match(rb"HTTP/1\.\d (\d{3})", made.recv(2**16))
        return int(found[1]) if found else 0
    return 0


# --- What cannot be kept, and what costs ----------------------------------------------------------


def unstorable(site: Site) -> Iterator[tuple[str, str, bool]]:
    project = f"/api/v1/projects/{site.slug}"
    asked = [
        *(
            f"{project}/comparisons?{one}"
            for one in ("source=%00", "cursor=cD1hYmM=", "cursor=cD0A")
        ),
        *(f"/api/v1/runs?{one}" for one in ("kind=%00", "project=%00")),
        *(f"/shared/{name}/" for name in ("%00", "a" * 43, "%ed%a0%80")),
        "/login/?next=%00",
    ]
    bodies = {
        "nested 50,000 deep": b'{"name": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        "300 digits": b'{"lease_minutes": ' + b"9" * 300 + b"}",
        "1e400": b'{"gold_rate": 1e400}',
        "NUL": b'{"name": "a\\u0000b"}',
        "half a pair": b'{"name": "\\ud800"}',
    }
    seed = b'{"seed": 1' + b"0" * 30 + b"}"
    seen: Counter[int] = Counter()
    with _client(site) as client:
        for path in asked:
            seen[client.get(path).status_code] += 1
        for body in bodies.values():
            seen[client.patch(project, content=body).status_code] += 1
        seen[client.post(f"{project}/releases", content=seed).status_code] += 1
    came = ", ".join(f"{status}: {count}" for status, count in sorted(seen.items()))
    refused = all(400 <= status < 500 for status in seen if status != 200)
    yield "NUL, surrogates, deep JSON, endless numbers, torn cursors", came, refused


LEAST_SCHEMAS = 5
"""The first is made, the others are kept."""


def schema(site: Site) -> Iterator[tuple[str, str, bool]]:
    took = []
    until = time.monotonic() + site.seconds
    with httpx.Client(base_url=site.address, timeout=60) as client:
        while time.monotonic() < until or len(took) < LEAST_SCHEMAS:
            began = time.perf_counter()
            client.get(
                f"/api/schema/?any={len(took)}", headers={"Accept-Language": f"x{len(took)}"}
            )
            took.append(1000 * (time.perf_counter() - began))
    middle = statistics.median(took)
    came = f"{len(took)} of them; first {took[0]:.0f} ms, median {middle:.0f} ms"
    yield "/api/schema/ without end", came, middle < 500


def guidelines(site: Site) -> Iterator[tuple[str, str, bool]]:
    project = f"/api/v1/projects/{site.slug}"
    with _client(site) as client:
        long = client.patch(project, json={"guidelines": "[" * 100_000}).status_code
        most = client.patch(project, json={"guidelines": "[" * 50_000}).status_code
        took = []
        for _ in range(20):
            began = time.perf_counter()
            assert client.get(f"{project}/guidelines").is_success
            took.append(1000 * (time.perf_counter() - began))
    came = f"100,000: {long}; 50,000: {most}, then read in {max(took):.0f} ms at most of 20"
    yield "guidelines of brackets", came, long == 400


def shared(site: Site) -> Iterator[tuple[str, str, bool]]:
    began = time.perf_counter()
    answer = httpx.get(f"{site.address}{site.shared}", timeout=60)
    took = 1000 * (time.perf_counter() - began)
    came = f"{answer.status_code} in {took:.0f} ms"
    yield "answers of 40,000 newlines behind a public link", came, answer.is_success and took < 5000


def addresses(site: Site) -> Iterator[tuple[str, str, bool]]:
    """As a proxy that writes the client's address with its port; then through Caddy."""
    wrong: Counter[int] = Counter()
    for number in range(15):
        wrong[_log_in(site, f"203.0.113.7:{40_000 + number}", "wrong")] += 1
    stranger = ", ".join(f"{status}: {count}" for status, count in sorted(wrong.items()))
    owner = _log_in(site, "203.0.113.8:4711", "correct horse battery")
    yield (
        "wrong passwords, the address with a port",
        f"stranger {stranger}; owner from elsewhere {owner}",
        429 in wrong and owner == 302,
    )


def _log_in(site: Site, written: str, password: str) -> int:
    transport = httpx.HTTPTransport(uds=str(site.direct))
    headers = {"X-Forwarded-For": written, "Referer": "http://localhost/login/"}
    with httpx.Client(transport=transport, base_url="http://localhost", headers=headers) as client:
        client.get("/login/")
        sent = {
            "username": "owner",
            "password": password,
            "csrfmiddlewaretoken": client.cookies["csrftoken"],
        }
        return client.post("/login/", data=sent).status_code


def _client(site: Site) -> httpx.Client:
    headers = {"Authorization": f"Bearer {site.manager}", "Content-Type": "application/json"}
    return httpx.Client(base_url=site.address, headers=headers, timeout=60)


# --- A judge without measure ----------------------------------------------------------------------


def judge(site: Site) -> Iterator[tuple[str, str, bool]]:
    from tests.benchmark.fake_judge import Reply, fake_judge
    from tests.benchmark.test_judges_without_measure import dripping, nested

    once = {"Content-Encoding": "gzip"}
    twice = {"Content-Encoding": "gzip, gzip"}
    for what, layers, headers in (("gzip", 1, once), ("gzip in gzip", 2, twice)):
        body = nested(layers)
        with fake_judge(lambda *_, b=body, h=headers: Reply(body=b, headers=h)) as fake:
            took, megabytes, said = _asked(fake.url)
        came = f"{said}; {took:.1f} s, {megabytes:.0f} MiB on top"
        yield f"a judge's {len(body):,} bytes of {what}, 256 MiB unpacked", came, megabytes < 32
    with dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{") as url:
        took, _, said = _asked(url)
    yield "a judge that sends a byte at a time", f"{said}; {took:.1f} s", took < 10


def _asked(url: str) -> tuple[float, float, str]:
    """Seconds, MiB of memory on top, and what is noted, of one question in a process of its own."""
    command = [sys.executable, "-m", "perf.stranger", "--ask", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = json.loads(said.splitlines()[-1])
    return found["seconds"], found["megabytes"], found["said"]


def _ask(url: str) -> None:
    from tests.benchmark.test_judges_without_measure import ask

    ask("http://127.0.0.1:9/v1")  # Loads what asking loads.
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    outcome = ask(url, timeout_seconds=5)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"seconds": time.perf_counter() - began, "megabytes": (after - before) / 1024}
    print(json.dumps({**found, "said": f"{outcome.state}: {outcome.text[:80]}"}))


ATTACKS: tuple[Attack, ...] = (
    slow, silent, large, unstorable, schema, guidelines, shared, addresses, judge
)  # fmt: skip


# --- The stage ------------------------------------------------------------------------------------


def main() -> int:
    options = _options()
    os.environ.setdefault("LOG_LEVEL", "CRITICAL")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if options.ask:
        django.setup()
        _ask(options.ask)
        return 0
    if shutil.which("caddy") is None:
        sys.exit("caddy is not installed")
    with tempfile.TemporaryDirectory(prefix="stranger-") as name:
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
    slug, tokens = stage.fill_project(comparisons=COMPARISONS, annotators=1)
    manager, link = _people(slug)
    rows: list[Row] = []
    with (
        stage.Site(folder, workers=options.workers, threads=0) as started,
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
