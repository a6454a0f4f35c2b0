"""A model against the one it was trained from, and the scores along such a line of models.

The parent of a policy is the policy that its run began from, else the base. A score that looks
lower is not yet a score that fell: that is said only where a paired test on the same questions,
under the same judge in the same wording, shows a difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from django.core.cache import cache

from benchmark import scoring
from benchmark.board import leaderboard, significance
from benchmark.board.leaderboard import Group
from benchmark.board.significance import Tested
from benchmark.models import Evaluation, EvaluationQuerySet
from benchmark.protocols.figure_display import Shown
from benchmark.templatetags.benchmark_tags import difference, figure
from training.models import Checkpoint

KEPT_SECONDS = 24 * 3600
Verdict = Literal[
    "fell",
    "rose",
    "fell only before correction",
    "rose only before correction",
    "no difference shown",
]


@dataclass(frozen=True)
class Change:
    """An evaluation held against the nearest ancestor that was evaluated the same way."""

    parent: Evaluation
    tested: Shown
    test: dict[str, Any]
    """Of the tested figure, as ``scoring.compare`` gives it."""
    standing: Tested
    """The same pair as the leaderboard has it: what is shown is said by it alone."""
    worse: tuple[Shown, ...]
    """All figures for which the test shows a change for the worse."""

    @property
    def verdict(self) -> Verdict:
        rose = self.test["difference"] > 0
        match self.standing.verdict:
            case "shown":
                return "rose" if rose else "fell"
            case "before correction":
                return "rose only before correction" if rose else "fell only before correction"
        return "no difference shown"

    @property
    def told(self) -> str:
        """ "Score 3.14 to 1.70 (−1.43, 95 % interval −1.96 to −0.89; p < 0.001, …)"."""  # noqa: RUF002
        shown, test = self.tested, self.test
        first, second = (figure(test[side]["value"], shown) for side in ("first", "second"))
        by, low, high = (difference(test[end], shown) for end in ("difference", "low", "high"))
        return (
            f"{self.tested.title} {first} to {second} "
            f"({by}, 95 % interval {low} to {high}; {self.standing.told})"
        )


def change_of(evaluation: Evaluation, visible: EvaluationQuerySet) -> Change | None:
    """None while there is no score, or no ancestor has one that is comparable and ``visible``."""
    parent = evaluated_parent(evaluation, visible)
    if parent is None:
        return None
    found = _compared(parent, evaluation)
    tested = evaluation.question_set.tested_figure
    worse = tuple(
        shown
        for shown in evaluation.question_set.rules.figures
        if (test := found.get(shown.name)) and test["shown"] and _worse(shown, test["difference"])
    )
    test = found[tested.name]
    ranked = significance.between(parent, evaluation, visible)
    alone = significance.alone(test["p_value"])
    return Change(parent=parent, tested=tested, test=test, standing=ranked or alone, worse=worse)


def _compared(parent: Evaluation, evaluation: Evaluation) -> dict[str, Any]:
    """``scoring.compare``, which takes a second for thousands of questions, kept until one of the
    two is concluded anew."""
    ends = [one.finished_at.timestamp() if one.finished_at else 0 for one in (parent, evaluation)]
    sides = [f"{parent.pk}-{ends[0]}", f"{evaluation.pk}-{ends[1]}"]
    kept: dict[str, Any] | None = cache.get(key := f"benchmark.compared.{'.'.join(sides)}")
    if kept is None:
        kept = scoring.compare(parent, evaluation)
        cache.set(key, kept, KEPT_SECONDS)
    return kept


def evaluated_parent(evaluation: Evaluation, visible: EvaluationQuerySet) -> Evaluation | None:
    """The newest comparable evaluation of the nearest ancestor that has one."""
    if evaluation.checkpoint_id is None or evaluation.state != Evaluation.State.COMPLETE:
        return None
    parents = parents_of([evaluation.checkpoint_id])
    question_set, coverage, judge, prompt = evaluation.group
    alike = visible.scored().with_origin()
    alike = alike.filter(
        question_set=question_set,
        coverage=coverage,
        judge=judge,
        prompt_hash=prompt,
        sampling=evaluation.sampling,
    )
    line = _line(evaluation.checkpoint_id, parents)[1:]
    by_model = {row.checkpoint_id: row for row in reversed(alike.filter(checkpoint__in=line))}
    tested = evaluation.question_set.tested_figure
    if not leaderboard.has_figure(evaluation, tested):
        return None
    scored = {pk: row for pk, row in by_model.items() if leaderboard.has_figure(row, tested)}
    return next((scored[pk] for pk in line if pk in scored), None)


@dataclass(frozen=True)
class AgainstParent:
    """A row of the leaderboard beside its nearest ancestor in the same ranking."""

    parent: Evaluation
    rose: bool
    standing: Tested


def against_parents(groups: Iterable[Group]) -> dict[int, AgainstParent]:
    """By evaluation, for the rows whose ancestor is ranked with them; answers drawn alike."""
    groups = list(groups)
    parents = parents_of(
        row.checkpoint_id for group in groups for row in group.rows if row.checkpoint_id
    )
    found = [
        (group, parent, row)
        for group in groups
        for row in group.rows
        if (parent := _ranked_parent(group, row, parents)) is not None
    ]
    tests = significance.of_pairs(found)
    return {
        row.pk: AgainstParent(
            parent,
            leaderboard.score_of(row) > leaderboard.score_of(parent),
            tests[frozenset((parent.pk, row.pk))],
        )
        for _, parent, row in found
    }


def _ranked_parent(
    group: Group, row: Evaluation, parents: dict[int, int | None]
) -> Evaluation | None:
    if row.checkpoint_id is None:
        return None
    if row not in group.tested:
        return None
    alike = {one.checkpoint_id: one for one in group.tested if one.sampling == row.sampling}
    line = _line(row.checkpoint_id, parents)[1:]
    return next((alike[pk] for pk in line if pk in alike), None)


def parents_of(checkpoints: Iterable[int]) -> dict[int, int | None]:
    """The parent of each checkpoint and of all its ancestors; one query per generation."""
    found: dict[int, int | None] = {}
    level = set(checkpoints)
    while level:
        rows = Checkpoint.objects.filter(pk__in=level).values_list("pk", "run__policy", "base")
        found |= {pk: policy or base for pk, policy, base in rows}
        level = {parent for parent in found.values() if parent is not None} - found.keys()
    return found


# --------------------------------------------------------------------------------------------
# The curve
# --------------------------------------------------------------------------------------------


def curves(groups: Iterable[Group]) -> dict[str, dict[str, Any]]:
    """By ``Group.id``, what the page's curve draws, for groups in which some model descends from
    another: each line from its first evaluated ancestor to a model that nothing here descends
    from, with the group's headline figure and its interval."""
    groups = list(groups)
    parents = parents_of(
        row.checkpoint_id for group in groups for row in group.rows if row.checkpoint_id
    )
    found = {group.id: _curve(group, parents) for group in groups}
    return {name: curve for name, curve in found.items() if curve["series"]}


def _curve(group: Group, parents: dict[int, int | None]) -> dict[str, Any]:
    rows: dict[int, Evaluation] = {}
    for row in group.rows:
        drawn = leaderboard.has_figure(row, row.question_set.headline)
        if drawn and row.checkpoint_id is not None and not row.sampling.get("temperature"):
            rows.setdefault(row.checkpoint_id, row)
    lines = [[pk for pk in _line(pk, parents)[::-1] if pk in rows] for pk in rows]
    ancestors = {pk for line in lines for pk in line[:-1]}
    ends = [line for line in lines if len(line) > 1 and line[-1] not in ancestors]
    # A model has one colour in all charts of a group; those of the curve alone have the next.
    colours = {row.pk: place for place, row in enumerate(group.charted)}
    return {
        **group.first.question_set.rules.headline_axis.to_json(),
        "series": [
            {
                "name": rows[line[-1]].model_name,
                "colour": colours.setdefault(rows[line[-1]].pk, len(colours)),
                "points": [_point(rows[pk]) for pk in line],
            }
            for line in ends
        ],
    }


def _point(evaluation: Evaluation) -> dict[str, Any]:
    estimate = evaluation.summary[evaluation.question_set.headline.name]
    return {
        "name": evaluation.model_name,
        "label": evaluation.method or evaluation.model_name,
        "made_from": _made_from(evaluation),
        **{end: estimate[end] for end in ("value", "low", "high")},
    }


def _made_from(evaluation: Evaluation) -> str:
    """ "release 3, reward model …": what went into the model besides its parent."""
    run = evaluation.checkpoint.run if evaluation.checkpoint else None
    if run is None:
        return ""
    reward, release = run.reward_model, evaluation.release
    parts = [
        f"release {release.number}" if release else "",
        f"reward by {reward}" if reward else "",
    ]
    return ", ".join(part for part in parts if part)


def _line(checkpoint: int, parents: dict[int, int | None]) -> list[int]:
    """The checkpoint and its ancestors, nearest first."""
    line: list[int] = []
    current: int | None = checkpoint
    while current is not None and current not in line:
        line.append(current)
        current = parents.get(current)
    return line


def _worse(shown: Shown, difference: float) -> bool:
    return difference < 0 if shown.better == "up" else shown.better == "down" and difference > 0
