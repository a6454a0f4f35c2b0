"""A run's figures as curves: which belong on one chart, and few enough points to draw.

Names are slash paths; those that end alike ("train/loss", "held_out/loss") share a chart. A long
curve is cut into stretches of equal length, each told by its mean, its lowest and its highest
value, so that no peak is lost. A stretch is a power of two steps long: it grows seldom, and a page
that has drawn the beginning asks only for what came since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Avg, F, Max, Min

from training.models import Metric, Run

MOST_POINTS = 500
# What people look at first stands first; everything else follows by name.
FIRST = [
    *("reward", "hallucination_estimate", "accuracy", "kl", "response_tokens", "mean_reward"),
    *("score", "loss", "entropy"),
]
ABOUT = {
    "reward": "mean of a round: the reward model's score with all that is added to it",
    "score": "mean of a round by the reward model, which gives an average answer 0",
    "hallucination_estimate": "chance that the reward model prefers an average held-out answer",
    "kl": "nats per response, against the policy begun with",
    "accuracy": "share of pairs that the reward model ranks as people do",
    "finished": "share of responses that end by themselves",
}
ABBREVIATIONS = {"kl": "KL", "lr": "learning rate", "ppo": "PPO"}
UNITS = {
    "response_tokens": "tokens",
    "seconds": "s",
    "tokens_per_second": "tokens/s",
    "kl": "nats",
    "kl_per_token": "nats/token",
    "entropy": "nats/token",
    "sampler_gap": "nats/token",
    "rounds_behind": "rounds",
}
"""Of figures that have one; the others are shares, rewards and losses."""


def _label(key: str) -> str:
    return " ".join(ABBREVIATIONS.get(word, word) for word in key.split("_"))


@dataclass(frozen=True)
class Chart:
    """Curves that share a chart."""

    key: str
    names: tuple[str, ...]
    last: int = 0
    """The highest step of any of them."""
    moves: bool = True
    """Whether there is more than one step to draw."""

    @property
    def title(self) -> str:
        label = _label(self.key)
        return label[:1].upper() + label[1:]

    @property
    def about(self) -> str:
        """What the figure means, or where it comes from when it is the only one of its name."""
        return ABOUT.get(self.key) or (self.names[0] if len(self.names) == 1 else "")


# The names of runs' figures with their first and last step. Jumps from name to name through the
# unique index: a run has tens of names and may have a million rows.
NAMES = """
WITH RECURSIVE known AS (
    SELECT run.id, (
        SELECT name FROM training_metric WHERE run_id = run.id ORDER BY name LIMIT 1
    ) AS name
    FROM unnest(%(runs)s::bigint[]) AS run(id)
    UNION ALL
    SELECT known.id, (
        SELECT later.name FROM training_metric AS later
        WHERE later.run_id = known.id AND later.name > known.name ORDER BY later.name LIMIT 1
    )
    FROM known WHERE known.name IS NOT NULL
)
SELECT known.id, known.name,
       (SELECT min(step) FROM training_metric WHERE run_id = known.id AND name = known.name),
       (SELECT max(step) FROM training_metric WHERE run_id = known.id AND name = known.name)
FROM known WHERE known.name IS NOT NULL
"""


def names_in(runs: Sequence[int]) -> dict[int, list[tuple[str, int, int]]]:
    """By run: each figure with its first and last step. One query."""
    with connection.cursor() as cursor:
        cursor.execute(NAMES, {"runs": list(runs)})
        found: dict[int, list[tuple[str, int, int]]] = {run: [] for run in runs}
        for run, *named in cursor.fetchall():
            found[run].append(tuple(named))
    return found


def charts(run: Run) -> list[Chart]:
    """The charts that the run's figures make so far, the most telling first. One query."""
    grouped: dict[str, list[tuple[str, int, int]]] = {}
    for name, first, last in names_in([run.pk])[run.pk]:
        grouped.setdefault(name.rpartition("/")[2], []).append((name, first, last))
    return [_chart(key, grouped[key]) for key in sorted(grouped, key=importance)]


def _chart(key: str, curves: list[tuple[str, int, int]]) -> Chart:
    return Chart(
        key,
        names=tuple(name for name, _, _ in curves),
        last=max(last for _, _, last in curves),
        moves=any(first != last for _, first, last in curves),
    )


def drawn(run: Run) -> list[Chart]:
    """The charts worth drawing: what an ended run has told once only is a figure, not a curve."""
    return [chart for chart in charts(run) if chart.moves or not run.ended]


def importance(key: str) -> tuple[int, str]:
    return (FIRST.index(key) if key in FIRST else len(FIRST), key)


class Figure(NamedTuple):
    """One number that a run told: its name in words, its unit (or "") and what it means (or "")."""

    label: str
    value: float
    unit: str
    about: str


def by_importance(figures: dict[str, float]) -> list[Figure]:
    """The figures of a checkpoint by their names, the most telling first."""
    ranked = sorted(figures, key=lambda name: importance(name.rpartition("/")[2]))
    return [_figure(name, figures[name]) for name in ranked]


def _figure(name: str, value: float) -> Figure:
    key = name.rpartition("/")[2]
    return Figure(label(name), value, UNITS.get(key, ""), ABOUT.get(key, ""))


def label(name: str) -> str:
    """A figure's name in words."""
    return _label(name.replace("/", "_"))


def series(run: Run, key: str, *, grain: str = "", since: int = 0) -> dict[str, Any]:
    """The chart ``key`` as static/js/charts.js reads it, at most MOST_POINTS points a curve.

    ``grain`` names how a reader's curves are cut; while that still holds, only what lies from step
    ``since`` on is answered, and ``from`` says so. Otherwise it is everything, from 0.
    """
    names, last = next(((c.names, c.last) for c in charts(run) if c.key == key), ((), 0))
    stretch = stretch_of(last)
    # A resumed run tells its last steps again: what a reader has of them is of the attempt before.
    current = f"{stretch}.{run.attempt_count}"
    start = max(0, since) // stretch * stretch if grain == current else 0
    rows: Any = (
        Metric.objects.filter(run=run, name__in=names, step__gte=start)
        .values("name", stretch=F("step") / stretch)
        .annotate(x=Avg("step"), y=Avg("value"), low=Min("value"), high=Max("value"))
        .order_by("name", "stretch")
    )
    found: dict[str, dict[str, Any]] = {name: _empty(name, stretch) for name in names}
    for row in rows:
        curve = found[row["name"]]
        curve["x"].append(round(row["x"], 2))
        for part in curve.keys() & {"y", "low", "high"}:
            curve[part].append(row[part])
    return {
        "x_label": run.progress_unit or "step",
        "y_label": _label(key),
        "y_unit": UNITS.get(key, ""),
        "ended": run.ended,
        "grain": current,
        "stretch": stretch,
        "from": start,
        "series": list(found.values()),
    }


def stretch_of(last: int) -> int:
    """The smallest power of two that cuts steps 0 to ``last`` into at most MOST_POINTS."""
    stretch = 1
    while last // stretch >= MOST_POINTS:
        stretch *= 2
    return stretch


def _empty(name: str, stretch: int) -> dict[str, Any]:
    curve = {"name": name.rpartition("/")[0].replace("_", " ") or name, "x": [], "y": []}
    return curve if stretch == 1 else {**curve, "low": [], "high": []}


def latest(run: Run, *, most: int = 4) -> list[tuple[str, float, str]]:
    """Title, newest value, unit and origin of the most telling curves, for figures at a glance."""
    values = []
    for chart in charts(run)[:most]:
        newest = Metric.objects.filter(run=run, name=chart.names[0]).order_by("-step").first()
        if newest is not None:
            about = newest.name.rpartition("/")[0].replace("_", " ")
            step = f"step {newest.step:,}" if newest.step else ""
            notes = filter(None, [UNITS.get(chart.key), about, step])
            values.append((chart.title, newest.value, ", ".join(notes)))
    return values
