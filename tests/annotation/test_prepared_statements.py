"""Statements that a connection prepares once."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from annotation.models import Assignment, Project
from annotation.prepared_statements import Columns, Statement
from tests.factories import make_project

pytestmark = pytest.mark.django_db


def prepared(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", [sql])
        [count] = cursor.fetchone()
    return int(count)


def test_a_statement_is_prepared_once_and_run_often() -> None:
    adding = Statement("SELECT %(first)s::int + %(second)s::int * %(first)s::int AS added_here")
    assert [adding.row(first=3, second=two) for two in (1, 2)] == [(6,), (9,)]
    assert prepared("%added\\_here%") == 1
    with CaptureQueriesContext(connection) as queries:
        assert adding.rows(first=1, second=1) == [(2,)]
    assert len(queries) == 1


def test_the_same_text_in_two_places_is_the_same_statement() -> None:
    for _ in range(2):
        assert Statement("SELECT 5 AS in_two_places").row() == (5,)
    assert prepared("%in\\_two\\_places%") == 1


def test_values_are_values_and_never_sql() -> None:
    echo = Statement("SELECT %(text)s::text, %(token)s::uuid, %(lease)s::interval")
    values = ("'); DROP TABLE annotation_project; --", uuid.uuid4(), timedelta(minutes=15))
    assert echo.row(text=values[0], token=values[1], lease=values[2]) == values
    assert Project.objects.count() == 0


def test_none_is_null_and_nothing_found_is_none() -> None:
    assert Statement("SELECT %(value)s::int").row(value=None) == (None,)
    assert Statement("SELECT 1 WHERE %(value)s::int = 0").row(value=1) is None


def test_errors_are_those_of_django() -> None:
    project = make_project()
    taken = Statement("UPDATE annotation_project SET judgments_per_comparison = %(k)s")
    with pytest.raises(IntegrityError), transaction.atomic():
        taken.run(k=None)
    with pytest.raises(DataError), transaction.atomic():
        Statement("SELECT 1 / %(zero)s::int").row(zero=0)
    project.refresh_from_db()
    assert project.judgments_per_comparison == 3


def test_what_was_prepared_outlives_a_rollback() -> None:
    text = Statement("SELECT 7 AS outlives")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        text.row()
        raise ZeroDivisionError
    assert text.row() == (7,)


@pytest.mark.django_db(transaction=True)
def test_another_connection_prepares_its_own() -> None:
    text = Statement("SELECT 7 AS of_this_connection")
    assert text.row() == (7,)
    connection.close()
    assert prepared("%of\\_this\\_connection%") == 0
    assert text.row() == (7,)
    assert prepared("%of\\_this\\_connection%") == 1


def test_columns_make_the_instance_that_the_orm_makes() -> None:
    project = make_project(lease_minutes=7)
    columns = Columns(Project, "one")
    row = Statement(f"SELECT {columns}, 5 FROM annotation_project AS one").row()
    assert row is not None
    values = iter(row)
    read = columns.read(values)
    assert list(values) == [5]
    same = Project.objects.get(pk=project.pk)
    assert read == same
    for field in Project._meta.concrete_fields:
        assert getattr(read, field.attname) == getattr(same, field.attname), field.name
    read.name = "Renamed"
    read.save(update_fields=["name"])
    same.refresh_from_db()
    assert (same.name, read._state.adding) == ("Renamed", False)


def test_an_outer_join_that_finds_nothing_is_none() -> None:
    project = make_project()
    columns = Columns(Project, "one")
    joined = Statement(
        f"SELECT {columns}, %(key)s FROM (SELECT 1) AS here "
        "LEFT JOIN annotation_project AS one ON one.id = %(key)s"
    )
    for key, found in ((project.pk, project), (-1, None)):
        row = joined.row(key=key)
        assert row is not None
        values = iter(row)
        assert columns.read_if_any(values) == found
        assert list(values) == [key]


def test_columns_name_every_column_of_the_model() -> None:
    named = str(Columns(Assignment, "a")).split(", ")
    assert named == [f"a.{field.column}" for field in Assignment._meta.concrete_fields]
