"""How often people and the reward model disagree about a project's comparisons, and where.

Shares are of decided comparisons that the reward model was **not** trained on: about the others it
repeats what it was told. Gold comparisons are left out, for they measure annotators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import (
    Avg,
    BooleanField,
    Count,
    ExpressionWrapper,
    F,
    FloatField,
    Max,
    Min,
    Q,
)
from django.db.models.functions import Abs

from annotation.models import Comparison, Project
from annotation.quality.shares import Share
from training.models import RewardScore, Run

Outcome = Comparison.Outcome
BUCKETS = 5
"""Of the reward model's confidence, from 50 % to 100 %."""
CERTAINTY = ExpressionWrapper(Abs(F("probability_1") * 2 - 1), output_field=FloatField())
"""|2p - 1|: 0 where the reward model is unsure, 1 where it is sure."""
AGREES = Q(comparison__preference=1, probability_1__gte=0.5) | Q(
    comparison__preference=2, probability_1__lt=0.5
)
DECIDED = Q(comparison__outcome=Outcome.DECIDED, comparison__machine_vote="")
"""By people: what a machine decided says nothing about how often it agrees with them."""


@dataclass(frozen=True)
class Bucket:
    """Comparisons that are alike in one respect."""

    name: str
    disagree: Share
    expected: float | None = None
    """The share of disagreements that the reward model's own confidence announces."""


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The figures that a project's page shows."""

    fresh: Share
    trained: Share
    waiting: int
    moved: int
    """Waiting comparisons that the scores have moved forward."""

    @property
    def scored(self) -> int:
        return self.fresh.whole + self.trained.whole + self.waiting


@dataclass(frozen=True, kw_only=True)
class Report(Headline):
    """The figures of its own page: ``by_confidence`` and ``by_margin`` split ``fresh``.

    ``by_spread`` splits those of them that an ensemble has scored.
    """

    by_confidence: list[Bucket]
    by_margin: list[Bucket]
    by_spread: list[Bucket]
    newest: Run | None
    """The scoring run that was asked for last."""


def scores(project: Project) -> Any:
    """Those of the project that the page is about, with the certainty of each."""
    rows = RewardScore.objects.filter(run__project=project, comparison__gold_more_hallucinated="")
    return rows.annotate(certainty=CERTAINTY)


def headline(project: Project) -> Headline:
    """One query."""
    return Headline(**_counts(project))


def report(project: Project) -> Report:
    """In a number of queries that does not grow with the project."""
    fresh = scores(project).filter(DECIDED, trained_on=False)
    newest = scores(project).aggregate(newest=Max("run"))["newest"]
    return Report(
        by_confidence=_by_confidence(fresh),
        by_margin=_by_margin(fresh),
        by_spread=_by_spread(fresh),
        newest=Run.objects.select_related("reward_model").filter(pk=newest).first(),
        **_counts(project),
    )


def _counts(project: Project) -> dict[str, Any]:
    fresh, trained = DECIDED & Q(trained_on=False), DECIDED & Q(trained_on=True)
    waiting = Q(comparison__outcome=Outcome.WAITING)
    found = scores(project).aggregate(
        fresh=Count("pk", filter=fresh),
        fresh_disagree=Count("pk", filter=fresh & ~AGREES),
        trained=Count("pk", filter=trained),
        trained_disagree=Count("pk", filter=trained & ~AGREES),
        waiting=Count("pk", filter=waiting),
        moved=Count("pk", filter=waiting & Q(priority_points__gt=0)),
    )
    return {
        "fresh": Share(found["fresh_disagree"], found["fresh"]),
        "trained": Share(found["trained_disagree"], found["trained"]),
        "waiting": found["waiting"],
        "moved": found["moved"],
    }


def _share(rows: Any) -> Share:
    found = rows.aggregate(whole=Count("pk"), part=Count("pk", filter=~AGREES))
    return Share(found["part"], found["whole"])


def _by_confidence(rows: Any) -> list[Bucket]:
    """Five stretches of the confidence (1 + certainty) / 2; an empty one is left out."""
    buckets = []
    for number in range(BUCKETS):
        low, high = number / BUCKETS, (number + 1) / BUCKETS
        inside = rows.filter(certainty__gte=low)
        inside = inside.filter(certainty__lt=high) if number < BUCKETS - 1 else inside
        share = _share(inside)
        if share.whole:
            mean = inside.aggregate(mean=Avg("certainty"))["mean"]
            name = f"{50 + 50 * low:.0f} to {50 + 50 * high:.0f} %"
            buckets.append(Bucket(name, share, expected=(1 - mean) / 2))
    return buckets


def _by_margin(rows: Any) -> list[Bucket]:
    """By how clear people's votes were; imported labels count with the margin they came with."""
    kinds = {
        "unanimous": Q(comparison__margin__gte=1),
        "clear majority": Q(comparison__margin__gte=0.5, comparison__margin__lt=1),
        "narrow majority": Q(comparison__margin__lt=0.5),
    }
    buckets = [Bucket(name, _share(rows.filter(condition))) for name, condition in kinds.items()]
    return [bucket for bucket in buckets if bucket.disagree.whole]


def _by_spread(rows: Any) -> list[Bucket]:
    """Thirds of the pairs, by how far the reward model's heads are apart about them."""
    rows = rows.filter(spread__isnull=False).order_by("spread", "pk")
    right = ExpressionWrapper(AGREES, output_field=BooleanField())
    rows = rows.annotate(right=right)
    names, whole = ("closest", "between", "widest"), rows.count()
    buckets = []
    for number, name in enumerate(names):
        third = rows[number * whole // 3 : (number + 1) * whole // 3]
        found = third.aggregate(
            whole=Count("pk"),
            wrong=Count("pk", filter=Q(right=False)),
            low=Min("spread"),
            high=Max("spread"),
        )
        if found["whole"]:
            stretch = f"{name}, {found['low']:.2g} to {found['high']:.2g}"
            buckets.append(Bucket(stretch, Share(found["wrong"], found["whole"])))
    return buckets


def examples(
    project: Project, *, show: str = "disagree", decided_by: str = "", seen: str = "fresh"
) -> Any:
    """Scored comparisons to look at, those first about which the reward model is surest.

    ``show`` is "disagree", "agree", "waiting" or "contradicted" (it waits, and most votes so far
    are against the reward model); ``decided_by`` "honesty", "helpfulness" or empty for both;
    ``seen`` "fresh" (not trained on), "trained" or empty for both.
    """
    rows = scores(project).select_related(
        "comparison__prompt__image", "comparison__project", "run__reward_model__run"
    )
    if show in ("waiting", "contradicted"):
        rows = rows.filter(comparison__outcome=Outcome.WAITING).annotate(**_votes())
        if show == "contradicted":
            rows = rows.filter(
                Q(probability_1__gte=0.5, votes_2__gt=F("votes_1"))
                | Q(probability_1__lt=0.5, votes_1__gt=F("votes_2"))
            )
        return rows.order_by("-priority_points", "pk")
    rows = rows.filter(DECIDED, AGREES if show == "agree" else ~AGREES)
    if decided_by:
        rows = rows.filter(comparison__hallucination=decided_by == "honesty")
    if seen:
        rows = rows.filter(trained_on=seen == "trained")
    return rows.annotate(**_votes()).order_by("-certainty", "pk")


def _votes() -> dict[str, Any]:
    """Counted votes by which each response is the better one, and those for neither."""
    counted = Q(comparison__judgments__surplus=False)
    worse, helpful = "comparison__judgments__more_hallucinated", "more_helpful"
    found = {}
    for number in (1, 2):
        against = Q(**{worse: str(3 - number)})
        tied = Q(**{worse: "tie", f"comparison__judgments__{helpful}": str(number)})
        found[f"votes_{number}"] = Count("comparison__judgments", filter=counted & (against | tied))
    neither = Q(**{worse: "tie"}) & ~Q(**{f"comparison__judgments__{helpful}__in": ["1", "2"]})
    return {**found, "votes_tie": Count("comparison__judgments", filter=counted & neither)}
