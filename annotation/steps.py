"""The way of a project from its first import to a score: which steps are done, told by its data.

The steps that follow a release belong to other apps; each registers its own when it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.urls import reverse

from annotation.models import Comparison, Membership, Project, Release
from annotation.progress import NOT_RETIRED


@dataclass(frozen=True)
class Step:
    """A step of every project; ``done`` is a condition on rows of Project."""

    title: str
    purpose: str
    address: Callable[[Project], str]
    done: Q | Exists


@dataclass(frozen=True)
class Taken:
    """A step of one project. ``is_next``: the first of those that are not done."""

    title: str
    purpose: str
    address: str
    done: bool
    is_next: bool


_steps: list[Step] = []


def register(*steps: Step) -> None:
    """They come after all that are registered already."""
    _steps.extend(steps)


def of(projects: Sequence[Project]) -> dict[int, list[Taken]]:
    """All steps of each project in their order, by its primary key; one query."""
    conditions = {f"step_{place}": _truth(step.done) for place, step in enumerate(_steps)}
    rows = Project.objects.filter(pk__in=[one.pk for one in projects]).order_by()
    done = {pk: each for pk, *each in rows.values_list("pk").annotate(**conditions)}
    return {one.pk: _of_one(one, done[one.pk]) for one in projects if one.pk in done}


def _truth(condition: Q | Exists) -> Case:
    return Case(When(condition, then=Value(True)), default=Value(False))


def _of_one(project: Project, done: Sequence[bool]) -> list[Taken]:
    following = list(done).index(False) if False in done else None
    return [
        Taken(step.title, step.purpose, step.address(project), is_done, place == following)
        for place, (step, is_done) in enumerate(zip(_steps, done, strict=True))
    ]


def page(route: str) -> Callable[[Project], str]:
    """The address of a page of the project."""
    return lambda project: reverse(route, args=[project.slug])


# ---- the steps of annotation -------------------------------------------------------------------


def register_own() -> None:
    of_project = Comparison.objects.filter(project=OuterRef("pk")).order_by()
    work = of_project.filter(NOT_RETIRED, gold_more_hallucinated="")
    members: QuerySet[Membership] = Membership.objects.filter(project=OuterRef("pk"))
    register(
        Step(
            "Import comparisons",
            "Prompts with two answers each, and their images.",
            page("annotation:imports"),
            Exists(work),
        ),
        Step(
            "Write guidelines",
            "What counts as a hallucination here. Everybody reads them before the first answer.",
            page("annotation:project-edit"),
            ~Q(guidelines=""),
        ),
        Step(
            "Invite people",
            "Agreement can be measured from two people on.",
            page("annotation:members"),
            Exists(members.filter(project__memberships__pk__gt=F("pk"))),
        ),
        Step(
            "Label",
            "Done when no comparison waits for an answer.",
            page("annotation:label"),
            Exists(work) & ~Exists(work.filter(outcome=Comparison.Outcome.WAITING)),
        ),
        Step(
            "Make a release",
            "Freezes what is decided for training. It need not wait for the last answer.",
            page("annotation:releases"),
            Exists(Release.objects.filter(project=OuterRef("pk"), state=Release.State.READY)),
        ),
    )
