"""Breaks a running installation on purpose and counts what came of it.

    python -m perf.faults [--runs 20] [--seconds 600] [--queued 10] [--away 20] [--hosts 2]
                          [--kinds sft,reward,ppo] [--kills 3] [--every 4] [--slack 1] [--seed 0]
                          [--save FILE] [--storage 1000]
    python -m perf.faults --sum FILE...

Everything is real: Postgres, Valkey, a Celery worker for each of some hosts, beat, gunicorn, and
trainers of a tiny vision-language model. First one run of each kind trains undisturbed. Then runs
train while every few seconds a trainer, guardian, pool process or worker is killed, or a worker
told to end, and Redis is flushed or stopped; then Redis is flushed with a queue; then it stays away
while people work. Every run must end with the weights of an undisturbed one. No run is asked for
after ``--seconds``; 0 leaves that phase out. Before all that the writers of storage are killed at
each of their steps (at most ``--storage`` of each kind; 0 leaves that out), in the middle of a
write, on a disk that fills, and at their requests to a bucket, and what they left is looked at. The
exit status is 1 when a promise is broken.
``--sum`` prints one table of what several runs have saved.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import django

from perf.fault_table import Findings, report


def main() -> int:
    options = _options()
    if options.sum:
        return int(not report(Findings.sum(options.sum).table(slack=options.slack)))
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
    began = time.monotonic()
    found = Findings()
    if options.storage:
        _say("writers of storage die")
        found.storage += _break_storage(folder, most_kills=options.storage)
    if options.runs:
        _break_runs(options, folder, found)
    seconds = time.monotonic() - began
    found.whole.append({"seconds": seconds, "load": os.getloadavg()[0]})
    if options.save:
        found.save(options.save)
    kept = report(found.table(slack=options.slack))
    if not kept and options.runs:
        _show_logs(folder)
    return int(not kept)


def _break_storage(folder: Path, *, most_kills: int) -> list[dict[str, Any]]:
    import pytest
    from django.core.management import call_command

    from perf.storage_faults import break_storage
    from tests.small_disks import mounted

    call_command("migrate", verbosity=0)
    work = folder / "storage-faults"
    work.mkdir()
    try:
        with mounted(folder / "small-disk", megabytes=16) as disk:
            found = break_storage(work, most_kills=most_kills, disk=disk)
    except pytest.skip.Exception:
        _say("no small disk may be mounted here: none is filled")
        found = break_storage(work, most_kills=most_kills)
    return [one.told() for one in found]


def _break_runs(options: argparse.Namespace, folder: Path, found: Findings) -> None:
    from perf.fault_lab import laboratory
    from perf.fault_phases import Kills, flush_with_queue, wait
    from perf.fault_redis import redis_away
    from perf.fault_runs import Bench, ends

    with laboratory(folder, hosts=tuple("abcdefgh"[: options.hosts])) as lab:
        bench = Bench.make(folder, tuple(options.kinds.split(",")))
        _say("one run of each kind, undisturbed")
        while {run.kind for run in bench.asked()} != set(bench.kinds):
            bench.ask_next()
        wait(lambda: not bench.unfinished(), 180)
        bench.remember()
        if options.seconds:
            _say(f"{options.runs} runs with kills")
            kills = Kills(lab, bench, random.Random(options.seed), options.kills, options.every)
            kills.go(runs=options.runs, seconds=options.seconds)
            found.kills += [kill.told() for kill in (*kills.done, *kills.open)]
            found.redis.append({"flushed": kills.flushed, "stopped": kills.stopped})
        if options.queued:
            _say(f"FLUSHALL with {options.queued} queued")
            found.flushes.append(asdict(flush_with_queue(lab, bench, queued=options.queued)))
        if options.away:
            _say(f"Redis away for {options.away:g} s")
            found.aways.append(asdict(redis_away(lab, bench, seconds=options.away)))
        found.ends.append(asdict(ends(bench, folder)))
    found.processes.append(lab.watcher.told())


def _show_logs(folder: Path) -> None:
    for log in sorted((folder / "logs").iterdir()):
        print(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-40:]))


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=20, help="0 leaves all of runs out")
    parser.add_argument("--storage", type=int, default=1000, help="0 leaves storage out")
    parser.add_argument("--seconds", type=float, default=600, help="0 leaves the kills out")
    parser.add_argument("--queued", type=int, default=10, help="0 leaves that phase out")
    parser.add_argument("--away", type=float, default=20, help="0 leaves that phase out")
    parser.add_argument("--kinds", default="sft,reward,ppo", help="or sft alone")
    parser.add_argument("--every", type=float, default=4, help="mean seconds between two kills")
    parser.add_argument("--kills", type=int, default=3, help="at most, of one run")
    parser.add_argument("--slack", type=float, default=1, help="times the limits of time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hosts", type=int, default=2, help="workers, each a host with one GPU")
    parser.add_argument("--save", type=Path, help="what was found, as JSON, for --sum")
    parser.add_argument("--sum", type=Path, nargs="+", help="one table of what these runs saved")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
