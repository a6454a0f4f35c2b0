"""What ``migrate`` asks for first: that nobody else is at it, and that no newer version was.

Django asks for neither. Two that begin at once make the same table twice, and one of them fails
halfway; old code on a newer database finds nothing to do and serves it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import CommandError, call_command
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.migrations.loader import MigrationLoader

LOCK = 7_246_011_598
"""The advisory lock that whoever migrates holds; any number that nothing else uses."""
OURS = ("annotation", "training", "benchmark")
WAIT_SECONDS = 0.5


def migrate_or_say() -> None:
    """All migrations, for a command: what goes against it ends it with the words alone."""
    try:
        call_command("migrate", verbosity=0)
    except CommandError as error:
        raise SystemExit(str(error)) from error


def refuse_newer(connection: BaseDatabaseWrapper) -> None:
    """Raises CommandError if the database has steps beyond the last that this version knows."""
    loader = MigrationLoader(connection)
    last = {app: max(name for one, name in loader.disk_migrations if one == app) for app in OURS}
    beyond = sorted(
        f"{app}.{name}" for app, name in loader.applied_migrations if name > last.get(app, name)
    )
    if beyond:
        raise CommandError(
            f"This database is of a newer version of FactLoop: {', '.join(beyond)}. Use that "
            "version, or let it migrate back to this one's first (docs/deployment.md, Upgrade)."
        )


@contextmanager
def alone(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Holds the lock, in a session of its own, which no failed migration takes along.

    It is asked for again and again: whoever waited inside Postgres would have a snapshot, for whose
    end CREATE INDEX CONCURRENTLY waits, and the two would wait for each other.
    """
    session = connection.copy()
    try:
        with session.cursor() as cursor:
            while not _taken(cursor):
                time.sleep(WAIT_SECONDS)
            yield
    finally:
        session.close()


def _taken(cursor: CursorWrapper) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
    return bool(cursor.fetchone()[0])
