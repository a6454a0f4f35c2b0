"""What fault runs found: kept as JSON, added up over several of them, printed as one table.

A machine that many use is free for minutes only, so the figures of one table may come from several
short runs; nothing is averaged away: the greatest value of all of them stands beside the limit.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

TARGETS = ("trainer", "guardian", "pool process", "worker")
TOLD = "worker told to end"
"""The one that gets SIGTERM: its trainer saves first, for which nothing is promised in seconds."""
GPU_FREE_SECONDS = 10
RESUMED_SECONDS = 60
DISPATCHED_SECONDS = 30
ASKING_MILLISECONDS = 300


@dataclass(frozen=True)
class Line:
    """One line of the table; ``kept`` is None where nothing is promised."""

    what: str
    figure: str
    kept: bool | None = None


@dataclass
class Findings:
    """One entry a fault run, except ``kills``: one entry a kill. All values are JSON."""

    kills: list[dict[str, Any]] = field(default_factory=list)
    redis: list[dict[str, int]] = field(default_factory=list)
    flushes: list[dict[str, Any]] = field(default_factory=list)
    aways: list[dict[str, Any]] = field(default_factory=list)
    ends: list[dict[str, int]] = field(default_factory=list)
    processes: list[dict[str, int]] = field(default_factory=list)
    storage: list[dict[str, Any]] = field(default_factory=list)
    whole: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def sum(cls, paths: Iterable[Path]) -> Findings:
        """All that was found in the runs whose findings were saved in ``paths``."""
        found = cls()
        for path in paths:
            read = json.loads(path.read_text())
            for one in fields(cls):
                getattr(found, one.name).extend(read.get(one.name, []))
        return found

    def table(self, *, slack: float = 1.0) -> list[Line]:
        """``slack``: times the limits of time, for a machine whose speed proves nothing."""
        return [
            *_of_kills(self, slack),
            *(line for found in self.flushes for line in _of_flush(found, slack)),
            *(line for found in self.aways for line in _of_away(found, slack)),
            *(_of_ends(self.ends) if self.ends else []),
            *(_of_processes(self.processes) if self.processes else []),
            *_of_storage(self.storage),
            Line("all of it", _whole(self.whole)),
        ]


def report(lines: list[Line]) -> bool:
    """Print the table; whether every promise was kept."""
    words = {None: "", True: "kept", False: "BROKEN"}
    print("\n| what | figure | promise |\n|---|---|---|")
    for line in lines:
        print(f"| {line.what} | {line.figure} | {words[line.kept]} |")
    return not any(line.kept is False for line in lines)


def _of_kills(found: Findings, slack: float) -> list[Line]:
    kills = found.kills
    if not kills:
        return []
    unfinished = sum(not kill["over"] for kill in kills)
    lines = [
        Line(f"kill -9 of a {target}", str(sum(kill["target"] == target for kill in kills)))
        for target in TARGETS
    ]
    told = [kill for kill in kills if kill["target"] == TOLD]
    killed = [kill for kill in kills if kill["target"] != TOLD]
    lines += [
        Line("SIGTERM to a worker", str(len(told))),
        Line("Redis flushed, stopped", f"{_total(found.redis, 'flushed')}, "
             f"{_total(found.redis, 'stopped')}"),
        Line("consequences not over", str(unfinished), not unfinished),
        _within("trainer gone after kill -9", _of(killed, "gone"), slack * GPU_FREE_SECONDS),
        _within("run given back after SIGTERM", _of(told, "slot_free"), None),
    ]  # fmt: skip
    for target in TARGETS:
        free = _of((kill for kill in kills if kill["target"] == target), "slot_free")
        lines.append(_within(f"GPU slot free, {target} killed", free, slack * GPU_FREE_SECONDS))
    resumed = [kill for kill in kills if kill["resumed"] is not None]
    seconds = [kill["resumed"] - kill["hosts_busy"] for kill in resumed]
    lines.append(_within("training again, a host being free", seconds, slack * RESUMED_SECONDS))
    waited = [kill["hosts_busy"] for kill in resumed]
    lines.append(_within("  and all hosts busy with other runs for", waited, None))
    return lines


def _of_flush(found: dict[str, Any], slack: float) -> list[Line]:
    limit = slack * DISPATCHED_SECONDS
    return [
        Line("FLUSHALL with", f"{found['queued']} queued, {found['running']} running"),
        _within("  announced again after", [found["announced"]], limit),
        _within("  next claimed, a host being free", [found["claimed"]], limit),
    ]


def _of_away(found: dict[str, Any], slack: float) -> list[Line]:
    lines = [Line("Redis away for", f"{found['seconds']:.0f} s")]
    for how, taken in found["asking"].items():
        figure = f"{statistics.median(taken):.0f} ms, at most {max(taken):.0f} ms of {len(taken)}"
        within = max(taken) < slack * ASKING_MILLISECONDS if how != "there" else None
        lines.append(Line(f"asking for a run, Redis {how}", figure, within))
    for how, taken in found["answering"].items():
        figure = f"p50 {statistics.median(taken):.0f} ms, p95 {p95(taken):.0f} ms"
        lines.append(Line(f"claim and submit, Redis {how}", f"{figure} of {len(taken)}"))
    lines.append(Line("requests refused", str(found["refused"]), not found["refused"]))
    begun = _within(
        "the run begins, Redis back", [found["begun_after"]], slack * DISPATCHED_SECONDS
    )
    return [*lines, begun]


def _of_ends(ends: list[dict[str, int]]) -> list[Line]:
    must_be_none = {
        "runs that did not succeed": "not_succeeded",
        "final weights unequal": "unequal",
        "attempts that overlap": "overlapping",
        "events written by a former host": "strayed",
        "runs with two results": "twice",
    }
    return [
        Line("runs tried", str(_total(ends, "asked"))),
        Line("runs resumed at least once", str(_total(ends, "resumed"))),
        *(_none(what, _total(ends, name)) for what, name in must_be_none.items()),
    ]


def _of_processes(processes: list[dict[str, int]]) -> list[Line]:
    seen = f"{_total(processes, 'trainers')}, {_total(processes, 'looks'):,}"
    return [
        Line("trainers seen, looks", seen),
        _none("two trainers of a run", _total(processes, "doubles")),
        _none("processes left after all workers were killed", _total(processes, "left")),
    ]


def _of_storage(storage: list[dict[str, Any]]) -> list[Line]:
    lines = []
    for scene in dict.fromkeys(found["scene"] for found in storage):
        of_it = [found for found in storage if found["scene"] == scene]
        steps = max(found["steps"] for found in of_it)
        reachable = [fault for found in of_it for fault in found["reachable"]]
        wrong = [fault for fault in reachable if fault.startswith("a ready release")]
        left = [fault for found in of_it for fault in found["in_the_end"]]
        requests = max(len(found.get("requests", [])) for found in of_it)
        places = f"{steps} steps" + (f" and {requests} requests" if requests else "")
        lines += [
            Line(f"{scene}: killed at a step", f"{_total(of_it, 'killed')} of {places}"),
            Line("  killed in a write", str(_total(of_it, "torn"))),
            Line(
                "  writes failed, disks full", f"{_total(of_it, 'failed')}, {_total(of_it, 'full')}"
            ),
            _none("  reachable that was not whole", len(reachable)),
            _none("  not whole once it was done again", len(left)),
        ]
        if scene.startswith("release"):
            lines.append(_none("  ready with another hash", len(wrong)))
    return lines


def _whole(whole: list[dict[str, float]]) -> str:
    loads = [one["load"] for one in whole]
    seconds = sum(one["seconds"] for one in whole)
    return f"{seconds:.0f} s in {len(whole)}, load at the end {min(loads):.1f} to {max(loads):.1f}"


def _none(what: str, number: int) -> Line:
    return Line(what, str(number), not number)


def _total(rows: list[dict[str, int]], name: str) -> int:
    return sum(row[name] for row in rows)


def _of(kills: Iterable[dict[str, Any]], name: str) -> list[float | None]:
    return [kill[name] for kill in kills]


def _within(what: str, seconds: Iterable[float | None], limit: float | None) -> Line:
    known = [one for one in seconds if one is not None]
    if not known:
        return Line(what, "never seen", None)
    figure = f"{statistics.median(known):.1f} s, at most {max(known):.1f} s"
    if limit is None:
        return Line(what, figure)
    return Line(what, f"{figure} (limit {limit:g} s)", max(known) <= limit)


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
