"""Many rows at once: looked up by key, and written by COPY, a fifth of what objects take.

Nothing of a model is called: who writes rows this way gives every value that a row has of its own,
and the rest are the defaults of the model's fields, the same for all rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

CHUNK_BYTES = 2**16
_JSON = json.JSONEncoder(ensure_ascii=False)


class Table:
    """The table of a model; rows are tuples of the values of ``fields``, the key first."""

    def __init__(self, model: type[models.Model], fields: Sequence[str]) -> None:
        self.model = model
        key = model._meta.pk
        assert key is not None
        by_name = {field.name: field for field in model._meta.concrete_fields}
        self.fields = [key, *(by_name[name] for name in fields)]
        constant = [field for field in model._meta.concrete_fields if field not in self.fields]
        quote = connection.ops.quote_name
        columns = ", ".join(quote(str(field.column)) for field in [*self.fields, *constant])
        table = model._meta.db_table
        self._copy = f"COPY {quote(table)} ({columns}) FROM STDIN (FORMAT csv)"
        self._keys = "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)"
        self._key_of = (table, str(key.column))
        self._constant = constant

    def new_keys(self, count: int) -> list[int]:
        """Keys for as many rows, taken from the table's own sequence."""
        if not count:
            return []
        with connection.cursor() as cursor:
            cursor.execute(self._keys, (*self._key_of, count))
            return [key for (key,) in cursor.fetchall()]

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        """Adds rows; lists and dicts are JSON. Raises what an INSERT of them would."""
        end = "".join(f",{_cell(value)}" for value in self._defaults()) + "\n"
        lines = (",".join(map(_cell, row)) + end for row in rows)
        with connection.cursor() as cursor, connection.wrap_database_errors:
            cursor.copy_expert(self._copy, _Lines(lines))

    def found(
        self, project: int, column: str, values: Sequence[str], *columns: str
    ) -> list[tuple[Any, ...]]:
        """``columns`` of the project's rows that have one of ``values`` in ``column``; of several
        rows with one value, one.

        The statistics know nothing of what this transaction has added. By them a project may have a
        handful of rows, and then Postgres reads all of them and looks through them for the values,
        so that each batch costs more than the one before. Asked for the first row from each value
        on, with sorting put away, nothing but the index of project and column answers, in one
        descent for each value, whatever the statistics say.
        """
        if not values:
            return []
        quote = connection.ops.quote_name
        by_name = {field.name: str(field.column) for field in self.model._meta.concrete_fields}
        wanted = ", ".join(f"t.{quote(by_name[name])}" for name in columns)
        of_project, asked = quote(by_name["project"]), quote(by_name[column])
        sql = (
            f"SELECT {wanted} FROM unnest(%s::text[]) AS wanted (value) CROSS JOIN LATERAL ("
            f"SELECT * FROM {quote(self.model._meta.db_table)} AS t "
            f"WHERE t.{of_project} = %s AND t.{asked} >= wanted.value "
            f"ORDER BY t.{of_project}, t.{asked} LIMIT 1) AS t WHERE t.{asked} = wanted.value"
        )
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute(sql, (list(values), project))
            found: list[tuple[Any, ...]] = cursor.fetchall()
            cursor.execute("SET LOCAL enable_sort = on")
        return found

    def _defaults(self) -> Iterator[Any]:
        for field in self._constant:
            now = getattr(field, "auto_now_add", False)
            yield timezone.now().isoformat() if now else field.get_default()


def _cell(value: Any) -> str:
    """As CSV of COPY has it: NULL is a cell without quotes."""
    if isinstance(value, str):
        return f'"{value.replace(chr(34), chr(34) * 2)}"'
    if value is None:
        return ""
    if value is True or value is False:
        return "t" if value else "f"
    if isinstance(value, (list, dict)):
        text = _JSON.encode(value).replace('"', '""')
        return f'"{text}"'
    return repr(value)


class _Lines:
    """Lines as the file that COPY reads, of which little is held at a time."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._held = b""

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        parts = [self._held]
        length = len(self._held)
        for line in self._lines:
            parts.append(line.encode())
            length += len(parts[-1])
            if length >= size:
                break
        data = b"".join(parts)
        self._held = data[size:]
        return data[:size]
