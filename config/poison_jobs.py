"""Work that cannot succeed ends: whoever takes a job up counts that, and nobody does it for ever.

A job says itself why it failed (``note_failure``). The count is for what it cannot say: a worker
that dies of it each time, and a reason that cannot be written. It is written before the work, in a
statement of its own, and giving up is one UPDATE with words that are known to be storable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import DatabaseError, models, transaction
from django.db.models import F, Model, QuerySet

from config.sanitising import reason

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
GIVEN_UP = (
    f"It was tried {MOST_ATTEMPTS} times, and its worker came to no end; the administrator's log "
    "has what happened."
)
FAULT = "an error of the program; the administrator's log has it"
M = TypeVar("M", bound=Model)


class Attempted(models.Model):
    """A job that counts how often it was taken up."""

    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="How often a worker has taken it up without coming to an end."
    )

    class Meta:
        abstract = True


def take(rows: QuerySet[M], **fields: Any) -> bool:
    """Takes the one row of ``rows``, if it is still there, and counts that."""
    return bool(rows.update(attempts=F("attempts") + 1, **fields))


def give_up(rows: QuerySet[M], **failed: Any) -> int:
    """Ends those of ``rows`` that were taken up often enough and that nobody is at just now."""
    with transaction.atomic():
        worn_out = rows.filter(attempts__gte=MOST_ATTEMPTS).order_by("pk")
        ids = list(
            worn_out.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)
        )
        return rows.filter(pk__in=ids).update(**failed)


def note_failure(write: Callable[[str], object], error: object) -> None:
    """Writes why a job failed; where that cannot be written, that it did.

    Raises what the database says if even that cannot be: then the count ends the job.
    """
    try:
        with transaction.atomic():
            write(reason(error))
    except (DatabaseError, ValueError, TypeError):
        log.exception("a reason could not be written: %.300r", error)
        write(FAULT)
