"""A run's figures as curves: which belong on one chart, and few enough points to draw.

Names are slash paths; those that end alike ("train/loss", "held_out/loss") share a chart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, F, Max

from training.models import Metric, Run

MOST_POINTS = 500
# What people look at first stands first; everything else follows by name.
FIRST = ["reward", "accuracy", "kl", "response_tokens", "mean_reward", "score", "loss", "entropy"]
ABBREVIATIONS = {"kl": "KL", "lr": "learning rate"}
UNITS = {"response_tokens": "tokens", "seconds": "s", "tokens_per_second": "tokens/s"}


def _label(key: str) -> str:
    return " ".join(ABBREVIATIONS.get(word, word) for word in key.split("_"))


@dataclass(frozen=True)
class Chart:
    """Curves that share a chart."""

    key: str
    names: tuple[str, ...]

    @property
    def title(self) -> str:
        label = _label(self.key)
        return label[:1].upper() + label[1:]


def charts(run: Run) -> list[Chart]:
    """The charts that the run's figures make so far, the most telling first."""
    names = Metric.objects.filter(run=run).order_by("name").values_list("name", flat=True)
    grouped: dict[str, list[str]] = {}
    for name in names.distinct():
        grouped.setdefault(name.rpartition("/")[2], []).append(name)
    return [Chart(key, tuple(grouped[key])) for key in sorted(grouped, key=_importance)]


def _importance(key: str) -> tuple[int, str]:
    return (FIRST.index(key) if key in FIRST else len(FIRST), key)


def by_importance(figures: dict[str, float]) -> list[tuple[str, float]]:
    """The figures of a checkpoint as (what, value), the most telling first."""
    ranked = sorted(figures.items(), key=lambda item: _importance(item[0].rpartition("/")[2]))
    return [(name.replace("/", " ").replace("_", " "), value) for name, value in ranked]


def series(run: Run, key: str) -> dict[str, Any]:
    """The chart ``key`` as static/js/charts.js reads it, at most MOST_POINTS points a curve.

    With more steps than that, each point is the mean over a stretch of equal length.
    """
    mine = Metric.objects.filter(run=run)
    names = [name for chart in charts(run) if chart.key == key for name in chart.names]
    highest = mine.filter(name__in=names).aggregate(highest=Max("step"))["highest"] or 0
    stretch = max(1, math.ceil((highest + 1) / MOST_POINTS))
    rows = (
        mine.filter(name__in=names)
        .values("name", stretch=F("step") / stretch)
        .annotate(x=Avg("step"), y=Avg("value"))
        .order_by("name", "stretch")
    )
    found: dict[str, dict[str, Any]] = {
        name: {"name": name.rpartition("/")[0].replace("_", " ") or name, "x": [], "y": []}
        for name in names
    }
    for row in rows:
        found[row["name"]]["x"].append(round(row["x"], 2))
        found[row["name"]]["y"].append(row["y"])
    return {
        "x_label": run.progress_unit or "step",
        "y_label": _label(key),
        "y_unit": UNITS.get(key, ""),
        "ended": run.ended,
        "series": list(found.values()),
    }


def latest(run: Run, *, most: int = 4) -> list[tuple[str, float, str]]:
    """Title, newest value and origin of the most telling curves, for figures at a glance."""
    values = []
    for chart in charts(run)[:most]:
        newest = Metric.objects.filter(run=run, name=chart.names[0]).order_by("-step").first()
        if newest is not None:
            about = newest.name.rpartition("/")[0].replace("_", " ")
            values.append((chart.title, newest.value, f"{about}, step {newest.step}".strip(", ")))
    return values
