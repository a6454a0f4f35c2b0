"""Real Celery workers for tests: a process group of their own, ended with the test."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings
from django.db import connection


@contextmanager
def celery_worker(
    folder: Path, *arguments: str, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker with one process for all queues and beat; its log lies in ``folder``.

    ``variables`` stand in its environment beside ours.
    """
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--beat"]
    command += ["-Q", "gpu,cpu,default", "-P", "prefork", "-c", "1", "--without-gossip"]
    command += ["-s", str(folder / "beat"), "--loglevel", "INFO", *arguments]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.training.worker_settings",
        "TEST_DATABASE": connection.settings_dict["NAME"],
        "TEST_STORAGE": str(settings.MEDIA_ROOT),
        "RUNS_ROOT": str(settings.RUNS_ROOT),
        "RUN_HEARTBEAT_SECONDS": "0.2",
        "RUN_LEASE_SECONDS": "5",
        "PYTHONPATH": str(settings.BASE_DIR),
        **variables,
    }
    lives, inherited = os.pipe()
    with (folder / "worker.log").open("ab") as log:
        worker = subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[inherited],
        )
    os.close(inherited)
    try:
        yield worker
    finally:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        # Its watchdog has a session of its own, and may be at the test's database yet.
        os.read(lives, 1)
        os.close(lives)
