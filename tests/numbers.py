"""The numbers in names that factories make up, and the first ids of rows.

Both start anywhere among seven digits, as the run's seed says: no test can lean on small ids, on
an id that two tables share, or on "person-10" sorting before "person-9".
"""

from __future__ import annotations

import itertools
import random

from django.db import connection

LOWEST, HIGHEST = 1_000_000, 8_000_000

_counter = itertools.count(LOWEST)


def number() -> int:
    """A number that nobody else in this process gets."""
    return next(_counter)


def start_names(seed: int) -> None:
    global _counter
    _counter = itertools.count(random.Random(seed).randrange(LOWEST, HIGHEST))


def start_rows(seed: int) -> None:
    """Gives each table of the (empty) test database a first id of its own."""
    chosen = random.Random(seed)
    with connection.cursor() as cursor:
        cursor.execute("SELECT schemaname, sequencename FROM pg_sequences ORDER BY 1, 2")
        for schema, name in cursor.fetchall():
            sequence = f'"{schema}"."{name}"'
            cursor.execute("SELECT setval(%s, %s)", [sequence, chosen.randrange(LOWEST, HIGHEST)])
