"""What is measured of real processes, and of GPUs through a stand-in for nvidia-smi."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.factories import make_run
from tests.training.processes import wait_for
from training.models import Attempt
from training.runs import scheduling, usage
from training.runs.usage import Meter

BUSY = """
import subprocess, sys
held = bytearray(50 << 20)
child = subprocess.Popen([sys.executable, "-c", "held = bytearray(50 << 20); input()"])
print("ready", flush=True)
while True:
    pass
"""


@pytest.fixture
def busy_group() -> Iterator[int]:
    """A process that works and its child that waits, 50 MiB each; their group."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stdin is not None
    with process.stdout, process.stdin:
        process.stdout.readline()
        yield process.pid
        process.kill()
        process.wait()


def test_memory_and_processors_of_a_whole_group_are_measured(
    busy_group: int, tmp_path: Path
) -> None:
    meter = Meter(busy_group, gpus={}, disk=tmp_path)

    def both_there() -> bool:
        meter.measure()
        return meter.latest["memory"] > 100 << 20 and meter.latest["processors"] > 0

    wait_for(both_there)
    assert meter.latest["memory_peak"] >= meter.latest["memory"]
    assert meter.latest["gpus"] == []
    assert 0 <= meter.latest["disk_free"] <= 1


def test_a_group_that_is_gone_keeps_its_peak(busy_group: int, tmp_path: Path) -> None:
    meter = Meter(busy_group, gpus={}, disk=tmp_path)
    meter.measure()
    peak = meter.latest["memory_peak"]
    meter._group = -1
    meter.measure()
    assert (meter.latest["memory"], meter.latest["processors"]) == (0, 0)
    assert meter.latest["memory_peak"] == peak > 0


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_gpus_are_asked_by_the_name_of_the_device_behind_the_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(tmp_path, monkeypatch, f'echo "$2" >> {tmp_path}/asked; echo "87, 61000, 81559"')
    assert usage._of_gpus({0: "4", 1: "GPU-f00"}) == [
        {
            "index": index,
            "utilisation": 0.87,
            "memory": 61000 << 20,
            "memory_total": 81559 << 20,
        }
        for index in (0, 1)
    ]
    assert (tmp_path / "asked").read_text().split() == ["4", "GPU-f00"]


@pytest.mark.parametrize("script", ["exit 9", "echo '[N/A], 1, 2'", "exec sleep 60"])
def test_a_gpu_that_cannot_be_measured_is_left_out(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "NVIDIA_SMI_SECONDS", 0.3)
    nvidia_smi(tmp_path, monkeypatch, script)
    assert usage._of_gpus({0: "0"}) == []


def test_a_host_without_nvidia_smi_has_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert usage._of_gpus({0: "0"}) == []


@pytest.mark.django_db
def test_a_beat_notes_what_was_measured_and_keeps_it_when_nothing_new_was() -> None:
    attempt = scheduling.claim(make_run().pk, host="here", gpus=0)
    assert attempt is not None
    measured = {"memory": 5, "memory_peak": 6, "processors": 1.5, "gpus": []}
    scheduling.heartbeat(attempt, measured)
    scheduling.heartbeat(attempt)
    assert Attempt.objects.get(pk=attempt.pk).usage == measured
