"""Breaks a running installation on purpose and counts what came of it.

    python -m perf.faults [--runs 20] [--seconds 600] [--queued 10] [--away 20]
                          [--kinds sft,reward,ppo] [--kills 3] [--slack 1] [--seed 0]

Everything is real: Postgres, Valkey, two Celery workers as two hosts, beat, gunicorn, and trainers
of a tiny vision-language model. First one run of each kind trains undisturbed. Then runs train
while a trainer, guardian, pool process or worker is killed every few seconds and Redis is flushed
or stopped; then Redis is flushed with a queue; then it stays away while people work. Every run
must end with the weights of an undisturbed one. No run is asked for after ``--seconds``. The exit
status is 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import django

GPU_FREE_SECONDS = 10
RESTARTED_SECONDS = 20
"""For what only the restarted worker of a host can do; most of it is its start."""
RESUMED_SECONDS = 60
DISPATCHED_SECONDS = 30
ASKING_MILLISECONDS = 300


@dataclass(frozen=True)
class Line:
    """One line of the table; ``kept`` is None where nothing is promised."""

    what: str
    figure: str
    kept: bool | None = None


SLACK = 1.0  # For a machine whose speed proves nothing: a test looks at everything but time.


def main() -> int:
    global SLACK
    options = _options()
    SLACK = options.slack
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        # Postgres runs as another user where this is started as root.
        os.chmod(folder, 0o755)
        for name in ("DATABASE_URL", "REDIS_URL", "RUNS_ROOT"):
            os.environ.pop(name, None)
        os.environ["FACTLOOP_VAR"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        os.environ.setdefault("LOG_LEVEL", "WARNING")
        from config import embedded

        django.setup()
        try:
            embedded.start_if_needed()
            return _run(options, Path(folder))
        finally:
            subprocess.run([sys.executable, "-m", "config.embedded", "stop"], check=True)


def _run(options: argparse.Namespace, folder: Path) -> int:
    from perf.fault_lab import laboratory
    from perf.fault_phases import Kills, flush_with_queue, wait
    from perf.fault_redis import redis_away
    from perf.fault_runs import Bench, ends

    began = time.monotonic()
    lines: list[Line] = []
    with laboratory(folder) as lab:
        bench = Bench.make(folder, tuple(options.kinds.split(",")))
        _say("one run of each kind, undisturbed")
        while {run.kind for run in bench.asked()} != set(bench.kinds):
            bench.ask_next()
        wait(lambda: not bench.unfinished(), 180)
        bench.remember()
        _say(f"{options.runs} runs with kills")
        kills = Kills(lab, bench, random.Random(options.seed), most_of_a_run=options.kills)
        kills.go(runs=options.runs, seconds=options.seconds)
        lines += _of_kills(kills)
        if options.queued:
            _say(f"FLUSHALL with {options.queued} queued")
            lines += _of_flush(flush_with_queue(lab, bench, queued=options.queued))
        if options.away:
            _say(f"Redis away for {options.away:g} s")
            lines += _of_away(redis_away(lab, bench, seconds=options.away))
        lines += _of_ends(ends(bench, folder))
    lines += _of_processes(lab.watcher)
    lines.append(Line("all of it", f"{time.monotonic() - began:.0f} s"))
    return _report(lines, folder)


def _of_kills(kills: object) -> list[Line]:
    from perf.fault_phases import TARGETS, Kills

    assert isinstance(kills, Kills)
    every = [*kills.done, *kills.open]
    lines = [
        Line(f"kill -9 of a {target}", str(sum(kill.target == target for kill in every)))
        for target in TARGETS
    ]
    lines += [
        Line("Redis flushed, stopped", f"{kills.flushed}, {kills.stopped}"),
        Line("consequences not over", str(len(kills.open)), not kills.open),
        _within("trainer gone after", [kill.gone for kill in every], GPU_FREE_SECONDS),
    ]
    for target in TARGETS:
        free = [kill.slot_free for kill in every if kill.target == target]
        limit = RESTARTED_SECONDS if target == "worker" else GPU_FREE_SECONDS
        lines.append(_within(f"GPU slot free, {target} killed", free, limit))
    lines.append(_within("training again after", [k.resumed for k in every], RESUMED_SECONDS))
    return lines


def _of_flush(found: object) -> list[Line]:
    from perf.fault_phases import Flush

    assert isinstance(found, Flush)
    state = f"{found.queued} queued, {found.running} running"
    return [
        Line("FLUSHALL with", state),
        _within("  announced again after", [found.announced], DISPATCHED_SECONDS),
        _within("  next claimed, a host being free", [found.claimed], DISPATCHED_SECONDS),
    ]


def _of_away(found: object) -> list[Line]:
    from perf.fault_redis import Away, p95

    assert isinstance(found, Away)
    lines = []
    for how, taken in found.asking.items():
        figure = f"{statistics.median(taken):.0f} ms, at most {max(taken):.0f} ms"
        within = max(taken) < SLACK * ASKING_MILLISECONDS if how != "there" else None
        lines.append(Line(f"asking for a run, Redis {how}", figure, within))
    for how, taken in found.answering.items():
        figure = f"p50 {statistics.median(taken):.0f} ms, p95 {p95(taken):.0f} ms"
        lines.append(Line(f"claim and submit, Redis {how}", f"{figure} of {len(taken)}"))
    lines.append(Line("requests refused", str(found.refused), not found.refused))
    lines.append(_within("the run begins, Redis back", [found.begun_after], DISPATCHED_SECONDS))
    return lines


def _of_ends(found: object) -> list[Line]:
    from perf.fault_runs import Ends

    assert isinstance(found, Ends)
    return [
        Line("runs tried", str(found.asked)),
        Line("runs resumed at least once", str(found.resumed)),
        Line("runs that did not succeed", str(found.not_succeeded), not found.not_succeeded),
        Line("final weights unequal", str(found.unequal), not found.unequal),
        Line("attempts that overlap", str(found.overlapping), not found.overlapping),
        Line("events written by a former host", str(found.strayed), not found.strayed),
        Line("runs with two results", str(found.twice), not found.twice),
    ]


def _of_processes(watcher: object) -> list[Line]:
    from perf.fault_lab import TRAINER, Watcher

    assert isinstance(watcher, Watcher)
    trainers = sum(one.role == TRAINER for one in watcher.seen.values())
    left = len(watcher.alive())
    return [
        Line("trainers seen, looks", f"{trainers}, {watcher.looks:,}"),
        Line("two trainers of a run", str(len(watcher.doubles)), not watcher.doubles),
        Line("processes left after all workers were killed", str(left), not left),
    ]


def _within(what: str, seconds: Iterable[float | None], limit: float) -> Line:
    limit *= SLACK
    known = [one for one in seconds if one is not None]
    if not known:
        return Line(what, "never seen", None)
    figure = f"{statistics.median(known):.1f} s, at most {max(known):.1f} s"
    return Line(what, f"{figure} (limit {limit:g} s)", max(known) <= limit)


def _report(lines: list[Line], folder: Path) -> int:
    words = {None: "", True: "kept", False: "BROKEN"}
    print("\n| what | figure | promise |\n|---|---|---|")
    for line in lines:
        print(f"| {line.what} | {line.figure} | {words[line.kept]} |")
    broken = any(line.kept is False for line in lines)
    if broken:
        for log in sorted((folder / "logs").iterdir()):
            print(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-40:]))
    return int(broken)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--queued", type=int, default=10, help="0 leaves that phase out")
    parser.add_argument("--away", type=float, default=20, help="0 leaves that phase out")
    parser.add_argument("--kinds", default="sft,reward,ppo", help="or sft alone")
    parser.add_argument("--kills", type=int, default=3, help="at most, of one run")
    parser.add_argument("--slack", type=float, default=1, help="times the limits of time")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
