"""Settings of the test suite: the real ones, over a private Postgres and Valkey of its own."""

import os
from datetime import UTC, datetime
from pathlib import Path

# Set before the real settings are read: a test must never reach a developer's own database.
os.environ.setdefault("FACTLOOP_VAR", str(Path(__file__).resolve().parent.parent / "var" / "test"))

# Before torch is imported, here and in what tests start: two processes with two threads each on two
# cores wait for each other, and take many times the processor time of one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Where it is ten o'clock now: no test runs across midnight. Processes of a test share the zone.
_ahead = (10 - datetime.now(UTC).hour + 12) % 24 - 12
os.environ.setdefault("TIME_ZONE", f"Etc/GMT{-_ahead:+d}")

from config.settings import *  # noqa: E402, F403

# Argon2 is slow on purpose; tests log in hundreds of times.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Each client of a test would look at every static file first; they are found when asked for.
WHITENOISE_AUTOREFRESH = True

# The live server's threads outlast their last request; a connection kept open by one of them would
# keep the test database from being removed.
DATABASES["default"]["CONN_MAX_AGE"] = 0  # noqa: F405
# What is committed need not outlive a crash of the machine.
DATABASES["default"].setdefault("OPTIONS", {})["options"] = "-c synchronous_commit=off"  # noqa: F405

# A further run after each reward run is asked for by the tests that are about it.
REPORT_CARDS = False
