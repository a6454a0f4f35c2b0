"""What is done to the installation: processes killed, Redis flushed and taken away."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import redis
from django.conf import settings

from config import embedded
from perf.fault_lab import GUARDIAN, TRAINER, Lab
from perf.fault_runs import Bench
from perf.fault_table import TARGETS, TOLD
from training.models import Attempt, GpuSlot, Run, State

TICK_SECONDS = 0.1
DRAIN_SECONDS = 240


@dataclass
class Kill:
    """One kill -9 or SIGTERM, and the seconds until all that followed was over; None: not yet or
    never."""

    target: str
    attempt: Attempt
    at: float
    pids: list[int]
    gone: float | None = None
    slot_free: float | None = None
    resumed: float | None = None
    hosts_busy: float = 0.0
    """Of the seconds until ``resumed``, those in which every host carried out another run."""
    over: bool = False
    looked_at: float = 0.0

    def look(self, lab: Lab, held_by_dead: set[int]) -> None:
        """Notice what is over. ``held_by_dead``: attempts that keep their host for no good."""
        now = time.monotonic()
        passed = now - self.at
        living = {one.pid for one in lab.watcher.alive()}
        if self.gone is None and not living & set(self.pids):
            self.gone = passed
        if self.slot_free is None and not GpuSlot.objects.filter(attempt=self.attempt).exists():
            self.slot_free = passed
        run = Run.objects.get(pk=self.attempt.run_id)
        trainers = lab.watcher.alive(run=run.pk, role=TRAINER)
        if self.resumed is None and {one.pid for one in trainers} - set(self.pids):
            self.resumed = passed
        if self.resumed is None and _all_busy_with_others(lab, run, held_by_dead):
            self.hosts_busy += now - (self.looked_at or self.at)
        self.looked_at = now
        ended = self.resumed is not None or run.ended
        self.over = ended and self.gone is not None and self.slot_free is not None

    def told(self) -> dict[str, Any]:
        names = ("target", "gone", "slot_free", "resumed", "hosts_busy", "over")
        return {name: getattr(self, name) for name in names}


def _all_busy_with_others(lab: Lab, run: Run, held_by_dead: set[int]) -> bool:
    going = Attempt.objects.filter(ended_at=None).exclude(run=run).exclude(pk__in=held_by_dead)
    return set(going.values_list("host", flat=True)) >= set(lab.hosts)


@dataclass
class Kills:
    """Runs are fed as fast as they end, and something is killed every few seconds.

    ``every`` is the mean of seconds between two kills; the first comes when a trainer is there.
    """

    lab: Lab
    bench: Bench
    chance: random.Random
    most_of_a_run: int
    every: float
    done: list[Kill] = field(default_factory=list)
    open: list[Kill] = field(default_factory=list)
    flushed: int = 0
    stopped: int = 0
    _redis_back_at: float = 0.0

    def go(self, *, runs: int, seconds: float) -> None:
        """Until ``runs`` have been asked for, or ``seconds`` are over, and all of them ended."""
        began = time.monotonic()
        next_kill = began + self.every
        next_redis = began + self.chance.uniform(10, 30)
        while True:
            now = time.monotonic()
            asking = len(self.bench.runs) < runs and now - began < seconds
            unfinished = self.bench.unfinished()
            if asking and unfinished < len(self.lab.hosts) + 1:
                self.bench.ask_next()
            elif not asking and not unfinished and not self.open:
                break
            if now - began > seconds + DRAIN_SECONDS:
                break
            self._notice()
            if now > next_kill and self._kill():
                next_kill = now + self.chance.expovariate(1 / self.every)
            if asking and now > next_redis:
                self._trouble_redis()
                next_redis = now + self.chance.uniform(20, 50)
            if self._redis_back_at and now > self._redis_back_at:
                self._start_redis()
            time.sleep(TICK_SECONDS)
        self._start_redis()

    def _notice(self) -> None:
        held_by_dead = {kill.attempt.pk for kill in self.open if kill.slot_free is None}
        for kill in self.open:
            kill.look(self.lab, held_by_dead)
        self.done += [kill for kill in self.open if kill.over]
        self.open = [kill for kill in self.open if not kill.over]

    def _kill(self) -> bool:
        hurt = {kill.attempt.pk for kill in self.open}
        running = Attempt.objects.filter(run__in=self.bench.runs, ended_at=None).exclude(
            pk__in=hurt
        )
        running = running.filter(number__lte=self.most_of_a_run)
        chosen = [one for one in running if self.lab.watcher.alive(run=one.run_id, role=TRAINER)]
        if not chosen:
            return False
        attempt = self.chance.choice(chosen)
        target = self.chance.choice((*TARGETS, TOLD))
        mine = self.lab.watcher.alive(run=attempt.run_id)
        victim = {
            "trainer": next((one.pid for one in mine if one.role == TRAINER), None),
            "guardian": next((one.pid for one in mine if one.role == GUARDIAN), None),
            "pool process": attempt.pid,
            "worker": self.lab.services[attempt.host].pid,
            TOLD: self.lab.services[attempt.host].pid,
        }[target]
        if victim is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGTERM if target == TOLD else signal.SIGKILL)
            pids = [one.pid for one in mine]
            self.open.append(Kill(target, attempt, time.monotonic(), pids))
        return True

    def _trouble_redis(self) -> None:
        if self._redis_back_at:
            return
        if self.chance.random() < 0.5:
            flush()
            self.flushed += 1
        else:
            embedded.stop_valkey(embedded.var_folder())
            self.stopped += 1
            self._redis_back_at = time.monotonic() + self.chance.uniform(3, 12)

    def _start_redis(self) -> None:
        if self._redis_back_at:
            embedded.start_valkey(embedded.var_folder())
            self._redis_back_at = 0.0


def flush() -> None:
    with redis.from_url(settings.REDIS_URL) as client:
        client.flushall()


@dataclass
class Flush:
    """FLUSHALL while runs wait and run: seconds until waiting runs were announced again, and
    until the next of them was claimed, once a host was free."""

    queued: int
    running: int
    announced: float | None = None
    claimed: float | None = None


def flush_with_queue(lab: Lab, bench: Bench, *, queued: int) -> Flush:
    """Ask for ``queued`` runs more than hosts, flush in the middle, and see them all end."""
    for _ in range(queued + len(lab.hosts)):
        bench.ask("sft")
    rows = Run.objects.filter(pk__in=bench.runs)
    wait(lambda: rows.filter(state=State.RUNNING).count() == len(lab.hosts), 60)
    found = Flush(rows.filter(state=State.QUEUED).count(), rows.filter(state=State.RUNNING).count())
    newest = Attempt.objects.order_by("-pk").values_list("pk", flat=True)[0]
    flush()
    at = free_at = time.monotonic()
    with redis.from_url(settings.REDIS_URL) as client:
        while found.announced is None or found.claimed is None:
            now = time.monotonic()
            claimed = Attempt.objects.filter(pk__gt=newest).exists()
            if not claimed and rows.filter(state=State.RUNNING).count() == len(lab.hosts):
                free_at = now
            if found.announced is None and (claimed or client.llen("gpu")):
                found.announced = now - at
            if found.claimed is None and claimed:
                found.claimed = now - free_at
            if now - at > 240:
                break
            time.sleep(TICK_SECONDS)
    wait(lambda: not bench.unfinished(), DRAIN_SECONDS + 20 * queued)
    return found


def wait(condition: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(TICK_SECONDS)
    return True
