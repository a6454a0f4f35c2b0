"""``worker --beat`` leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from django.conf import settings

PATIENCE_SECONDS = 60


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_beat_and_pool_end_with_their_worker_that_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "celery", "-A", "config", "--quiet", "worker", "--beat"]
    command += ["-Q", "nobody", "-c", "1", "-n", "beating@%h", "-s", str(tmp_path / "schedule")]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    worker = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment)
    try:
        # Beat opens its schedule when it begins, so it is among them.
        while not list(tmp_path.glob("schedule*")):
            assert worker.poll() is None
            time.sleep(0.1)
        started = children(worker.pid)
    finally:
        worker.kill()
        worker.wait()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(map(is_alive, started)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_alive, started))
