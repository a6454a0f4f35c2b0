"""The test database is emptied of what a test committed by deleting it.

Django truncates every table, which makes some hundreds of files anew: seconds on a busy disk, for
the few rows that a test writes. Content types and permissions stay as the migrations made them.
"""

from __future__ import annotations

from functools import cache

from django.db import connection, transaction

KEPT = {"django_content_type", "auth_permission"}


@cache
def _tables() -> list[str]:
    names = set(connection.introspection.django_table_names(only_existing=True)) - KEPT
    return [connection.ops.quote_name(name) for name in sorted(names)]


def empty() -> None:
    """Deletes all rows; waits, as truncating does, for whoever is still writing."""
    asked = " UNION ALL ".join(f"SELECT '{t}' WHERE EXISTS (SELECT FROM {t})" for t in _tables())
    # Foreign keys are checked when the transaction ends, so the order does not matter.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(_tables())} IN EXCLUSIVE MODE")
        cursor.execute(asked)
        for (table,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {table}")


def leave_alone() -> None:
    """Ends what others still have open, as of a worker that was killed: the database is removed."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    connection.close()
