"""The run kind that has a reward model look at comparisons that people still have to answer.

Its scores are kept beside the comparisons, and those about which it is unsure, or contradicts the
votes there are, move forward in the queue (``annotation.priorities`` owns that rule). Decided ones
are scored as well: they show how often people and the reward model disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from django import forms
from django.db.models import Q, QuerySet
from django.urls import reverse

from annotation import exporting, priorities
from annotation.models import Comparison, Project
from training.models import Attempt, Metric, RewardScore, Run
from training.rlhf.contract import Kind, RunSpec, ScoreSettings
from training.runs.kinds import OptionsForm, RunKind

Outcome = Comparison.Outcome
ONE_HEAD = (
    "its reward model has one head, so no heads differ: rank by how unsure it is, or train one "
    "with an ensemble"
)
_SAID = ("reward_1", "reward_2", "probability_1")
_SAID_OF_HEADS = ("spread_1", "spread_2", "spread")


class ScoreComparisonsOptions(OptionsForm):
    comparisons = forms.IntegerField(
        min_value=1,
        max_value=20_000,
        initial=2000,
        help_text="At most so many waiting ones; those that it has not scored come first.",
    )
    decided = forms.BooleanField(
        required=False,
        initial=True,
        label="Decided ones too",
        help_text="As many again, to see how often people and the reward model disagree.",
    )
    rank_by = forms.ChoiceField(
        choices=[("doubt", "how unsure it is"), ("spread", "how far its heads are apart")],
        required=False,
        initial="doubt",
        label="Rank waiting ones by",
        help_text="The second needs a reward model with an ensemble of heads.",
    )

    def options(self) -> dict[str, Any]:
        """Ranking by doubt, as ever, is not said, so that a run is asked for as it always was."""
        found = super().options()
        return found if found.pop("rank_by") != "spread" else {**found, "rank_by": "spread"}


class ScoreComparisons(RunKind):
    name = "score_comparisons"
    title = "Score comparisons"
    description = (
        "Asks the reward model about waiting comparisons; people get those first about which it is "
        "unsure or contradicts the votes."
    )
    engine = Kind.SCORE
    takes = frozenset({"reward_model"})
    needs = frozenset({"reward_model"})
    chain_order: ClassVar[int | None] = 95
    options_form: ClassVar[type[OptionsForm] | None] = ScoreComparisonsOptions
    decides = frozenset({"labelled"})

    def decide(self, spec: RunSpec, options: dict[str, Any]) -> RunSpec:
        assert isinstance(spec.settings, ScoreSettings)
        return replace(spec, settings=replace(spec.settings, labelled=False))

    def write_data(self, run: Run, directory: Path) -> None:
        chosen = to_score(run)
        if not chosen:
            raise ValueError("the project has no comparisons to score")
        made_by = run.reward_model.run if run.reward_model else None
        if made_by is not None and by_spread(run) and made_by.settings.get("ensemble", 1) == 1:
            raise ValueError(ONE_HEAD)
        rows = Comparison.objects.filter(pk__in=chosen).order_by("pk")
        exporting.write_pairs(rows, directory)

    def finish(self, run: Run, attempt: Attempt, directory: Path) -> None:
        with (directory / "final" / "scores.jsonl").open(encoding="utf-8") as lines:
            scores = [json.loads(line) for line in lines if line.strip()]
        changed = take_in(run, scores)
        for name, value in changed.items():
            Metric.objects.update_or_create(run=run, name=name, step=0, defaults={"value": value})

    def result_url(self, run: Run) -> str | None:
        return reverse("training:disagreement", args=[run.project.slug])


def to_score(run: Run) -> list[int]:
    """Keys of the comparisons: waiting ones, and if asked for as many decided ones.

    Of the waiting, those without a score of this reward model come first; of the decided, those
    that it was not trained on. The newest come first within each.
    """
    most = run.options["comparisons"]
    rows = Comparison.objects.filter(project=run.project_id, gold_more_hallucinated="")
    known = Q(reward_score__run__reward_model=run.reward_model_id)
    waiting = rows.filter(outcome=Outcome.WAITING).order_by("-pk")
    unknown = list(waiting.exclude(known).values_list("pk", flat=True)[:most])
    again = waiting.filter(known).values_list("pk", flat=True)[: most - len(unknown)]
    chosen = [*unknown, *again]
    return chosen + _decided(run, rows, most) if run.options["decided"] else chosen


def _decided(run: Run, rows: QuerySet[Comparison], most: int) -> list[int]:
    seen = _trained_on(run)
    decided = rows.filter(outcome=Outcome.DECIDED).order_by("-pk").values_list("pk", "external_id")
    fresh: list[int] = []
    trained: list[int] = []
    for pk, external_id in decided.iterator():
        (trained if external_id in seen else fresh).append(pk)
    return (fresh + trained)[:most]


def _trained_on(run: Run) -> set[str]:
    """Ids of the comparisons from which the reward model has learnt."""
    made_by = run.reward_model.run if run.reward_model else None
    if made_by is None or made_by.release is None or made_by.project_id != run.project_id:
        return set()
    return exporting.training_ids(made_by.release)


def by_spread(run: Run) -> bool:
    """Whether the spread of its reward model's heads ranks, and not the chance that they state."""
    return bool(run.options.get("rank_by") == "spread")


def take_in(run: Run, scores: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Keeps ``scores`` (lines of the engine's ``scores.jsonl``) and moves what waits.

    Scores of a run that was asked for later stand. Returns what changed, by the name of a figure.
    Call within a transaction. Raises ValueError where a spread that is to rank is not there.
    """
    # Two runs that end together would each take back the points that were there before both.
    Project.objects.select_for_update(no_key=True).get(pk=run.project_id)
    told = {int(score["id"]): score for score in scores}
    ranked_by_spread = by_spread(run)
    if ranked_by_spread and not all("spread" in score for score in told.values()):
        raise ValueError(ONE_HEAD)
    newer = RewardScore.objects.filter(comparison__in=told, run__gt=run.pk)
    overtaken = set(newer.values_list("comparison", flat=True))
    rows = Comparison.objects.filter(project=run.project_id, pk__in=told.keys() - overtaken)
    there = dict(rows.order_by("pk").values_list("pk", "external_id"))
    before = dict(
        RewardScore.objects.filter(comparison__in=there).values_list(
            "comparison", "priority_points"
        )
    )
    changes = priorities.reprioritise(
        run.project,
        [
            priorities.Opinion(
                comparison=pk,
                probability_1=told[pk]["probability_1"],
                spread=told[pk]["spread"] if ranked_by_spread else None,
                points_before=before.get(pk, 0),
            )
            for pk in there
        ],
    )
    seen = _trained_on(run)
    RewardScore.objects.bulk_create(
        [
            RewardScore(
                comparison_id=pk,
                run=run,
                **{name: told[pk][name] for name in _SAID},
                **{name: told[pk].get(name) for name in _SAID_OF_HEADS},
                trained_on=external_id in seen,
                priority_points=changes.points[pk],
            )
            for pk, external_id in there.items()
        ],
        update_conflicts=True,
        unique_fields=["comparison"],
        update_fields=["run", *_SAID, *_SAID_OF_HEADS, "trained_on", "priority_points"],
        batch_size=1000,
    )
    return {
        "scored/comparisons": len(there),
        "scored/raised": changes.raised,
        "scored/lowered": changes.lowered,
        "scored/unchanged": changes.unchanged,
    }
