"""Scores beside runs: columns of the table of runs, and rows where runs are compared.

Scores stand under one heading only where they may be ranked together (``Evaluation.group``), and a
run has the newest of its evaluations: of the model that it made, or that it was there to make.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import FloatField, OuterRef, Q, QuerySet, Subquery
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast

from benchmark import access
from benchmark.board import leaderboard
from benchmark.board.leaderboard import Group
from benchmark.models import Evaluation, EvaluationQuerySet
from benchmark.templatetags.benchmark_tags import figure, interval
from training.figures.columns import Column
from training.figures.comparing import Score


def columns_for(user: Any) -> Iterable[Column]:
    """One for each ranking that the person may see."""
    visible = access.evaluations(user)
    return [_column(group, visible) for group in leaderboard.groups(visible)]


def _column(group: Group, visible: EvaluationQuerySet) -> Column:
    first = group.first
    shown = first.question_set.headline
    value = Cast(KeyTextTransform("value", KeyTransform(shown.name, "summary")), FloatField())
    mine = _alike(first, visible).scored().filter(_of(OuterRef("pk")))
    judge = "" if first.judge.kind == "exact" else f"judged by {first.judge}, "
    return Column(
        f"score:{group.id}",
        f"{first.question_set}: {shown.title.lower()}",
        "Scores",
        Subquery(mine.annotate(score=value).exclude(score=None).values("score")[:1]),
        is_number=True,
        note=f"{judge}{group.asked} of {group.total} questions",
    )


def _alike(evaluation: Evaluation, visible: EvaluationQuerySet) -> EvaluationQuerySet:
    """Those that may be ranked with ``evaluation``."""
    questions, coverage, judge, prompt = evaluation.group
    alike = visible.filter(question_set=questions, coverage=coverage)
    return alike.filter(judge=judge, prompt_hash=prompt) if judge else alike


def _of(run: Any) -> Q:
    """Evaluations of the model that ``run`` made, or that ``run`` itself carried out."""
    return Q(checkpoint__run=run, checkpoint__final=True) | Q(run=run)


def scores_of(runs: Sequence[int], user: Any) -> list[Score]:
    """The newest of each run in each ranking; one query."""
    rows: QuerySet[Evaluation] = (
        access.evaluations(user)
        .scored()
        .filter(Q(checkpoint__run__in=runs, checkpoint__final=True) | Q(run__in=runs))
        .select_related("question_set", "judge", "checkpoint")
    )
    found: dict[tuple[int, str], Score] = {}
    for evaluation in rows:
        shown = evaluation.question_set.headline
        if not leaderboard.has_figure(evaluation, shown):
            continue
        made_by = evaluation.checkpoint.run_id if evaluation.checkpoint else None
        for run in {made_by, evaluation.run_id} & set(runs):
            board = Group([evaluation]).id
            assert run is not None
            found.setdefault((run, board), _score(evaluation, run, board))
    return sorted(found.values(), key=lambda score: (score.title, score.board))


def _score(evaluation: Evaluation, run: int, board: str) -> Score:
    shown = evaluation.question_set.headline
    estimate = evaluation.summary[shown.name]
    asked, total = evaluation.summary["asked"], evaluation.summary["total"]
    return Score(
        run=run,
        board=board,
        title=f"{evaluation.question_set}: {shown.title.lower()}",
        note=f"{evaluation.judge}, {asked} of {total} questions",
        value=float(estimate["value"]),
        told=f"{figure(estimate['value'], shown)} ({interval(estimate, shown)})",
        url=evaluation.get_absolute_url(),
        write=functools.partial(figure, shown=shown),
    )
