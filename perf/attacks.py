"""What strangers and hostile machines have sent to sites: each of it, against a running one."""

from __future__ import annotations

import json
import re
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

PATIENCE_SECONDS = 10.0
MIB = 2**20


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
    command = [sys.executable, "-m", "perf.under_attack", "--ask", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = json.loads(said.splitlines()[-1])
    return found["seconds"], found["megabytes"], found["said"]


def ask_judge(url: str) -> None:
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
