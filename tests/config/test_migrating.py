"""``migrate`` goes alone, and never on the database of a newer version."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import pre_migrate

from config import migrating

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("options", [{}, {"check_unapplied": True}, {"plan": True}])
def test_the_database_of_a_newer_version_is_refused(options: dict[str, Any]) -> None:
    MigrationRecorder(connection).record_applied("training", "9999_of_tomorrow")
    with pytest.raises(CommandError, match=r"newer version.*training\.9999_of_tomorrow"):
        call_command("migrate", verbosity=0, **options)


def test_a_step_that_was_taken_out_of_the_past_is_none_of_tomorrow() -> None:
    MigrationRecorder(connection).record_applied("training", "0001_squashed_long_ago")
    MigrationRecorder(connection).record_applied("somebody_else", "9999_of_tomorrow")
    call_command("migrate", verbosity=0)


def lock_is_free(session: BaseDatabaseWrapper) -> bool:
    with session.cursor() as cursor:
        taken = migrating._taken(cursor)
        if taken:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [migrating.LOCK])
    return taken


def test_it_is_alone_while_it_migrates_and_leaves_the_lock_behind() -> None:
    told = []

    def look(**_: Any) -> None:
        told.append(lock_is_free(connection))

    pre_migrate.connect(look)
    try:
        call_command("migrate", verbosity=0)
    finally:
        pre_migrate.disconnect(look)
    assert told and not any(told)
    assert lock_is_free(connection)


def test_the_second_waits_outside_of_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []
    with connection.cursor() as cursor:
        assert migrating._taken(cursor)

        def let_go(seconds: float) -> None:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            )
            waits.append(cursor.fetchone())
            cursor.execute("SELECT pg_advisory_unlock(%s)", [migrating.LOCK])

        monkeypatch.setattr(migrating.time, "sleep", let_go)
        with migrating.alone(connection):
            assert not lock_is_free(connection)
    assert waits == [(0,)]
