"""A kept connection is looked at before it is used again."""

from __future__ import annotations

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from tests.factories import make_project

pytestmark = pytest.mark.django_db(transaction=True)


def backend_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    return int(pid)


def end_of(pid: int) -> None:
    """Postgres ends that connection; returns when it has."""
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])
            assert cursor.fetchone() == (True,)
    finally:
        other.close()


def test_a_living_connection_is_usable_without_a_query() -> None:
    pid = backend_pid()
    with CaptureQueriesContext(connection) as queries:
        assert connection.is_usable()
    assert len(queries) == 0
    assert backend_pid() == pid


def test_a_connection_that_postgres_has_ended_is_not_usable() -> None:
    pid = backend_pid()
    end_of(pid)
    assert not connection.is_usable()
    connection.close()


def test_the_request_after_a_restart_of_postgres_is_answered() -> None:
    pid = backend_pid()
    end_of(pid)
    # What Django does at the start of a request (CONN_HEALTH_CHECKS).
    connection.health_check_done = False
    connection.health_check_enabled = True
    connection.close_if_health_check_failed()
    assert make_project().pk
    assert backend_pid() != pid


def test_a_closed_connection_is_not_usable() -> None:
    connection.ensure_connection()
    connection.connection.close()
    assert not connection.is_usable()
    connection.close()
