"""What is unhealthy, for admins.

The parts are looked at, not remembered: an answer takes about a second because workers are asked
over Redis and given half a second. Beat proves itself by a key that one of its tasks renews.
"""

from __future__ import annotations

import shutil
import socket
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.urls import reverse
from django.utils import timezone

from annotation.notices import conditions, writing
from config import wakeup
from training.models import Attempt, Run

PATIENCE_SECONDS = 0.3
WORKERS_ANSWER_SECONDS = 0.5
BEAT_KEY = "factloop:beat"
BEAT_SILENT_SECONDS = 60
LEAST_FREE_SHARE = 0.1
QUEUES = {"gpu": "Runs wait", "cpu": "Imports, releases and judges wait"}
LONG_WAIT = timedelta(minutes=5)


@dataclass(frozen=True)
class Check:
    """One part: whether it is well, what was seen, and what to do if it is not."""

    name: str
    ok: bool
    seen: str
    remedy: str = ""


def checks() -> list[Check]:
    """Every part, in the order in which one depends on another. Never raises."""
    return [
        _database(),
        _redis_answers(),
        *_workers(),
        _beat(),
        _disk(),
        _disks_of_workers(),
        _waiting(),
    ]


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def beat_was_here() -> None:
    """Called by a task of beat: proves beat and a worker on its queue. Redis may be away."""
    try:
        with redis_client() as client:
            client.set(BEAT_KEY, int(time.time()), ex=BEAT_SILENT_SECONDS)
    except wakeup.AWAY:
        return


def beat_age() -> int | None:
    """Seconds since beat was heard of; None when that is long ago. Raises wakeup.AWAY."""
    with redis_client() as client:
        seen = client.get(BEAT_KEY)
    return None if seen is None else max(0, int(time.time()) - int(seen))


def redis_client() -> redis.Redis:
    """A client that gives up soon."""
    return redis.from_url(
        settings.REDIS_URL,
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
    )


# --------------------------------------------------------------------------------------------
# The parts
# --------------------------------------------------------------------------------------------


def _database() -> Check:
    ok = database_answers()
    return Check("Database", ok, "answers" if ok else "does not answer", "Start Postgres.")


def _redis_answers() -> Check:
    remedy = "Start Redis. Nothing is lost meanwhile: runs start when it is back."
    try:
        with redis_client() as client:
            client.ping()
    except wakeup.AWAY:
        return Check("Redis", False, "does not answer", remedy)
    return Check("Redis", True, "answers")


def _workers() -> list[Check]:
    """Of each queue, who listens to it; all workers are asked once."""
    try:
        with wakeup.patient_connection() as link:
            inspect = wakeup.app.control.inspect(timeout=WORKERS_ANSWER_SECONDS, connection=link)
            listening = inspect.active_queues() or {}
    except wakeup.AWAY:
        listening = None
    return [_worker(queue, waits, listening) for queue, waits in QUEUES.items()]


def _worker(queue: str, waits: str, listening: dict[str, list[dict[str, Any]]] | None) -> Check:
    name = f"Worker on {queue}"
    remedy = f"Start one: celery -A config worker -Q {queue} -n {queue}@%h. {waits} until then."
    if listening is None:
        return Check(name, False, "cannot be asked while Redis is away", remedy)
    mine = [
        worker for worker, queues in listening.items() if queue in {one["name"] for one in queues}
    ]
    seen = f"answering: {', '.join(sorted(mine))}" if mine else "none answers"
    return Check(name, bool(mine), seen, remedy)


def _beat() -> Check:
    remedy = "Start it: celery -A config beat, and a worker on default for its tasks."
    try:
        age = beat_age()
    except wakeup.AWAY:
        return Check("Beat", False, "cannot be known while Redis is away", remedy)
    if age is None:
        return Check("Beat", False, f"silent for {BEAT_SILENT_SECONDS} s or more", remedy)
    return Check("Beat", True, f"heard of {age} s ago")


def free_disk_share() -> float:
    """Of the fullest disk of this host on which files grow, in 0..1."""
    return min((_free_share(Path(place)) for place in _folders()), default=1.0)


def _disk() -> Check:
    worst = free_disk_share()
    remedy = "Delete checkpoints and run directories that nobody needs, or give it more room."
    return Check(
        "Disk", worst >= LEAST_FREE_SHARE, f"{worst * 100:.0f} % free on this host", remedy
    )


def watch_disks() -> None:
    """Tells superusers once when this host's fullest disk comes under LEAST_FREE_SHARE."""
    worst = free_disk_share()
    conditions.holds(
        "disk_nearly_full",
        worst < LEAST_FREE_SHARE,
        writing.superusers,
        title=f"A disk of {socket.gethostname()} is nearly full: {worst * 100:.0f} % free",
        link=reverse("training:health"),
        over=worst >= 1.5 * LEAST_FREE_SHARE,
    )


def _disks_of_workers() -> Check:
    """As the workers of running runs told with their last heartbeat."""
    name = "Disks of workers"
    remedy = "Their run directories lie there: delete what nobody needs, or give it more room."
    try:
        going = list(Attempt.objects.filter(ended_at=None).values_list("host", "usage"))
    except DatabaseError:
        return Check(name, False, "cannot be known without the database", remedy)
    free = {host: usage["disk_free"] for host, usage in going if "disk_free" in usage}
    if not free:
        return Check(name, True, "no run is going on that would tell")
    full = {host: share for host, share in free.items() if share < LEAST_FREE_SHARE}
    seen = ", ".join(
        f"{share * 100:.0f} % free on {host}" for host, share in sorted((full or free).items())
    )
    return Check(name, not full, seen, remedy)


def _folders() -> list[str]:
    """Where files grow on this host; storage in a bucket is not looked at."""
    return [str(settings.RUNS_ROOT), *([] if settings.S3_BUCKET else [str(settings.MEDIA_ROOT)])]


def _free_share(place: Path) -> float:
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    return usage.free / usage.total


def _waiting() -> Check:
    remedy = "All workers are busy, none offers enough GPUs, or none is there."
    try:
        since = timezone.now() - LONG_WAIT
        waiting = Run.objects.ready().filter(created_at__lt=since).count()
    except DatabaseError:
        return Check("Runs", False, "cannot be known without the database", remedy)
    minutes = LONG_WAIT.seconds // 60
    seen = f"{waiting} ready for more than {minutes} min and not begun"
    return Check("Runs", not waiting, seen, remedy)
