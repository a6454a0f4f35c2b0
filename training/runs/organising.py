"""Order among hundreds of runs: names, tags, notes, the archive; pins and columns of a person.

Nothing here touches what a run is or does. An archived run is left out of lists and of its group's
figures; whatever depends on it stays as it was, and it comes back as it went.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from annotation.errors import DomainError
from training.models import ENDED, LONGEST_TAG, Run, RunColumns, RunPin, RunQuerySet

MOST_TAGS = 20
MOST_COLUMNS = 16
LONGEST_NOTES = 10_000


class NotEnded(DomainError):
    """A run that waits or goes on is not put away: nobody would see what it does."""

    status = 409
    title = "The run cannot be archived"


class BadTag(ValueError):
    """What is no tag, or one too many."""


def read_tags(given: Iterable[str]) -> list[str]:
    """Tags as they are kept: trimmed, each once, in the order given. Raises BadTag."""
    found: list[str] = []
    for tag in (" ".join(one.split()) for one in given):
        if not tag or tag in found:
            continue
        if len(tag) > LONGEST_TAG:
            raise BadTag(f"A tag has at most {LONGEST_TAG} characters: {tag[:LONGEST_TAG]}…")
        if "," in tag:
            raise BadTag(f"A tag has no comma: {tag}")
        found.append(tag)
    if len(found) > MOST_TAGS:
        raise BadTag(f"A run has at most {MOST_TAGS} tags.")
    return found


@transaction.atomic
def change(run: Run, *, archived: bool | None = None, **described: Any) -> None:
    """Name, tags and notes as given; all of it or nothing. Raises NotEnded.

    Nothing else of the row is written: a worker writes the rest meanwhile.
    """
    for name, value in described.items():
        setattr(run, name, value)
    if described:
        run.save(update_fields=list(described))
    if archived:
        archive(run)
    elif archived is not None:
        bring_back(Run.objects.filter(pk=run.pk))
        run.archived_at = None


@transaction.atomic
def add_tag(runs: RunQuerySet, tag: str) -> int:
    """Adds ``tag`` to each that lacks it; how many did. Raises BadTag."""
    [wanted] = read_tags([tag]) or [""]
    if not wanted:
        raise BadTag("Name a tag.")
    rows = list(
        runs.exclude(tags__contains=[wanted]).select_for_update(of=("self",)).order_by("pk")
    )
    for run in rows:
        run.tags = read_tags([*run.tags, wanted])
    Run.objects.bulk_update(rows, ["tags"])
    return len(rows)


def archive(run: Run) -> None:
    """Raises NotEnded, also where ``run`` was queued again meanwhile; a second time changes
    nothing."""
    archive_all(Run.objects.filter(pk=run.pk))
    run.refresh_from_db(fields=["archived_at", "state"])
    if run.archived_at is None:
        raise NotEnded(
            f"{run} is {run.get_state_display().lower()}: it can be archived once it has ended."
        )


def archive_all(runs: RunQuerySet) -> int:
    """Archives those that have ended and are not archived; how many that were."""
    return runs.filter(state__in=ENDED, archived_at=None).update(archived_at=Now())


def bring_back(runs: RunQuerySet) -> int:
    return runs.exclude(archived_at=None).update(archived_at=None)


def pin(person: Any, run: Run, *, pinned: bool) -> None:
    """For ``person`` alone."""
    if pinned:
        RunPin.objects.get_or_create(person=person, run=run)
    else:
        RunPin.objects.filter(person=person, run=run).delete()


def columns_of(person: Any, default: Sequence[str]) -> list[str]:
    """The keys that ``person`` has chosen; ``default`` where they never did."""
    chosen = RunColumns.objects.filter(person=person).values_list("columns", flat=True).first()
    return list(default) if chosen is None else [str(key) for key in chosen][:MOST_COLUMNS]


def choose_columns(person: Any, keys: Sequence[str] | None) -> None:
    """None: those that everybody begins with."""
    if keys is None:
        RunColumns.objects.filter(person=person).delete()
    else:
        RunColumns.objects.update_or_create(
            person=person, defaults={"columns": list(keys)[:MOST_COLUMNS]}
        )
