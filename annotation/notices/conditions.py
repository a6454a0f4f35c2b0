"""What holds for a while: told once when it begins, and again only after it had ended.

Beat looks (``watch``); the moment at which it is seen is the event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.urls import reverse

from annotation.models import Comparison, Condition, Figures, Judgment, Project, User
from annotation.models.projects import Role
from annotation.notices.writing import members, tell
from annotation.quality import figures

NEARLY = 0.9
"""Of the wanted answers."""
AGREEMENT_BAR = 0.4
"""An alpha that is surely below is at most fair (Landis and Koch 1977)."""
FEWEST_COMPARISONS = 20
"""Answered by two people, before agreement is told of."""


def holds(
    kind: str,
    now: bool,
    people: Callable[[], list[User]],
    *,
    title: str,
    link: str,
    project: Project | None = None,
    over: bool | None = None,
) -> None:
    """Tells of ``kind`` when it begins to hold. ``over``: when it has ended (not ``now`` unless
    given), a little apart from where it begins, so that nobody is told at each swing."""
    key = f"{kind}:{project.pk if project else 'site'}"
    ended = not now if over is None else over
    with transaction.atomic():
        if now:
            begun, is_new = Condition.objects.get_or_create(key=key)
            if is_new:
                event = f"{key}:{begun.pk}"
                tell(kind, people(), event=event, title=title, link=link, project=project)
        elif ended:
            Condition.objects.filter(key=key).delete()


def watch() -> None:
    """Looks at every open project, by its kept figures, counted anew where they are old."""
    for project in Project.objects.filter(state=Project.State.OPEN).order_by("pk").iterator():
        kept = Figures.objects.filter(project=project).first()
        if kept is None or kept.as_of is None or _answered_since(kept):
            kept = figures.current(project)
        if kept.as_of is not None:
            _look(project, kept)


def _answered_since(kept: Figures) -> bool:
    given = Judgment.objects.filter(assignment__project=kept.project_id)
    return given.filter(changed_at__gt=kept.as_of).exists()


def _look(project: Project, kept: Figures) -> None:
    done = figures.progress(kept)
    disputed = Comparison.objects.filter(project=project, outcome=Comparison.Outcome.DISPUTED)
    number = disputed.count()
    wait = "1 dispute waits" if number == 1 else f"{number:,} disputes wait"
    holds(
        "disputes_waiting",
        number > 0,
        lambda: members(project, Role.REVIEWER, Role.MANAGER),
        title=f"{wait} for a ruling in {project.name}",
        link=reverse("annotation:disputes", args=[project.slug]),
        project=project,
    )
    share = done.judgments / done.wanted if done.wanted else 0.0
    holds(
        "project_nearly_done",
        share >= NEARLY,
        lambda: members(project),
        title=f"{project.name} is nearly done: {done.judgments:,} of {done.wanted:,} answers",
        link=project.get_absolute_url(),
        over=share < NEARLY - 0.1,
        project=project,
    )
    _look_at_agreement(project, kept.data.get("agreement") or {})


def _look_at_agreement(project: Project, agreement: dict[str, Any]) -> None:
    alpha, low, high = (agreement.get(name) for name in ("alpha", "low", "high"))
    if alpha is None or low is None or high is None:
        return
    if (agreement.get("comparisons") or 0) < FEWEST_COMPARISONS:
        return
    told = f"alpha {alpha:.2f} ({low:.2f} to {high:.2f})".replace("-", "\N{MINUS SIGN}")
    holds(
        "agreement_low",
        high < AGREEMENT_BAR,
        lambda: members(project),
        title=f"Agreement in {project.name} is under {AGREEMENT_BAR}: {told}",
        link=reverse("annotation:quality", args=[project.slug]),
        over=alpha >= AGREEMENT_BAR,
        project=project,
    )
