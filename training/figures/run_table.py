"""The table of runs: which rows, in which order, with which values; each run alone or in groups.

Every value is an annotation of the one query that fetches the page, so queries do not grow with
rows or columns.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import (
    Avg,
    BooleanField,
    Case,
    Count,
    Exists,
    F,
    Func,
    Max,
    OuterRef,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)

from config.sanitising import whole_number
from training.figures import columns as columns_of
from training.figures.columns import Column
from training.figures.seeds import Estimate
from training.models import Run, RunPin, RunQuerySet

MOST_WORDS = 10
PLACES = ("name", "notes", "tag_text", "kind", "requested_by__username")


@dataclass(frozen=True)
class Order:
    """What the table is sorted by; ``key`` is empty for newest first."""

    key: str = ""
    down: bool = False

    @classmethod
    def read(cls, text: str) -> Order:
        return cls(text.removeprefix("-"), text.startswith("-"))

    def __str__(self) -> str:
        return f"{'-' if self.down else ''}{self.key}"


@dataclass(kw_only=True)
class GroupRow:
    """Runs that differ in the seed alone, as one row."""

    key: str
    runs: list[Run]
    """Newest first; those that lists show."""
    counted: list[Run]
    """Those that figures are of."""
    cells: list[tuple[Column, Any]] = field(default_factory=list)
    """An Estimate of a figure; of a setting its value, which all have."""

    @property
    def newest(self) -> Run:
        return self.runs[0]

    @property
    def seeds(self) -> list[int]:
        """Their own; what they were made from may have others."""
        return sorted({run.seed for run in self.runs})

    @property
    def draws(self) -> int:
        """How many differ in a seed, their own or that of what they were made from."""
        return max(len(self.seeds), len(self.counted))

    @property
    def live(self) -> bool:
        return any(not run.ended for run in self.runs)


def search(rows: RunQuerySet, words: str) -> RunQuerySet:
    """Each word in name, notes, a tag or kind; "#12" is the run of that number."""
    tags = Func(F("tags"), Value(" "), function="array_to_string", output_field=TextField())
    rows = rows.alias(tag_text=tags)
    for word in words.split()[:MOST_WORDS]:
        number = whole_number(word.removeprefix("#"))
        found = Q(pk=number) if number is not None else Q(pk=None)
        if not word.startswith("#"):
            found = reduce(
                operator.or_, (Q(**{f"{one}__icontains": word}) for one in PLACES), found
            )
        rows = rows.filter(found)
    return rows


def in_order(
    rows: RunQuerySet, order: Order, columns: Sequence[Column], person: Any
) -> RunQuerySet:
    """The person's pins first, then as asked; rows without a value last, whichever way."""
    pinned = RunPin.objects.filter(person=person, run=OuterRef("pk"))
    rows = rows.annotate(pinned=Exists(pinned))
    wanted = _expression(order, columns)
    if wanted is None:
        return rows.order_by("-pinned", "-created_at", "-pk")
    rows = rows.annotate(sorted_by=wanted)
    return rows.order_by("-pinned", _directed(order, F("sorted_by")), "-created_at", "-pk")


def _directed(order: Order, value: F) -> Any:
    return value.desc(nulls_last=True) if order.down else value.asc(nulls_last=True)


def _expression(order: Order, columns: Sequence[Column]) -> Any:
    known = columns_of.ALWAYS | {column.key: column.expression for column in columns}
    return known.get(order.key)


def with_values(rows: RunQuerySet, columns: Sequence[Column]) -> RunQuerySet:
    """Each column's value as ``column_0`` and so on. The wide fields are left in the database."""
    values: dict[str, Any] = {
        f"column_{place}": column.expression for place, column in enumerate(columns)
    }
    return rows.defer("settings", "model", "options").annotate(**values)


def cells(run: Any, columns: Sequence[Column]) -> list[tuple[Column, Any]]:
    return [(column, getattr(run, f"column_{place}")) for place, column in enumerate(columns)]


def groups(rows: RunQuerySet, order: Order, columns: Sequence[Column]) -> QuerySet[Any]:
    """The groups of ``rows``, each as {"group", "newest", "runs", "sorted_by"}; newest first, or by
    what is asked: a figure by its mean over the runs that count."""
    newest = rows.order_by().values("group").annotate(newest=Max("pk"), runs=Count("pk"))
    wanted = _expression(order, columns)
    if wanted is None:
        return newest.order_by("-newest")
    counted = Case(
        When(pk__in=Run.objects.counted().values("pk"), then=Value(True)),
        default=Value(False),
        output_field=BooleanField(),
    )
    means = {column.key for column in columns if column.is_number}
    rows = rows.order_by().annotate(value=wanted, is_counted=counted)
    value: Any = (
        Avg("value", filter=Q(is_counted=True)) if order.key in means else _of_newest("value")
    )
    found = rows.values("group").annotate(newest=Max("pk"), runs=Count("pk"), sorted_by=value)
    return found.order_by(_directed(order, F("sorted_by")), "-newest")


def _of_newest(name: str) -> Func:
    """What the newest run of a group has, as its row shows it. JSON has no maximum."""
    every = ArrayAgg(name, order_by="-pk")
    return Func(every, template="(%(expressions)s)[1]", output_field=TextField())


def group_rows(rows: RunQuerySet, keys: Sequence[str], columns: Sequence[Column]) -> list[GroupRow]:
    """The rows of a page of groups, with all their runs among ``rows``; two queries."""
    runs = with_values(rows.filter(group__in=keys), columns).order_by("-pk")
    by_key: dict[str, list[Run]] = {key: [] for key in keys}
    for run in runs:
        by_key[run.group].append(run)
    counts = set(Run.objects.counted().filter(group__in=keys).values_list("pk", flat=True))
    found = []
    for key in keys:
        counted = [run for run in by_key[key] if run.pk in counts]
        row = GroupRow(key=key, runs=by_key[key], counted=counted)
        row.cells = [
            (column, _of_group(row, column, place)) for place, column in enumerate(columns)
        ]
        found.append(row)
    return [row for row in found if row.runs]


def _of_group(row: GroupRow, column: Column, place: int) -> Any:
    if not column.is_number:
        return getattr(row.newest, f"column_{place}")
    values = [getattr(run, f"column_{place}") for run in row.counted]
    known = [float(value) for value in values if value is not None]
    return Estimate.of(known) if known else None
