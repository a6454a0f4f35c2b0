"""Long work that says on its row that its worker lives, from a thread of its own.

Progress would not do: parsing a large file or fetching one reports nothing for minutes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import Error, connection
from django.db.models import Model
from django.db.models.functions import Now

log = logging.getLogger(__name__)

BEAT_SECONDS = 20.0
LOST_AFTER = timedelta(minutes=3)
"""Without a beat for so long, a worker is taken for dead."""


@contextmanager
def beating(row: Model, field: str) -> Iterator[None]:
    """Writes the database's time into ``field`` of ``row`` every ``BEAT_SECONDS`` of the block."""
    ended = threading.Event()
    rows = type(row)._default_manager.filter(pk=row.pk)

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            try:
                rows.update(**{field: Now()})
            except Error as error:
                log.warning("%s %s: no beat: %s", row._meta.verbose_name, row.pk, error)
            finally:
                connection.close()

    thread = threading.Thread(target=beat, name=f"beat of {row._meta.label} {row.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
