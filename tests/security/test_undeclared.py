"""No request sets a field that its route does not declare (CVAT, CVE-2026-23526).

Every operation that writes is sent as it should be, and once more with every column that it changed
named in the body as well, in it and in every object of it, and everything that gives power.
"""

from __future__ import annotations

from typing import Any

from django.db import models, transaction
from django.test import Client
from django.test.client import MULTIPART_CONTENT

from annotation.models import Membership, User
from tests.security.operations import (
    TABLES,
    Operation,
    Rows,
    logged_in,
    operations,
    prepare,
    resolved,
    right_body,
    rows,
    send,
)
from tests.security.world import World


def spoiled(schema: dict[str, Any], value: Any, more: dict[str, Any]) -> Any:
    """``value`` with what the schema does not declare, in it and in every object of it."""
    schema = resolved(schema)
    if isinstance(value, list):
        return [spoiled(schema["items"], one, more) for one in value]
    declared = schema.get("properties", {})
    if not isinstance(value, dict) or (schema and not declared):
        return value
    inner = {name: spoiled(declared[name], one, more) for name, one in value.items()}
    return {**{name: one for name, one in more.items() if name not in declared}, **inner}


def undeclared(right: Rows) -> dict[str, Any]:
    """Columns of what a request changes, and of people and memberships, with other values."""
    named: dict[str, Any] = {}
    for model in (User, Membership, *(TABLES[table] for table, _ in right)):
        held = [row for (table, _), row in right.items() if TABLES[table] is model]
        for column in model._meta.concrete_fields:
            other = canary(column, [row[column.column] for row in held])
            named |= {column.name: other, column.attname: other}
    return named


def canary(column: Any, held: list[Any]) -> Any:
    """A value that the column could have and has in no row that the right request changes."""
    if column.is_relation:
        keys = column.related_model._default_manager.values_list("pk", flat=True)
        return next((key for key in keys if key not in held), 987_654_321)
    if column.choices:
        return next((one for one, _ in column.flatchoices if one not in held), "other")
    if isinstance(column, models.BooleanField):
        return not held[0] if held else True
    if isinstance(column, models.DateTimeField | models.DateField):
        return "1999-01-01T00:00:00+00:00"
    if isinstance(column, models.UUIDField):
        return "00000000-0000-4000-8000-000000000000"
    if isinstance(column, models.IntegerField | models.FloatField | models.DecimalField):
        return 31_337
    if isinstance(column, models.JSONField):
        return {"canary": True}
    return "canary"


def changed_by(
    clients: dict[str, Client], world: World, operation: Operation, body: Any
) -> tuple[Any, Rows]:
    """The answer and the rows that are new or other; all is taken back."""
    before = rows()
    with transaction.atomic():
        answer = send(clients, world, operation, body)
        after = {key: row for key, row in rows().items() if before.get(key) != row}
        transaction.set_rollback(True)
    return answer, after


def test_no_operation_sets_what_it_does_not_declare(world: World) -> None:
    unreached, refused, taken, clients = [], [], [], logged_in(world)
    for operation in operations():
        with transaction.atomic():
            prepare(world, operation)
            body = right_body(world, operation)
            answer, right = changed_by(clients, world, operation, body)
            if answer.status_code >= 300:
                unreached.append((operation.name, answer.status_code, answer.content))
            more = undeclared(right)
            if operation.content_type == MULTIPART_CONTENT:
                more = {name: str(value) for name, value in more.items()}
            body = spoiled(operation.schema, right_body(world, operation), more)
            answer, after = changed_by(clients, world, operation, body)
            if answer.status_code >= 300:
                refused.append((operation.name, answer.status_code))
            declared = operation.schema.get("properties", {})
            taken += [
                (operation.name, *key, column, value)
                for key, row in after.items()
                for column, value in row.items()
                if column not in declared
                and str(value) == str(more.get(column))
                and value != right.get(key, {}).get(column)
            ]
            transaction.set_rollback(True)
    assert unreached == [], "BODIES and PREPARED say what a right request to a new route needs"
    assert taken == []
    # All of them ignore such fields; what refuses them instead would be as safe, and another rule.
    assert refused == []
