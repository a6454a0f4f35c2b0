"""Rankings: only within one benchmark version, judge, wording and set of answered questions."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmark.models import Evaluation, EvaluationQuerySet
from benchmark.protocols.figure_display import Shown

MOST_SERIES = 6
"""As many as there are colours that can be told apart."""


@dataclass(frozen=True)
class Group:
    """Evaluations that may be ranked together, best score first."""

    rows: list[Evaluation]
    chosen: frozenset[int] = frozenset()
    """Which of them are drawn, where somebody has chosen."""

    @property
    def first(self) -> Evaluation:
        return self.rows[0]

    @property
    def id(self) -> str:
        """Stays the same however many models come; usable in an address and in HTML."""
        question_set, coverage, judge, prompt = self.first.group
        return f"{question_set}-{coverage[:6]}-{judge}-{prompt[:6]}"

    @property
    def chart_id(self) -> str:
        """Where the page keeps the figures of the group's chart."""
        return f"chart-{self.id}"

    @property
    def curve_id(self) -> str:
        """The same of its curve along lineages."""
        return f"curve-{self.id}"

    @property
    def tested(self) -> list[Evaluation]:
        """Those that have the figure on which pairs are tested."""
        return [row for row in self.rows if has_figure(row, row.question_set.tested_figure)]

    @property
    def best(self) -> Evaluation | None:
        """The first of those; one that decided nothing has its figure by arithmetic alone."""
        return next((row for row in self.tested if not row.decides_nothing), None)

    @property
    def ranks(self) -> dict[int, int | None]:
        """By evaluation, 1 being best; equal scores share a rank (1, 2, 2, 4), and a model without
        the figure, or that decides nothing, has none."""
        rows = (row for row in self.rows if has_figure(row, row.question_set.headline))
        ranked = [row for row in rows if not row.decides_nothing]
        better = [score_of(row) for row in ranked]
        ranks = {row.pk: 1 + sum(one > score_of(row) for one in better) for row in ranked}
        return {row.pk: ranks.get(row.pk) for row in self.rows}

    @property
    def asked(self) -> int:
        return int(self.first.summary["asked"])

    @property
    def total(self) -> int:
        return int(self.first.summary["total"])

    @property
    def has_one_judge(self) -> bool:
        """Else those who judge are themselves what is ranked."""
        return len({(row.judge_id, row.prompt_hash) for row in self.rows}) == 1

    @property
    def has_methods(self) -> bool:
        """Whether it is known of some model how it was made."""
        return any(row.method for row in self.rows)

    @property
    def chart(self) -> dict[str, Any]:
        """Mean rating of each type, for those that are drawn."""
        return chart_of(self.charted)

    @property
    def charted(self) -> list[Evaluation]:
        """Whose figures by type are drawn, in the order of their colours: those that were chosen;
        else all, or where they are too many the best of each method before the others."""
        shown = [row for row in self.rows if row.pk in self.chosen][:MOST_SERIES]
        if not shown:
            best: dict[str, Evaluation] = {}
            for row in self.rows:
                best.setdefault(row.method or row.model_name, row)
            base = [best["Base"]] if "Base" in best else []
            ranked = {row.pk: row for row in (*base, *best.values(), *self.rows)}
            shown = list(ranked.values())[:MOST_SERIES]
            shown.sort(key=self.rows.index)
        return sorted(shown, key=lambda row: row.method != "Base")

    @property
    def undrawn(self) -> list[Evaluation]:
        """Those that the charts leave out, and say so."""
        drawn = self.charted
        return [row for row in self.rows if row not in drawn]


def groups(evaluations: EvaluationQuerySet, chosen: Iterable[int] = ()) -> list[Group]:
    """Complete evaluations by what makes them comparable; of each model the newest only.
    ``chosen``: evaluations that charts shall draw.

    Groups come in the order of their question sets, which is an administrator's, then by judge.
    One query, however many rows.
    """
    newest: dict[tuple[Any, ...], Evaluation] = {}
    for evaluation in evaluations.scored().with_origin():
        model: Any = evaluation.checkpoint_id or evaluation.model_name
        if evaluation.measures_its_judge:  # One model behind several judges, at two seeds, say.
            model = (model, evaluation.judge_id, evaluation.prompt_hash)
        newest.setdefault((evaluation.group, model, str(evaluation.sampling)), evaluation)
    grouped: dict[tuple[int, str, int, str], list[Evaluation]] = {}
    for evaluation in newest.values():
        grouped.setdefault(evaluation.group, []).append(evaluation)
    drawn = frozenset(chosen)
    found = [Group(ranked(rows), drawn) for rows in grouped.values()]
    return sorted(found, key=_order)


def _place(row: Evaluation) -> tuple[Any, ...]:
    """Best first; equal scores by name, so that every page and file has them in one order."""
    return (-score_of(row), row.model_name, row.pk)


def ranked(rows: Iterable[Evaluation]) -> list[Evaluation]:
    """In the order of their ranking."""
    return sorted(rows, key=_place)


def _order(group: Group) -> tuple[Any, ...]:
    questions = group.first.question_set
    return (questions.place, questions.name, -group.asked, group.first.judge.name, group.id)


def group_named(name: str, evaluations: EvaluationQuerySet) -> Group | None:
    """The group whose ``id`` is ``name``, where any of the evaluations is in it."""
    return next((group for group in groups(evaluations) if group.id == name), None)


def digest(evaluations: EvaluationQuerySet) -> str:
    """Names the state of the rankings: another digest once a score came, went or changed."""
    return short_digest(list(evaluations.order_by("pk").values_list("pk", "state", "finished_at")))


def short_digest(rows: list[Any]) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def chart_of(evaluations: Iterable[Evaluation]) -> dict[str, Any]:
    """What the page's chart draws: one series per evaluation over the question types.

    The evaluations are of one question set, and there is at least one.
    """
    rows = list(evaluations)
    rules = rows[0].question_set.rules
    present = {name for row in rows for name in row.summary.get("by_type", {})}
    types = [name for name in rules.types if name in present]
    return {
        **rules.type_axis.to_json(),
        "types": types,
        "categories": [rules.type_titles.get(name, name) for name in types],
        "series": [_series_of(row, types) for row in rows],
    }


def _series_of(evaluation: Evaluation, types: list[str]) -> dict[str, Any]:
    by_type = evaluation.summary.get("by_type", {})
    drawn = evaluation.question_set.rules.type_figures[0].name if types else ""
    found = [by_type.get(name, {}).get(drawn) or {} for name in types]
    return {
        "name": evaluation.full_name,
        "values": [figure.get("value") for figure in found],
        "low": [figure.get("low") for figure in found],
        "high": [figure.get("high") for figure in found],
    }


def score_of(evaluation: Evaluation) -> float:
    """What ranks a complete evaluation, higher being better; one without the figure is last."""
    shown = evaluation.question_set.headline
    if not has_figure(evaluation, shown):
        return -math.inf
    value = float(evaluation.summary[shown.name]["value"])
    return -value if shown.better == "down" else value


def has_figure(evaluation: Evaluation, shown: Shown) -> bool:
    """Whether a figure is neither open nor undefined."""
    found = evaluation.summary.get(shown.name)
    return bool(found) and found["value"] is not None
