"""How the site answers while slow clients hold connections to it.

    python -m perf.slow_clients [--clients 300] [--workers 3] [--asked 200] [--server gthread]

Each client sends the head of a log-in and then a byte of its form every second. Meanwhile
``/healthz/ready`` is asked, one request after the other. Printed are its latencies, and how many
went unanswered for ``PATIENCE_SECONDS``. The exit status is 1 if any did.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import django

from perf import labelling_site

PATIENCE_SECONDS = 10
# With such a cookie the site reads the form, to compare what stands in it.
LOGIN = (
    b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
    b"Cookie: csrftoken=" + b"x" * 32 + b"\r\n\r\n"
)
HEALTH = b"GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"


def main() -> None:
    options = _options()
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    with tempfile.TemporaryDirectory(prefix="slow-") as folder:
        os.environ["FACTLOOP_VAR"] = folder
        Path(folder).chmod(0o755)  # So that Postgres's own user may keep its files there.
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        django.setup()
        try:
            sys.exit(_run(options, Path(folder)))
        finally:
            subprocess.run([sys.executable, "-m", "config.embedded", "stop"], check=True)


def _run(options: argparse.Namespace, folder: Path) -> int:
    from config import embedded

    embedded.start_if_needed()
    with labelling_site.Site(
        folder, workers=options.workers, threads=0, server=options.server
    ) as site:
        alone = [_ask(site.socket) for _ in range(options.asked)]
        _print("nobody else", alone)
        crowd = [_connect(site.socket, LOGIN) for _ in range(options.clients)]
        ended = threading.Event()
        threading.Thread(target=_drip, args=(crowd, ended), daemon=True).start()
        unanswered = 0
        beside: list[float] = []
        while len(beside) < options.asked and unanswered < 3:
            took = _ask(site.socket)
            unanswered += took == PATIENCE_SECONDS
            beside.append(took)
        ended.set()
        _print(f"{options.clients} slow clients", beside)
        site.master.kill()  # A server whose threads are held would wait for them.
    return int(unanswered > 0)


def _connect(path: Path, sent: bytes) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(PATIENCE_SECONDS)
    made.connect(str(path))
    made.sendall(sent)
    return made


def _drip(crowd: list[socket.socket], ended: threading.Event) -> None:
    while not ended.wait(1):
        for one in crowd:
            with suppress(OSError):
                one.send(b"x")


def _ask(path: Path) -> float:
    """Seconds until the whole answer was here, at most PATIENCE_SECONDS."""
    began = time.perf_counter()
    try:
        with _connect(path, HEALTH) as made:
            answer = made.recv(2**16)
            while made.recv(2**16):
                pass
    except TimeoutError:
        return PATIENCE_SECONDS
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
    return time.perf_counter() - began


def _print(what: str, seconds: list[float]) -> None:
    lost = sum(one == PATIENCE_SECONDS for one in seconds)
    cuts = statistics.quantiles(seconds, n=100)
    p50, p95 = (f"{1000 * cuts[place]:.1f} ms" for place in (49, 94))
    print(f"{what}: p50 {p50}, p95 {p95} of {len(seconds)}, unanswered {lost}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=300)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--asked", type=int, default=200)
    parser.add_argument("--server", default="", help="another class of gunicorn's workers: gthread")
    return parser.parse_args()


if __name__ == "__main__":
    main()
