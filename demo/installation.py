"""A small installation of FactLoop on this machine: the site, a worker with beat, an admin.

There is no default account: the admin's password is made anew each time, so that a demo that was
shown to somebody does not stay open.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from annotation.models import User
from config import embedded
from config.migrating import migrate_or_say
from demo.processes import Processes

ADMIN = "demo-admin"
START_SECONDS = 60


@dataclass(frozen=True)
class Installation:
    """A running site and how to get in."""

    url: str
    admin: str
    password: str
    folder: Path
    processes: Processes

    def wait(self) -> None:
        """Until somebody interrupts or a process dies."""
        while True:
            self.processes.check()
            time.sleep(1)


@contextmanager
def installation(address: str, *, folder: Path) -> Iterator[Installation]:
    """Migrates, starts the processes, and stops them at the end; logs go to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    migrate_or_say()
    password = _admin()
    host = address.rsplit(":", 1)[0]
    folder = folder.absolute()  # The processes run elsewhere.
    var = str(embedded.var_folder().absolute())
    environment = {**os.environ, "TRAINER_THREADS": "1", "FACTLOOP_VAR": var}
    if not os.environ.get("DATABASE_URL"):
        environment["ALLOWED_HOSTS"] = f"localhost,127.0.0.1,{host}"
    with Processes(folder / "logs", environment) as processes:
        processes.start(
            "site", "-m", "gunicorn", "--config", "python:config.gunicorn", "config.wsgi",
            "--bind", address, "--workers", "2", "--threads", "4",
        )  # fmt: skip
        processes.start(
            "worker", "-m", "celery", "-A", "config", "worker", "--beat", "--queues",
            "default,cpu", "--concurrency", "1", "--hostname", "short@%h", "--loglevel", "INFO",
            "--schedule", str(folder / "beat-schedule"),
        )  # fmt: skip
        # As many trainers at once as there are cores, with one thread each: at this size a second
        # thread waits more than it works, and threads of two trainers take turns at spinning.
        processes.start(
            "trainer", "-m", "celery", "-A", "config", "worker", "--queues", "gpu",
            "--concurrency", str(min(2, os.cpu_count() or 1)), "--hostname", "trainer@%h",
            "--loglevel", "INFO",
        )  # fmt: skip
        site = Installation(f"http://{address}", ADMIN, password, folder, processes)
        _wait_for(site)
        yield site


def _admin() -> str:
    password = secrets.token_urlsafe(12)
    admin, _ = User.objects.get_or_create(username=ADMIN)
    admin.is_staff = admin.is_superuser = admin.is_active = True
    admin.set_password(password)
    admin.save()
    return password


def _wait_for(site: Installation) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        site.processes.check()
        try:
            if httpx.get(f"{site.url}/login/").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"the site did not answer; see {site.processes.logs}")
        time.sleep(0.2)
