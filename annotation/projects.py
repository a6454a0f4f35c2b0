"""Projects as their members see them: how far they are, who takes part, and changes of settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count, F, IntegerField, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from annotation import leases
from annotation.access import AnyUser
from annotation.models import Comparison, Judgment, Membership, Project, User
from annotation.models.projects import Role

Outcome = Comparison.Outcome


@dataclass(frozen=True)
class Progress:
    """Counts of one project; ``mine`` are the judgments of the person who asks."""

    comparisons: int
    waiting: int
    decided: int
    undecided: int
    disputed: int
    judgments: int
    wanted: int
    mine: int

    @property
    def settled(self) -> int:
        """Comparisons with an outcome, whichever it is."""
        return self.comparisons - self.waiting


def progress(project: Project, user: AnyUser) -> Progress:
    """Two queries, whatever the size of the project."""
    by_outcome = {f"{one}": Count("id", filter=Q(outcome=one)) for one in Outcome.values}
    counts = Comparison.objects.filter(project=project).aggregate(
        comparisons=Count("id"),
        judgments=Coalesce(Sum("judgment_count"), 0),
        wanted=Coalesce(Sum("wanted_judgments"), 0),
        **by_outcome,
    )
    mine = Judgment.objects.filter(assignment__project=project, assignment__annotator=user.pk)
    return Progress(mine=mine.count(), **counts)


def with_progress(projects: QuerySet[Project], user: AnyUser) -> QuerySet[Project]:
    """Each project with ``comparison_total``, ``settled_total``, ``judged_by_me``, ``my_role``."""
    comparisons = Comparison.objects.filter(project=OuterRef("pk"))
    settled = comparisons.exclude(outcome=Outcome.WAITING)
    mine = Judgment.objects.filter(
        assignment__project=OuterRef("pk"), assignment__annotator=user.pk
    )
    membership = Membership.objects.filter(project=OuterRef("pk"), user=user.pk)
    return projects.annotate(
        comparison_total=_count(comparisons, "project"),
        settled_total=_count(settled, "project"),
        judged_by_me=_count(mine, "assignment__project"),
        my_role=Subquery(membership.values("role")[:1]),
    )


def _count(rows: QuerySet[Any], group: str) -> Coalesce:
    # A subquery each: joined counts would multiply.
    counted = rows.order_by().values(group).annotate(total=Count("pk")).values("total")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def people(project: Project) -> QuerySet[Membership]:
    """Members with ``judged`` and ``last_judged_at``, those who judged most first."""
    judged = Judgment.objects.filter(
        assignment__project=project, assignment__annotator=OuterRef("user")
    )
    last = judged.order_by().values("assignment__annotator").annotate(at=Max("created_at"))
    return (
        Membership.objects.filter(project=project)
        .select_related("user")
        .annotate(
            judged=_count(judged, "assignment__annotator"),
            last_judged_at=Subquery(last.values("at")),
        )
        .order_by(F("judged").desc(), "user__username")
    )


def create(project: Project, *, manager: User) -> Project:
    """Stores a new project with its first member."""
    with transaction.atomic():
        project.created_by = manager
        project.save()
        Membership.objects.create(project=project, user=manager, role=Role.MANAGER)
    return project


def change(project: Project, settings: dict[str, Any]) -> None:
    """Stores changed settings: new guidelines get a new version, waiting work the new overlap."""
    stored = Project.objects.get(pk=project.pk)
    overlap = {name: settings[name] for name in ("judgments_per_comparison", "max_judgments")}
    plain = {k: v for k, v in settings.items() if k not in {"guidelines", *overlap}}
    with transaction.atomic():
        for name, value in plain.items():
            setattr(stored, name, value)
        stored.save(update_fields=list(plain))
        stored.change_guidelines(settings["guidelines"])
        if any(getattr(stored, name) != value for name, value in overlap.items()):
            leases.change_overlap(
                stored,
                usual=settings["judgments_per_comparison"],
                maximum=settings["max_judgments"],
            )
