"""A checkpoint's lineage as a picture: from the labels of its releases to its scores.

Every thing stands one column right of the last thing it was made from, and what was made from
nothing right before its first use. An arrow that a longer way says as well is left out: a policy
that its reward model was trained with reads that release too. What came of a checkpoint beyond
training, such as its scores, other apps tell through ``register_outcomes``.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from training.checkpoints import registry
from training.models import Checkpoint, Run
from training.runs import kinds

WIDTH, HEIGHT = 216, 72  # of a box, in the units of the drawing
GAP_X, GAP_Y = 48, 20
LETTERS = 28  # What fits on a line of a box.
LINES = 2

Key = tuple[str, int]


@dataclass(frozen=True)
class Outcome:
    """What came of a checkpoint: a title, its figure or state, and where it is shown."""

    title: str
    note: str
    url: str
    change: str = ""
    """Against the model it was trained from: "fell", "rose", "no difference shown", or empty
    where nothing can be said."""
    detail: str = ""
    """The same as a sentence, with the figures; or why nothing can be said."""


@dataclass(frozen=True)
class Box:
    """One thing of the picture; ``x`` and ``y`` are its upper left corner."""

    title: str
    note: str
    url: str
    x: int
    y: int
    is_this: bool

    @property
    def lines(self) -> list[str]:
        """The title as it fits into the box."""
        return textwrap.wrap(self.title, LETTERS, max_lines=LINES, placeholder=" …") or [""]


@dataclass(frozen=True)
class Picture:
    boxes: tuple[Box, ...]
    arrows: tuple[str, ...]
    """Paths of an SVG."""
    width: int
    height: int


_outcomes: list[Callable[[Checkpoint, Any], Iterable[Outcome]]] = []


def register_outcomes(source: Callable[[Checkpoint, Any], Iterable[Outcome]]) -> None:
    """``source`` gives what came of a checkpoint, as far as the given person may see it."""
    if source not in _outcomes:
        _outcomes.append(source)


def outcomes(checkpoint: Checkpoint, user: Any) -> list[Outcome]:
    return [outcome for source in _outcomes for outcome in source(checkpoint, user)]


def outcomes_of(run: Run, user: Any) -> list[Outcome]:
    """What came of the checkpoint that ``run`` made, or that it was there to measure.

    What a run of a chain measures may not be made yet: it is known from the first attempt on.
    """
    checkpoint = registry.final_checkpoint(run)
    if checkpoint is None and kinds.get(run.kind).measures:
        known = run.after is None or run.attempts.exists()
        # What scores or reports measures its reward model; the base is only what that stands on.
        checkpoint = run.policy or run.reward_model or (run.base if known else None)
    return outcomes(checkpoint, user) if checkpoint else []


def picture(checkpoint: Checkpoint, user: Any) -> Picture:
    """Labels, releases, models and scores around ``checkpoint``, laid out in columns."""
    found: dict[Key, Outcome] = {}
    parents: dict[Key, list[Key]] = {}
    this = _add(checkpoint, found, parents)
    for i, outcome in enumerate(outcomes(checkpoint, user)):
        found[("outcome", i)], parents[("outcome", i)] = outcome, [this]
    columns: dict[Key, int] = {}
    for key in found:
        _column(key, parents, columns)
    parents = {key: _nearest(key, parents) for key in found}
    for key in found:
        uses = [columns[child] for child in found if key in parents[child]]
        if uses and not parents[key]:
            columns[key] = min(uses) - 1
    return _laid_out(found, parents, columns, this)


def _add(item: Any, found: dict[Key, Outcome], parents: dict[Key, list[Key]]) -> Key:
    key = (type(item).__name__, item.pk)
    if key in found:
        return key
    if isinstance(item, Checkpoint):
        found[key] = Outcome(item.name, _note(item), item.get_absolute_url())
        made_from = [ancestor.item for ancestor in registry.parents(item)]
        parents[key] = [_add(one, found, parents) for one in made_from]
    else:
        labels = ("labels", item.pk)
        counts = item.counts
        judged = f"{counts['judgments']} judgments" if "judgments" in counts else "judgments"
        address = reverse("annotation:comparisons", args=[item.project.slug])
        found[labels], parents[labels] = Outcome("Labels", judged, address), []
        note = f"{counts.get('train', 0)} train, {counts.get('held_out', 0)} held out"
        found[key] = Outcome(f"Release {item.number}", note, item.get_absolute_url())
        parents[key] = [labels]
    return key


def _note(checkpoint: Checkpoint) -> str:
    kind = checkpoint.get_kind_display().capitalize()
    if checkpoint.run is None:
        return f"{kind}, imported"
    title = _title(checkpoint.run)
    by = "" if title.lower() == kind.lower() else f" by {title}"
    return f"{kind}{by}, run {checkpoint.run.pk}"


def _title(run: Run) -> str:
    try:
        return kinds.get(run.kind).title
    except KeyError:  # the app that brought it is gone
        return run.kind


def _column(key: Key, parents: dict[Key, list[Key]], columns: dict[Key, int]) -> int:
    if key not in columns:
        columns[key] = max((_column(one, parents, columns) + 1 for one in parents[key]), default=0)
    return columns[key]


def _nearest(key: Key, parents: dict[Key, list[Key]]) -> list[Key]:
    """The parents that no other parent was made from."""
    behind = {above for parent in parents[key] for above in _ancestors(parent, parents)}
    return [parent for parent in parents[key] if parent not in behind]


def _ancestors(key: Key, parents: dict[Key, list[Key]]) -> set[Key]:
    found = set(parents[key])
    return found.union(*(_ancestors(parent, parents) for parent in parents[key]))


def _laid_out(
    found: dict[Key, Outcome],
    parents: dict[Key, list[Key]],
    columns: dict[Key, int],
    this: Key,
) -> Picture:
    rows: Counter[int] = Counter()
    boxes: dict[Key, Box] = {}
    for key in sorted(found, key=lambda key: columns[key]):
        column = columns[key]
        x, y = column * (WIDTH + GAP_X) + 1, rows[column] * (HEIGHT + GAP_Y) + 1
        one = found[key]
        boxes[key] = Box(one.title, one.note, one.url, x, y, is_this=key == this)
        rows[column] += 1
    arrows = [_arrow(boxes[parent], boxes[key]) for key in boxes for parent in parents[key]]
    return Picture(
        boxes=tuple(boxes.values()),
        arrows=tuple(arrows),
        width=(max(columns.values()) + 1) * (WIDTH + GAP_X) - GAP_X + 2,
        height=max(rows.values()) * (HEIGHT + GAP_Y) - GAP_Y + 2,
    )


def _arrow(start: Box, end: Box) -> str:
    x1, y1 = start.x + WIDTH, start.y + HEIGHT // 2
    x2, y2 = end.x, end.y + HEIGHT // 2
    return f"M{x1} {y1}C{x1 + GAP_X // 2} {y1} {x2 - GAP_X // 2} {y2} {x2} {y2}"
