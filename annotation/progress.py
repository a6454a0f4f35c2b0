"""How far a project is: counts for pages and REST, in a number of queries that does not grow."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Q, QuerySet, Sum

from annotation.days import current_day_began
from annotation.models import Assignment, Comparison, Judgment, Project, User


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Counts of one project. ``judgments`` are those that count; surplus ones stand apart.

    What is taken out is in none of them but ``retired``.
    """

    comparisons: int
    waiting: int
    decided: int
    undecided: int
    disputed: int
    judgments: int
    wanted: int
    surplus: int
    open_leases: int
    corrected: int | None = None
    """Judgments with a corrected response among those that count; None where none is asked for."""
    by_machine: int = 0
    """Of the decided, those that a certified machine decided."""
    retired: int = 0

    @property
    def share(self) -> float:
        """Counted judgments / wanted judgments, 0..1; 0 for an empty project."""
        return self.judgments / self.wanted if self.wanted else 0.0

    @property
    def settled(self) -> int:
        return self.comparisons - self.waiting


COUNTS_LAST_TIMES = 100
LONGEST_COUNT_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class OwnProgress:
    """What one person has done in a project."""

    judged: int
    judged_today: int
    skipped: int


NOTHING = OwnProgress(judged=0, judged_today=0, skipped=0)


@dataclass(frozen=True, kw_only=True)
class MemberProgress:
    """A line of the members' table."""

    user: User
    role: str
    paused: bool
    own: OwnProgress


NOT_RETIRED = ~Q(outcome=Comparison.Outcome.RETIRED)
_OF_WHAT_IS_IN = Q(comparison__gold_more_hallucinated="") & ~Q(
    comparison__outcome=Comparison.Outcome.RETIRED
)
OUTCOMES = {
    str(outcome): Count("pk", filter=Q(outcome=outcome)) for outcome in Comparison.Outcome.values
}


def progress_of(project: Project) -> Progress:
    """Three queries, and one more where corrections are asked for."""
    return progress_of_many([project])[project.pk]


def progress_of_many(projects: list[Project]) -> dict[int, Progress]:
    """By primary key, for a list of projects; three queries in all, four with corrections."""
    names = [project.pk for project in projects]
    rows = (
        Comparison.objects.filter(project__in=names, gold_more_hallucinated="")
        .order_by()
        .values("project")
        .annotate(
            comparisons=Count("pk", filter=NOT_RETIRED),
            counted=Sum("judgment_count", filter=NOT_RETIRED, default=0),
            wanted=Sum("wanted_judgments", filter=NOT_RETIRED, default=0),
            by_machine=Count("pk", filter=NOT_RETIRED & ~Q(machine_vote="")),
            **OUTCOMES,
        )
    )
    counts: dict[int, Any] = {row["project"]: row for row in rows}
    empty = dict.fromkeys(("comparisons", "counted", "wanted", "by_machine", *OUTCOMES), 0)
    surplus = dict(
        Judgment.objects.filter(
            _OF_WHAT_IS_IN, comparison__project__in=names, surplus=True, assignment__purpose="work"
        )
        .order_by()
        .values_list("comparison__project")
        .annotate(Count("pk"))
    )
    leases = dict(
        Assignment.objects.filter(project__in=names, state=Assignment.State.OPEN)
        .order_by()
        .values_list("project")
        .annotate(Count("pk"))
    )
    corrected = _corrected([project for project in projects if project.ask_correction])
    return {
        pk: _progress(
            counts.get(pk, empty), surplus.get(pk, 0), leases.get(pk, 0), corrected.get(pk)
        )
        for pk in names
    }


def _corrected(asking: list[Project]) -> dict[int, int]:
    if not asking:
        return {}
    names = [project.pk for project in asking]
    found = Judgment.objects.filter(_OF_WHAT_IS_IN, comparison__project__in=names, surplus=False)
    rows = found.exclude(corrections=[]).order_by().values_list("comparison__project")
    return {**dict.fromkeys(names, 0), **dict(rows.annotate(Count("pk")))}


def size(project: Project) -> int:
    """All comparisons, gold too: what annotators are told. It moves by no answer.

    Counting reads all comparisons of the project, so a process counts again only after
    COUNTS_LAST_TIMES as long as the last count took: at most a hundredth of its time goes into
    it. A project of hundreds is then current within a second, one of a million within a minute
    or so. While one request counts, the others of its process show the figure from before.
    """
    key = f"annotation.size.{project.pk}"
    kept: tuple[int, float] | None = cache.get(key)
    if kept and time.time() < kept[1]:
        return kept[0]
    claimed = cache.add(f"{key}.counting", True, LONGEST_COUNT_SECONDS)
    if kept and not claimed:
        return kept[0]
    try:
        began = time.monotonic()
        count = _count(project)
        fresh_seconds = COUNTS_LAST_TIMES * (time.monotonic() - began)
        cache.set(key, (count, time.time() + fresh_seconds), None)
    finally:
        cache.delete(f"{key}.counting")
    return count


def _count(project: Project) -> int:
    return Comparison.objects.filter(NOT_RETIRED, project=project).count()


def sizes(projects: list[Project]) -> dict[int, int]:
    """``size`` of each, by primary key; one query."""
    rows = Comparison.objects.filter(
        NOT_RETIRED, project__in=[one.pk for one in projects]
    ).order_by()
    found = dict(rows.values_list("project").annotate(Count("pk")))
    return {one.pk: found.get(one.pk, 0) for one in projects}


def _progress(
    counts: dict[str, Any], surplus: int, open_leases: int, corrected: int | None
) -> Progress:
    return Progress(
        corrected=corrected,
        comparisons=counts["comparisons"],
        judgments=counts["counted"],
        wanted=counts["wanted"],
        by_machine=counts["by_machine"],
        surplus=surplus,
        open_leases=open_leases,
        **{name: counts[name] for name in OUTCOMES},
    )


def _own_counts() -> dict[str, Count]:
    judged = Q(state=Assignment.State.JUDGED)
    return {
        "judged": Count("pk", filter=judged),
        "judged_today": Count("pk", filter=judged & Q(ended_at__gte=current_day_began())),
        "skipped": Count("pk", filter=Q(state=Assignment.State.SKIPPED)),
    }


def own_progress(project: Project, user: User) -> OwnProgress:
    """One query."""
    mine = Assignment.objects.filter(project=project, annotator=user)
    return OwnProgress(**mine.aggregate(**_own_counts()))


def own_progress_of_many(projects: list[Project], user: User) -> dict[int, OwnProgress]:
    """By primary key of the project; one query."""
    assignments = Assignment.objects.filter(project__in=[p.pk for p in projects], annotator=user)
    found = _own_by(assignments, "project")
    return {project.pk: found.get(project.pk, NOTHING) for project in projects}


def member_progress(project: Project) -> list[MemberProgress]:
    """One entry per member, in the order they joined; two queries."""
    found = _own_by(Assignment.objects.filter(project=project), "annotator")
    return [
        MemberProgress(
            user=membership.user,
            role=membership.role,
            paused=membership.paused,
            own=found.get(membership.user_id, NOTHING),
        )
        for membership in project.memberships.select_related("user")
    ]


def _own_by(assignments: QuerySet[Assignment], name: str) -> dict[int, OwnProgress]:
    rows: Any = assignments.order_by().values(name).annotate(**_own_counts())
    return {row.pop(name): OwnProgress(**row) for row in rows}
