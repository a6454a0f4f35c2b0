"""SQL that each connection prepares once: for the few statements behind each answer.

Putting together a query of the ORM's costs about 1.5 ms of processor time and having Postgres plan
it about 0.5 ms, each time anew, where running it takes 0.1 ms. See decision 012a.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from django.db import connection
from django.db.models import Model

PARAMETER = re.compile(r"%\((\w+)\)s")
M = TypeVar("M", bound=Model)

_prepared: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
"""Names of what is prepared, by the driver's connection: with it they come to an end."""


class Statement:
    """One SQL statement with parameters written ``%(name)s``; Postgres infers their types."""

    def __init__(self, sql: str) -> None:
        names = list(dict.fromkeys(PARAMETER.findall(sql)))
        places = {name: f"${place}" for place, name in enumerate(names, start=1)}
        text = PARAMETER.sub(lambda found: places[found[1]], sql)
        self._name = f"factloop_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
        self._prepare = f"PREPARE {self._name} AS {text}"
        given = ", ".join(f"%({name})s" for name in names)
        self._execute = f"EXECUTE {self._name} ({given})" if names else f"EXECUTE {self._name}"

    def rows(self, **values: Any) -> list[tuple[Any, ...]]:
        """What the statement gives back. Raises django.db.Error as a query does."""
        with connection.cursor() as cursor:
            self._be_prepared()
            cursor.execute(self._execute, values)
            return cursor.fetchall()

    def row(self, **values: Any) -> tuple[Any, ...] | None:
        """The first row, if there is one."""
        rows = self.rows(**values)
        return rows[0] if rows else None

    def run(self, **values: Any) -> None:
        """For a statement that gives nothing back."""
        with connection.cursor() as cursor:
            self._be_prepared()
            cursor.execute(self._execute, values)

    def _be_prepared(self) -> None:
        names = _prepared.setdefault(connection.connection, set())
        if self._name not in names:
            # Past Django's cursor, for which this would be one more query of whoever is first.
            with connection.wrap_database_errors, connection.connection.cursor() as cursor:
                cursor.execute(self._prepare)
            names.add(self._name)


class Columns(Generic[M]):
    """All columns of a model in a statement, and the instance that they make.

    A row is read from left to right, as an iterator: each reader takes its own columns.
    """

    def __init__(self, model: type[M], alias: str) -> None:
        fields = model._meta.concrete_fields
        self._model = model
        self._names = [field.attname for field in fields]
        self._key = fields.index(model._meta.pk)
        self._converted = [
            (place, field) for place, field in enumerate(fields) if hasattr(field, "from_db_value")
        ]
        self.sql = ", ".join(f"{alias}.{field.column}" for field in fields)

    def __str__(self) -> str:
        return self.sql

    def read(self, row: Iterator[Any]) -> M:
        """The instance made of the next columns."""
        return self._made_of(list(islice(row, len(self._names))))

    def read_if_any(self, row: Iterator[Any]) -> M | None:
        """As ``read``; None where an outer join found nothing."""
        values = list(islice(row, len(self._names)))
        return None if values[self._key] is None else self._made_of(values)

    def _made_of(self, values: list[Any]) -> M:
        for place, field in self._converted:
            values[place] = field.from_db_value(values[place], None, connection)
        return self._model.from_db(connection.alias, self._names, values)
