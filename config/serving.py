"""``factloop serve``: migrations, a worker with beat, and the site, which end together.

For one machine. An installation that must survive its machine starts the same processes one by one
(docs/deployment.md), each under a supervisor.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from config import embedded
from config.parent_death import die_with_parent
from config.places import made_var_folder

GRACE_SECONDS = 90


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="factloop serve", description=__doc__)
    parser.add_argument("--site", default="127.0.0.1:8000", help="where the site listens")
    site = parser.parse_args(words).site
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    signal.signal(signal.SIGTERM, _interrupt)
    refuse_taken_address(site)
    with alone():
        embedded.start_or_say()
        _prepare()
        return _serve(site)


def _serve(site: str) -> int:
    worker = _start(
        "celery", "-A", "config", "--quiet", "worker", "--beat", "-Q", "default,cpu,gpu",
        "--concurrency", "3", "--loglevel", "WARNING",
        "--schedule", str(embedded.var_folder().absolute() / "beat-schedule"),
    )  # fmt: skip
    web = _start(
        "gunicorn", "--config", "python:config.gunicorn", "config.wsgi", "--bind", site,
        "--workers", "2", "--threads", "4", "--log-level", "warning",
    )  # fmt: skip
    print(f"FactLoop runs at http://{site} (Ctrl-C stops it)", flush=True)
    try:
        return _until_one_ends(worker, web)
    except KeyboardInterrupt:
        return 0
    finally:
        _end(web, worker)


def refuse_taken_address(site: str) -> None:
    """Ends the program with a sentence where nothing can listen at ``HOST:PORT``."""
    host, _, port = site.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise SystemExit(f"{site!r} is no address: write HOST:PORT, as in 127.0.0.1:8000")
    try:
        found = socket.getaddrinfo(host.strip("[]") or None, int(port), type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        raise SystemExit(
            f"The site cannot listen at {site}: {error.strerror}. --site names another address"
        ) from error


@contextmanager
def alone() -> Iterator[None]:
    """Held by whoever serves a folder of data: two would each have a beat, with one schedule."""
    folder = made_var_folder()
    with (folder / "serving.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(
                f"FactLoop runs already on the data in {folder}; FACTLOOP_VAR names other data"
            ) from None
        yield


def _prepare() -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    from config.migrating import migrate_or_say

    migrate_or_say()
    if not settings.PRIVATE:
        # Pages name static files by their contents; those names are made here.
        call_command("collectstatic", interactive=False, verbosity=0)


def _start(*words: str) -> subprocess.Popen[bytes]:
    """Start ``python -m WORDS`` where the packages are: no other ``config`` lies before ours."""
    from config.places import CODE

    environment = {**os.environ, "FACTLOOP_VAR": str(embedded.var_folder().absolute())}
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=CODE,
        env=environment,
        # A terminal's Ctrl-C is for us, who then end both in order.
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def _until_one_ends(*processes: subprocess.Popen[bytes]) -> int:
    while all(process.poll() is None for process in processes):
        time.sleep(0.5)
    print("the site or its worker ended by itself", file=sys.stderr)
    return 1


def _end(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
