"""The load test itself, small: web workers and Postgres are killed, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys


def test_answers_survive_killed_web_workers_and_a_crash_of_postgres():
    command = [sys.executable, "-m", "perf.label_load", "--annotators", "12"]
    command += ["--per-minute", "60", "--seconds", "8", "--comparisons", "300"]
    command += ["--kill-web-every", "2", "--kill-database", "1"]
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0, doubled 0, never sent 0, comparisons with too many 0" in done.stdout
    assert "'Postgres': 1" in done.stdout
    assert "'web worker'" in done.stdout
