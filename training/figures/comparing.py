"""Two runs side by side: what was asked differently, and their curves on one chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.figures import curves
from training.figures.curves import Chart
from training.models import Run

INPUTS = ("kind", "release", "base", "policy", "reward_model", "preset", "seed", "gpus")


@dataclass(frozen=True)
class Difference:
    """One thing that two runs were asked differently; None where a run does not have it."""

    name: str
    first: Any
    second: Any


def flat(nested: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Nested values by their dotted path."""
    found: dict[str, Any] = {}
    for name, value in nested.items():
        here = f"{path}.{name}" if path else name
        found |= flat(value, here) if isinstance(value, dict) else {here: value}
    return found


def differences(first: Run, second: Run) -> list[Difference]:
    """Inputs first, then options, settings and how the base is loaded, by name."""
    found = []
    for one, other in zip(_asked(first), _asked(second), strict=True):
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name):
                found.append(Difference(name, one.get(name), other.get(name)))
    return found


def _asked(run: Run) -> tuple[dict[str, Any], ...]:
    return (
        {name.replace("_", " "): getattr(run, name) for name in INPUTS},
        flat(run.options, "options"),
        flat(run.settings),
        flat(run.model, "model"),
    )


def charts(first: Run, second: Run) -> list[Chart]:
    """The charts that both runs have figures for, the most telling first."""
    others = {chart.key for chart in curves.drawn(second)}
    return [chart for chart in curves.drawn(first) if chart.key in others]


def series(first: Run, second: Run, key: str) -> dict[str, Any]:
    """One chart with the curves of both, named by run, as static/js/charts.js reads it."""
    drawn = curves.series(first, key)
    other = curves.series(second, key)
    named = [
        {**curve, "name": f"run {run.pk} {curve['name']}"}
        for run, chart in ((first, drawn), (second, other))
        for curve in chart["series"]
    ]
    # Read whole each time: the two may be cut differently.
    ended = first.ended and second.ended
    return {**drawn, "ended": ended, "grain": "", "from": 0, "series": named}


def comparable(run: Run) -> Any:
    """Runs of the same engine command and project, newest first."""
    return Run.objects.filter(project=run.project_id, kind=run.kind).exclude(pk=run.pk)
