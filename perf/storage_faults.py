"""Storage, whose writers are killed at each step and in the middle of writes, and whose disk fills.

Each scene of ``perf.storage_scenes`` is acted again and again in a process that is made to die a
step later each time (``perf.storage_child``). After each death it is looked at what can be reached,
and the work is done again. Nothing waits for a time to pass.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import override_settings

from perf.storage_scenes import SCENES

BYTES = (1, 5_000, 100_000, 1_500_000)
"""At which length of a file a write is broken off: of a few, of one chunk, between chunks."""
LEFT = (0, 4_096, 100_000, 1_500_000)
"""Bytes that a disk has left."""
DISK_MEGABYTES = 16


@dataclass
class SceneFound:
    """What came of one scene."""

    scene: str
    steps: int = 0
    killed: int = 0
    torn: int = 0
    failed: int = 0
    full: int = 0
    reachable: list[str] = field(default_factory=list)
    """Faults that anybody could have met after a death, before anything was repaired."""
    in_the_end: list[str] = field(default_factory=list)
    """What was wrong once the work was done again."""

    def told(self) -> dict[str, Any]:
        return asdict(self)


class Child:
    """``perf.storage_child``, which this process gives orders."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "perf.storage_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            text=True,
        )
        assert self._read() == "ready"

    def order(self, scene: str, arguments: dict[str, Any], **how: int) -> dict[str, Any]:
        """How it went: {"killed": true}, or {"lines": …, "raised": …}."""
        order = {"scene": scene, "arguments": arguments, "storage": str(settings.MEDIA_ROOT), **how}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        said: dict[str, Any] = json.loads(self._read())
        return said

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.communicate()


@contextmanager
def child(environment: dict[str, str] | None = None) -> Iterator[Child]:
    started = Child(environment)
    try:
        yield started
    finally:
        started.end()


def break_scene(name: str, hand: Child, folder: Path, *, most_kills: int) -> SceneFound:
    """Kill the scene at each step (at ``most_kills`` of them, evenly), and break off its writes."""
    scene, found = SCENES[name], SceneFound(name)

    def attempt(**how: int) -> dict[str, Any]:
        arguments = scene.begin(folder)
        went = hand.order(name, arguments, **how)
        found.reachable += scene.look(arguments)
        found.in_the_end += scene.finish(arguments)
        return went

    attempt()  # Folders are there from now on, which takes no steps any more.
    undisturbed = attempt()
    assert not undisturbed["raised"], undisturbed
    found.steps = undisturbed["lines"]
    for step in _evenly(found.steps, most_kills):
        found.killed += "killed" in attempt(die_at=step)
    for size in BYTES:
        found.torn += "killed" in attempt(die_after_bytes=size)
        found.failed += _did_not_go_well(attempt(most_bytes=size))
    return found


def fill_disk(found: SceneFound, hand: Child, folder: Path, disk: Path) -> None:
    """Act the scene on a disk that has less and less room, which it gets before it is repeated."""
    from tests.small_disks import fill

    scene = SCENES[found.scene]
    storage = disk / "storage"
    shutil.copytree(settings.MEDIA_ROOT, storage)
    with override_settings(MEDIA_ROOT=storage):
        for left in LEFT:
            arguments = scene.begin(folder)
            ballast = fill(disk, leave=left)
            found.full += _did_not_go_well(hand.order(found.scene, arguments))
            found.reachable += scene.look(arguments)
            ballast.unlink()
            found.in_the_end += scene.finish(arguments)
    shutil.rmtree(storage)


def _did_not_go_well(went: dict[str, Any]) -> bool:
    """A release or an import that fails says so on its row, and raises nothing."""
    return bool(went.get("raised")) or "killed" in went


def _evenly(steps: int, most: int) -> list[int]:
    if steps <= most:
        return list(range(1, steps + 1))
    return sorted({1 + number * (steps - 1) // (most - 1) for number in range(most)})


def break_storage(folder: Path, *, most_kills: int, environment: dict[str, str] | None = None,
                  disk: Path | None = None) -> list[SceneFound]:  # fmt: skip
    """Every scene; ``disk`` is a small one of its own that may be filled, if there is one."""
    found = []
    with child(environment) as hand:
        for name in SCENES:
            one = break_scene(name, hand, folder, most_kills=most_kills)
            if disk is not None:
                fill_disk(one, hand, folder, disk)
            found.append(one)
    return found
