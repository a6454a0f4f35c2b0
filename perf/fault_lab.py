"""An installation to break: private servers, workers of two hosts, and an eye on their processes.

Each worker "host" has its own name, run directories and one GPU slot, as two machines would; they
share Postgres, Valkey and storage. Whatever worker is killed is started again, as systemd or Docker
would do it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

RESTART_SECONDS = 0.1  # What systemd waits unless told otherwise.
LOOK_SECONDS = 0.1
TRAINER, GUARDIAN = "trainer", "guardian"


@dataclass
class Service:
    """A process that is started again whenever it dies."""

    name: str
    arguments: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    died_at: float = 0.0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        alive = self.process is not None and self.process.poll() is None
        return self.process.pid if alive and self.process is not None else None

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)


class Services(threading.Thread):
    """Keeps its services alive until ``stop``."""

    def __init__(self, services: list[Service]) -> None:
        super().__init__(name="services", daemon=True)
        self.services = {service.name: service for service in services}
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(0.05):
            now = time.monotonic()
            for service in self.services.values():
                if service.pid is not None:
                    service.died_at = 0.0
                elif not service.died_at:
                    service.died_at = now
                elif now - service.died_at > RESTART_SECONDS:
                    service.start()

    def __getitem__(self, name: str) -> Service:
        return self.services[name]

    def stop(self) -> None:
        """Kill all of them at once; what they had started must end by itself."""
        self._stopped.set()
        self.join()
        for service in self.services.values():
            service.end()
            if service.process is not None:
                service.process.wait()


@dataclass
class Seen:
    """A trainer or guardian that was seen, and when (``time.monotonic``)."""

    role: str
    host: str
    run: int
    pid: int
    first: float
    last: float


@dataclass
class Watcher(threading.Thread):
    """Looks ten times a second which trainers and guardians live, and for which run."""

    folder: Path
    seen: dict[int, Seen] = field(default_factory=dict)
    doubles: set[tuple[int, ...]] = field(default_factory=set)
    looks: int = 0

    def __post_init__(self) -> None:
        super().__init__(name="watcher", daemon=True)
        self._stopped = threading.Event()
        self._strangers: dict[int, int] = {}
        self._alive: dict[int, Seen] = {}

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            self.look()

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def look(self) -> dict[int, Seen]:
        """All that live now, by process id."""
        now = time.monotonic()
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        alive: dict[int, Seen] = {}
        for pid in pids:
            # A process shows its parent's command until it executes its own: look twice.
            if self._strangers.get(pid, 0) < 3:
                found = self._identify(pid, now)
                if found is None:
                    self._strangers[pid] = self._strangers.get(pid, 0) + 1
                else:
                    alive[pid] = found
        self._strangers = {pid: n for pid, n in self._strangers.items() if pid in pids}
        self._alive = alive
        self.looks += 1
        self._note_doubles(alive)
        return alive

    def _identify(self, pid: int, now: float) -> Seen | None:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return None
        if "--run-dir" not in words:
            return None
        directory = Path(words[words.index("--run-dir") + 1])
        if not directory.is_relative_to(self.folder):
            return None
        role = GUARDIAN if "training.runs.guardian" in words else TRAINER
        known = self.seen.get(pid)
        if known is None or known.role != role or known.run != int(directory.name):
            known = Seen(role, directory.parent.name, int(directory.name), pid, now, now)
            self.seen[pid] = known
        known.last = now
        return known

    def _note_doubles(self, alive: dict[int, Seen]) -> None:
        of_run: dict[int, list[int]] = defaultdict(list)
        for one in alive.values():
            if one.role == TRAINER:
                of_run[one.run].append(one.pid)
        for run, pids in of_run.items():
            if len(pids) > 1:
                self.doubles.add((run, *sorted(pids)))

    def alive(self, *, run: int | None = None, role: str | None = None) -> list[Seen]:
        """Those that lived at the last look."""
        return [
            one
            for one in self._alive.values()
            if (run is None or one.run == run) and (role is None or one.role == role)
        ]

    def told(self) -> dict[str, int]:
        """How much was looked at, and what must be 0."""
        return {
            "trainers": sum(one.role == TRAINER for one in self.seen.values()),
            "looks": self.looks,
            "doubles": len(self.doubles),
            "left": len(self._alive) + len(self.of_workers()),
        }

    def of_workers(self) -> set[int]:
        """Processes of the hosts' workers, their watchdoges among them: by their environment."""
        mark = f"RUNS_ROOT={self.folder}/".encode()
        found = set()
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit() and mark in Path(f"/proc/{name}/environ").read_bytes():
                    found.add(int(name))
        return found


@dataclass
class Lab:
    """What the phases work with."""

    folder: Path
    services: Services
    watcher: Watcher
    hosts: tuple[str, ...]


@contextmanager
def laboratory(folder: Path, *, hosts: tuple[str, ...] = ("a", "b")) -> Iterator[Lab]:
    """Migrated servers and running workers; in the end all are killed and ``watcher`` has seen
    what was left ten seconds later."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    (folder / "logs").mkdir()
    services = Services([_short_tasks(folder), *(_worker(folder, host) for host in hosts)])
    watcher = Watcher(folder)
    for service in services.services.values():
        service.start()
    services.start()
    watcher.start()
    try:
        yield Lab(folder, services, watcher, hosts)
    finally:
        services.stop()
        _let_go(watcher)
        watcher.stop()


def _let_go(watcher: Watcher, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while (watcher.look() or watcher.of_workers()) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)


def _short_tasks(folder: Path) -> Service:
    arguments = ["celery", "-A", "config", "worker", "--beat", "-Q", "default,cpu", "-c", "1"]
    arguments += ["-n", "short@%h", "-s", str(folder / "beat"), "--loglevel", "WARNING"]
    return Service("short", arguments, {}, folder / "logs" / "short.log")


def _worker(folder: Path, host: str) -> Service:
    arguments = ["celery", "-A", "config", "worker", "-Q", "gpu", "-c", "1", "-n", f"{host}@%h"]
    environment = {
        "WORKER_HOST": host,
        "WORKER_GPUS": "1",
        "RUNS_ROOT": str(folder / host),
        "TRAINER_THREADS": "1",
    }
    log = folder / "logs" / f"{host}.log"
    return Service(host, [*arguments, "--loglevel", "INFO"], environment, log)
