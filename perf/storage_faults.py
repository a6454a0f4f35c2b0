"""Storage, whose writers are killed at each step and in the middle of writes, and whose disk fills.

Each of ``perf.storage_scenarios`` is acted again and again in a process that is made to die a step
later each time (``perf.storage_child``). After each death it is looked at what can be reached,
and the work is done again. Nothing waits for a time to pass. The bucket is that of a server which
speaks S3 (moto), in this process.
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
from unittest import mock

from django.conf import settings
from django.test import override_settings

from perf.storage_child import in_bucket
from perf.storage_scenarios import SCENARIOS

BYTES = (1, 5_000, 100_000, 1_500_000)
"""At which length of a file a write is broken off: of a few, of one chunk, between chunks."""
LEFT = (0, 4_096, 100_000, 1_500_000)
"""Bytes that a disk has left."""
DISK_MEGABYTES = 16
IN_A_BUCKET = ("release", "image", "import", "checkpoint")
"""The scenarios that write to storage; an export goes to a disk."""
BUCKET = "storage-faults"
KEYS = {
    "AWS_ACCESS_KEY_ID": "of-a-test",
    "AWS_SECRET_ACCESS_KEY": "of-a-test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass
class ScenarioFound:
    """What came of one scenario."""

    scenario: str
    steps: int = 0
    killed: int = 0
    torn: int = 0
    failed: int = 0
    full: int = 0
    reachable: list[str] = field(default_factory=list)
    """Faults that anybody could have met after a death, before anything was repaired."""
    in_the_end: list[str] = field(default_factory=list)
    """What was wrong once the work was done again."""

    requests: list[str] = field(default_factory=list)
    """To a bucket, of one undisturbed time: method and length of the body."""

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

    def order(self, scenario: str, arguments: dict[str, Any], **how: Any) -> dict[str, Any]:
        """How it went: {"killed": true}, or {"lines": …, "requests": …, "raised": …}."""
        order = {
            "scenario": scenario,
            "arguments": arguments,
            "storage": str(settings.MEDIA_ROOT),
            **how,
        }
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


def break_scenario(name: str, hand: Child, folder: Path, *, most_kills: int) -> ScenarioFound:
    """Kill it at each step (at ``most_kills`` of them, evenly), and break off its writes."""
    scenario, found = SCENARIOS[name], ScenarioFound(name)

    def attempt(**how: int) -> dict[str, Any]:
        arguments = scenario.begin(folder)
        went = hand.order(name, arguments, **how)
        found.reachable += scenario.look(arguments)
        found.in_the_end += scenario.finish(arguments)
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


def break_scenario_in_bucket(
    name: str, hand: Child, folder: Path, bucket: dict[str, str], *, most_kills: int
) -> ScenarioFound:
    """Kill it before each request to a bucket, when half of each is sent, and at each step.

    At ``most_kills`` of them, evenly. What a bucket holds changes by requests alone, so before the
    next one is after the last. ``bucket``: as ``server`` gives it.
    """
    scenario, found = SCENARIOS[name], ScenarioFound(f"{name} in a bucket")

    def attempt(**how: Any) -> dict[str, Any]:
        arguments = scenario.begin(folder)
        went = hand.order(name, arguments, bucket=bucket, **how)
        found.reachable += scenario.look(arguments)
        found.in_the_end += scenario.finish(arguments)
        return went

    with override_settings(**in_bucket(bucket)):
        attempt()
        undisturbed = attempt()
        assert not undisturbed["raised"], undisturbed
        found.steps, found.requests = undisturbed["lines"], undisturbed["requests"]
        for number in _evenly(len(found.requests), most_kills):
            found.killed += "killed" in attempt(die_at_request=number)
        sending = [n for n, one in enumerate(found.requests, 1) if not one.endswith(" 0")]
        for place in _evenly(len(sending), most_kills):
            died = attempt(die_at_request=sending[place - 1], torn=True)
            found.torn += "killed" in died
        for step in _evenly(found.steps, most_kills):
            found.killed += "killed" in attempt(die_at=step)
    return found


@contextmanager
def server() -> Iterator[dict[str, str]]:
    """A server that speaks S3 and has a bucket; yields the options of storage there.

    Its keys are put into this process's environment, and so into that of a child made inside.
    """
    import boto3
    import httpx
    from moto.server import ThreadedMotoServer

    with mock.patch.dict(os.environ, KEYS):
        serving = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        serving.start()
        host, port = serving.get_host_and_port()
        address = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
        try:
            yield {"bucket_name": BUCKET, "endpoint_url": address}
        finally:
            httpx.post(f"{address}/moto-api/reset")  # Its buckets would outlast the server.
            serving.stop()


def fill_disk(found: ScenarioFound, hand: Child, folder: Path, disk: Path) -> None:
    """Act it on a disk that has less and less room, which it gets before it is repeated."""
    from tests.small_disks import fill

    scenario = SCENARIOS[found.scenario]
    storage = disk / "storage"
    shutil.copytree(settings.MEDIA_ROOT, storage)
    with override_settings(MEDIA_ROOT=storage):
        for left in LEFT:
            arguments = scenario.begin(folder)
            ballast = fill(disk, leave=left)
            found.full += _did_not_go_well(hand.order(found.scenario, arguments))
            found.reachable += scenario.look(arguments)
            ballast.unlink()
            found.in_the_end += scenario.finish(arguments)
    shutil.rmtree(storage)


def _did_not_go_well(went: dict[str, Any]) -> bool:
    """A release or an import that fails says so on its row, and raises nothing."""
    return bool(went.get("raised")) or "killed" in went


def _evenly(steps: int, most: int) -> list[int]:
    if steps <= most:
        return list(range(1, steps + 1))
    return sorted({1 + number * (steps - 1) // max(most - 1, 1) for number in range(most)})


def break_storage(folder: Path, *, most_kills: int, environment: dict[str, str] | None = None,
                  disk: Path | None = None) -> list[ScenarioFound]:  # fmt: skip
    """Every scenario; ``disk`` is a small one of its own that may be filled, if there is one.

    Then those that write to storage in a bucket.
    """
    found = []
    with server() as bucket, child(environment) as hand:
        for name in SCENARIOS:
            one = break_scenario(name, hand, folder, most_kills=most_kills)
            if disk is not None:
                fill_disk(one, hand, folder, disk)
            found.append(one)
        for name in IN_A_BUCKET:
            found.append(
                break_scenario_in_bucket(name, hand, folder, bucket, most_kills=most_kills)
            )
    return found
