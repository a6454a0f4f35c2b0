"""What a table of runs can show and be sorted by: a run's own facts, settings, figures, scores.

A column is a key, a title and the expression that gives its value for a row: the same expression
sorts. Keys: "seed", "setting:optimizer.learning_rate", "figure:held_out/accuracy", and what other
apps name, such as "score:…" of a benchmark (``register``).
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import DurationField, ExpressionWrapper, F, OuterRef, Subquery
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTransform

from config.sanitising import is_storable
from training.figures import curves
from training.models import Metric, RunQuerySet
from training.rlhf.contract import SETTINGS, ModelSettings

Section = Literal["Run", "Scores", "Figures", "Settings"]
SECTIONS: tuple[Section, ...] = ("Run", "Scores", "Figures", "Settings")
DEFAULT = ("progress", "project", "time", "asked")
RUNS_LOOKED_AT = 200
"""So many of the newest runs say which figures there are."""
LONGEST_FIGURE = 100


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    section: Section
    expression: Combinable
    is_number: bool = False
    """A figure of the result: a group shows its mean over seeds."""
    is_asked_number: bool = False
    """Something asked for that is a number."""
    note: str = ""
    """What tells it from others of the same title."""


_sources: list[Callable[[Any], Iterable[Column]]] = []


def register(source: Callable[[Any], Iterable[Column]]) -> None:
    """``source`` gives the columns that another app has for the given person."""
    if source not in _sources:
        _sources.append(source)


def own() -> list[Column]:
    """Facts of the run itself."""
    time = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    return [
        Column("progress", "Progress", "Run", F("stage")),
        Column("project", "Project", "Run", F("project__name")),
        Column("time", "Time", "Run", time),
        Column("asked", "Asked for", "Run", F("created_at")),
        Column("seed", "Seed", "Run", F("seed"), is_asked_number=True),
        Column("preset", "Preset", "Run", F("preset")),
        Column("base", "Base", "Run", F("base__name")),
        Column("release", "Release", "Run", F("release__number"), is_asked_number=True),
        Column("gpus", "GPUs", "Run", F("gpus"), is_asked_number=True),
        Column("notes", "Notes", "Run", F("notes")),
    ]


ALWAYS = {"name": F("name"), "state": F("state"), "created": F("created_at")}
"""What can be sorted by without a column that was chosen."""


@functools.cache
def settings() -> tuple[Column, ...]:
    """All settings of all engine commands, and how a base is loaded, by name."""
    found = {
        path: _setting(path, "settings", hint)
        for cls in SETTINGS.values()
        for path, hint in _paths(cls)
    }
    model = {f"model.{path}": _setting(path, "model", hint) for path, hint in _paths(ModelSettings)}
    return tuple(column for _, column in sorted((found | model).items()))


def _setting(path: str, member: str, hint: Any) -> Column:
    expression: Any = F(member)
    for name in path.split("."):
        expression = KeyTransform(name, expression)
    shown = path if member == "settings" else f"{member}.{path}"
    return Column(
        f"setting:{shown}",
        shown.replace("_", " "),
        "Settings",
        expression,
        is_asked_number=hint in (int, float),
    )


def _paths(cls: Any, above: str = "") -> Iterable[tuple[str, Any]]:
    """Dotted paths and the types of what stands there."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        path = f"{above}{field.name}"
        if dataclasses.is_dataclass(hint):
            yield from _paths(hint, f"{path}.")
        else:
            yield path, hint


def figure(name: str) -> Column:
    """The last value that a run told of ``name``."""
    last = Metric.objects.filter(run=OuterRef("pk"), name=name).order_by("-step")
    title = curves.label(name)
    return Column(
        f"figure:{name}",
        title[:1].upper() + title[1:],
        "Figures",
        Subquery(last.values("value")[:1]),
        is_number=True,
    )


def figures(runs: RunQuerySet) -> list[Column]:
    """Of the newest of ``runs``, by name."""
    newest = list(runs.order_by("-pk").values_list("pk", flat=True)[:RUNS_LOOKED_AT])
    names = {name for found in curves.names_in(newest).values() for name, _, _ in found}
    return [figure(name) for name in sorted(names)]


def scores(user: Any) -> list[Column]:
    return [column for source in _sources for column in source(user)]


def found(keys: Sequence[str], user: Any) -> list[Column]:
    """The columns of ``keys``, in their order; what nobody knows any more is left out."""
    known = {column.key: column for column in (*own(), *settings())}
    known |= {
        key: figure(key.partition(":")[2])
        for key in keys
        if key.startswith("figure:")
        and len(key) <= LONGEST_FIGURE + len("figure:")
        and is_storable(key)
    }
    if any(key not in known for key in keys):
        known |= {column.key: column for column in scores(user)}
    return [known[key] for key in dict.fromkeys(keys) if key in known]


def offered(user: Any, runs: RunQuerySet) -> dict[Section, list[Column]]:
    """Everything that can be chosen, by section."""
    every = [*own(), *scores(user), *figures(runs), *settings()]
    return {
        section: [column for column in every if column.section == section] for section in SECTIONS
    }
