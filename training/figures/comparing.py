"""Any number of runs side by side: what was asked differently, their curves, scores and samples.

What is compared is a run, or a group of runs that differ in the seed alone: its curve is the mean
over seeds with Student's t interval as the band. One of them may be the baseline: it stands in
every chart, drawn apart from the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Avg, F

from annotation import access
from annotation.models import Image
from training.figures import curves
from training.figures.seeds import Estimate
from training.models import Metric, Run, RunQuerySet, Sample

INPUTS = ("project", "kind", "release", "base", "policy", "reward_model", "preset", "seed", "gpus")
MOST_COMPARED = 20
MOST_PROMPTS = 12
LONGEST_NAME = 80


@dataclass(kw_only=True)
class Item:
    """One thing that is compared."""

    key: str
    """ "run-12" or "group-3f…"; usable in an address."""
    runs: list[Run]
    """Newest first; of a group all that lists show, or of an archived one all."""
    counted: list[Run]
    """Those whose figures are meant; of a group that has none yet, of each seed the newest."""
    name: str = ""
    baseline: bool = False

    @property
    def newest(self) -> Run:
        return self.runs[0]

    @property
    def is_group(self) -> bool:
        return self.key.startswith("group-")

    @property
    def ended(self) -> bool:
        return all(run.ended for run in self.runs)

    @property
    def parameter(self) -> tuple[str, str]:
        """How an address names it."""
        kind, _, which = self.key.partition("-")
        return kind, which

    @property
    def legend(self) -> str:
        return f"{self.name} (baseline)" if self.baseline else self.name


@dataclass(frozen=True)
class Difference:
    """One thing that was asked differently; None where a run does not have it."""

    name: str
    values: list[Any]


@dataclass(frozen=True)
class ComparedChart:
    """One figure of all that have it."""

    name: str
    of: int
    """How many of those that are compared have it."""
    has_baseline: bool

    @property
    def title(self) -> str:
        where, _, key = self.name.rpartition("/")
        label = curves.label(key)
        about = f" ({where.replace('_', ' ')})" if where else ""
        return f"{label[:1].upper()}{label[1:]}{about}"


@dataclass(frozen=True)
class Score:
    """What came of a run on a benchmark, as another app tells it."""

    run: int
    board: str
    """What scores must share to be laid side by side."""
    title: str
    note: str
    value: float
    told: str
    """With its interval."""
    url: str
    write: Callable[[float], str]
    """How such a figure is written."""


@dataclass(frozen=True)
class ScoreRow:
    title: str
    note: str
    cells: list[Any]
    """Per item: scores of its runs and, of several, their Estimate; None where there is none."""


_scores: list[Callable[[Sequence[int], Any], Iterable[Score]]] = []


def register_scores(source: Callable[[Sequence[int], Any], Iterable[Score]]) -> None:
    """``source`` gives the scores of runs, as far as the given person may see them."""
    if source not in _scores:
        _scores.append(source)


def items(
    runs: RunQuerySet, groups: Sequence[str], alone: Sequence[int], baseline: str
) -> list[Item]:
    """What is compared, the baseline first; ``runs`` are those that the person may see."""
    found = {run.pk: run for run in runs.filter(pk__in=alone)}
    made = [
        Item(key=f"run-{pk}", runs=[found[pk]], counted=[found[pk]], name=found[pk].name)
        for pk in dict.fromkeys(alone)
        if pk in found
    ]
    members: Iterable[Run] = runs.filter(group__in=groups).order_by("-pk")
    by_group: dict[str, list[Run]] = {}
    for run in members:
        by_group.setdefault(run.group, []).append(run)
    counts = set(Run.objects.counted().filter(group__in=groups).values_list("pk", flat=True))
    for key, every in by_group.items():
        of_group = [run for run in every if run.archived_at is None] or every
        counted = [run for run in of_group if run.pk in counts] or _newest_of_seeds(of_group)
        name = f"{of_group[0].name}, {len(counted)} seed{'' if len(counted) == 1 else 's'}"
        made.append(Item(key=f"group-{key}", runs=of_group, counted=counted, name=name))
    for item in made:
        item.baseline = item.key == baseline
    _tell_apart(made)
    return sorted(made, key=lambda item: not item.baseline)


def _newest_of_seeds(runs: Sequence[Run]) -> list[Run]:
    """Of ``runs``, newest first: a run that failed and its repetition are one draw."""
    found: dict[int, Run] = {}
    for run in runs:
        found.setdefault(run.seed, run)
    return list(found.values())


def _tell_apart(made: Sequence[Item]) -> None:
    """Runs of one name are told apart by their number."""
    for item in made:
        if len(item.name) > LONGEST_NAME:
            item.name = f"{item.name[: LONGEST_NAME - 1]}…"
    often = Counter(item.name for item in made)
    for item in made:
        if often[item.name] > 1:
            item.name += f" #{item.newest.pk}"


def flat(nested: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Nested values by their dotted path."""
    found: dict[str, Any] = {}
    for name, value in nested.items():
        here = f"{path}.{name}" if path else name
        found |= flat(value, here) if isinstance(value, dict) else {here: value}
    return found


def differences(compared: Sequence[Item]) -> list[Difference]:
    """Inputs first, then options, settings and how the base is loaded, by name. A group has the
    values of all its runs."""
    found = []
    asked = [[_asked(run) for run in item.counted] for item in compared]
    for part in range(4):
        names = {name for of_item in asked for run in of_item for name in run[part]}
        for name in sorted(names):
            values = [_together([run[part].get(name) for run in of_item]) for of_item in asked]
            if any(value != values[0] for value in values):
                found.append(Difference(name, values))
    return found


def _together(values: list[Any]) -> Any:
    """The value of all, or all values."""
    different = [value for place, value in enumerate(values) if value not in values[:place]]
    if len(different) == 1:
        return different[0]
    return ", ".join(sorted(str(value) for value in different))


def _asked(run: Run) -> tuple[dict[str, Any], ...]:
    return (
        {name.replace("_", " "): getattr(run, name) for name in INPUTS},
        flat(run.options, "options"),
        flat(run.settings),
        flat(run.model, "model"),
    )


def charts(compared: Sequence[Item]) -> list[ComparedChart]:
    """The figures that at least two have, or the only one that there is; the most telling first.
    What ended runs have told once only is a figure and no curve."""
    known = curves.names_in([run.pk for item in compared for run in item.counted])
    have: dict[str, set[str]] = {}
    moving: set[str] = set()
    for item in compared:
        for run in item.counted:
            for name, first, last in known[run.pk]:
                have.setdefault(name, set()).add(item.key)
                if first != last or not run.ended:
                    moving.add(name)
    least = min(2, len(compared))
    baseline = next((item.key for item in compared if item.baseline), "")
    found = [
        ComparedChart(name, len(keys), not baseline or baseline in keys)
        for name, keys in have.items()
        if len(keys) >= least and name in moving
    ]
    return sorted(
        found, key=lambda one: (*curves.importance(one.name.rpartition("/")[2]), one.name)
    )


def series(compared: Sequence[Item], name: str) -> dict[str, Any]:
    """The figure ``name`` of all, one curve each, as static/js/charts.js reads it. Two queries."""
    runs = {run.pk for item in compared for run in item.counted}
    rows = Metric.objects.filter(run__in=runs, name=name)
    last = max(
        (
            last
            for found in curves.names_in(list(runs)).values()
            for one, _, last in found
            if one == name
        ),
        default=0,
    )
    stretch = curves.stretch_of(last)
    points: dict[int, dict[int, tuple[float, float]]] = {}
    told: Any = (
        rows.values("run", stretch=F("step") / stretch)
        .annotate(x=Avg("step"), y=Avg("value"))
        .order_by("run", "stretch")
    )
    for row in told:
        points.setdefault(row["run"], {})[row["stretch"]] = (row["x"], row["y"])
    drawn = [
        {**_curve(item, points), "colour": place, "baseline": item.baseline}
        for place, item in enumerate(compared)
    ]
    key = name.rpartition("/")[2]
    unit = next((item.newest.progress_unit for item in compared if item.newest.progress_unit), "")
    return {
        "x_label": unit or "step",
        "y_label": curves.label(key),
        "y_unit": curves.UNITS.get(key, ""),
        "ended": all(item.ended for item in compared),
        # Read whole each time: those compared may be cut differently as they grow.
        "grain": "",
        "from": 0,
        "series": [one for one in drawn if one["x"]],
    }


def _curve(item: Item, points: dict[int, dict[int, tuple[float, float]]]) -> dict[str, Any]:
    """Of a group the mean over seeds, at steps that at least two of several have, and its
    interval."""
    mine = [points[run.pk] for run in item.counted if run.pk in points]
    curve: dict[str, Any] = {"name": item.legend, "x": [], "y": []}
    if len(mine) > 1:
        curve |= {"low": [], "high": []}
    for stretch in sorted({stretch for one in mine for stretch in one}):
        here = [one[stretch] for one in mine if stretch in one]
        if len(mine) > 1 and len(here) < 2:
            continue
        curve["x"].append(round(sum(x for x, _ in here) / len(here), 2))
        estimate = Estimate.of([y for _, y in here])
        curve["y"].append(estimate.mean)
        if len(mine) > 1:
            curve["low"].append(estimate.low)
            curve["high"].append(estimate.high)
    return curve


def scores(compared: Sequence[Item], user: Any) -> list[ScoreRow]:
    """What came of them on benchmarks, as many queries as there are sources of scores need."""
    runs = [run.pk for item in compared for run in item.counted]
    told = [score for source in _scores for score in source(runs, user)]
    boards: dict[str, dict[int, Score]] = {}
    for score in told:
        boards.setdefault(score.board, {})[score.run] = score
    found = []
    for by_run in boards.values():
        first = next(iter(by_run.values()))
        cells = [_scored(item, by_run) for item in compared]
        found.append(ScoreRow(first.title, first.note, cells))
    return found


def _scored(item: Item, by_run: dict[int, Score]) -> Any:
    mine = [by_run[run.pk] for run in item.counted if run.pk in by_run]
    if not mine:
        return None
    if len(mine) == 1:
        return {"scores": mine, "told": mine[0].told, "note": ""}
    estimate = Estimate.of([score.value for score in mine])
    write = mine[0].write
    told, note = write(estimate.mean), f"mean of {estimate.n} seeds"
    if estimate.has_interval:
        told = f"{told} ({write(estimate.low)} to {write(estimate.high)})"
    else:
        note = f"{note}, all alike"
    return {"scores": mine, "told": told, "note": note}


@dataclass(kw_only=True)
class Prompt:
    """What several were asked, and the latest response of each."""

    prompt: str
    image: Image | None
    """None where the person may not see it, or it is gone."""
    told: list[tuple[Item, Sample | None]] = field(default_factory=list)


def samples(compared: Sequence[Item], user: Any) -> list[Prompt]:
    """Prompts that at least two have answered, with the latest response of each; of a group, those
    of its newest run. Three queries."""
    runs = [item.counted[0].pk for item in compared]
    latest = (
        Sample.objects.filter(run__in=runs)
        .order_by("run", "image", "prompt", "-step", "prompt_id")
        .distinct("run", "image", "prompt")
    )
    least = min(2, len(compared))
    known = list(latest.values_list("pk", "run", "image", "prompt"))
    often = Counter((image, prompt) for _, _, image, prompt in known)
    shared = [key for key, number in often.items() if number >= least][:MOST_PROMPTS]
    wanted = {
        pk: (run, image, prompt) for pk, run, image, prompt in known if (image, prompt) in shared
    }
    rows = Sample.objects.in_bulk(wanted)
    by_place = {place: rows[pk] for pk, place in wanted.items() if pk in rows}
    visible = access.visible(user, Image.objects.all())
    hashes = {image.partition(".")[0] for image, _ in shared}
    images = visible.in_bulk(hashes, field_name="sha256")
    return [
        Prompt(
            prompt=prompt,
            image=images.get(image.partition(".")[0]),
            told=[
                (item, by_place.get((run, image, prompt)))
                for item, run in zip(compared, runs, strict=True)
            ],
        )
        for image, prompt in shared
    ]
