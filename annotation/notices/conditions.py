"""What holds for a while: told once when it begins, and again only after it had ended.

Beat looks (``watch``); the moment at which it is seen is the event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy, ngettext_lazy

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
    title: str | Promise,
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
    holds(
        "disputes_waiting",
        number > 0,
        lambda: members(project, Role.REVIEWER, Role.MANAGER),
        title=ngettext_lazy(
            "%(number)s dispute waits for a ruling in %(project)s",
            "%(number)s disputes wait for a ruling in %(project)s",
            number,
        )
        % {"number": f"{number:,}", "project": project.name},
        link=reverse("annotation:disputes", args=[project.slug]),
        project=project,
    )
    share = done.judgments / done.wanted if done.wanted else 0.0
    holds(
        "project_nearly_done",
        share >= NEARLY,
        lambda: members(project),
        title=format_lazy(
            gettext_lazy("{project} is nearly done: {done} of {wanted} answers"),
            project=project.name,
            done=f"{done.judgments:,}",
            wanted=f"{done.wanted:,}",
        ),
        link=project.get_absolute_url(),
        over=share < NEARLY - 0.1,
        project=project,
    )
    _look_at_agreement(project, kept.data.get("agreement") or {})


def _signed(figure: float) -> str:
    return f"{figure:.2f}".replace("-", "\N{MINUS SIGN}")


def _look_at_agreement(project: Project, agreement: dict[str, Any]) -> None:
    alpha, low, high = (agreement.get(name) for name in ("alpha", "low", "high"))
    if alpha is None or low is None or high is None:
        return
    if (agreement.get("comparisons") or 0) < FEWEST_COMPARISONS:
        return
    holds(
        "agreement_low",
        high < AGREEMENT_BAR,
        lambda: members(project),
        title=format_lazy(
            gettext_lazy("Agreement in {project} is under {bar}: alpha {alpha} ({low} to {high})"),
            project=project.name,
            bar=AGREEMENT_BAR,
            **{name: _signed(agreement[name]) for name in ("alpha", "low", "high")},
        ),
        link=reverse("annotation:quality", args=[project.slug]),
        over=alpha >= AGREEMENT_BAR,
        project=project,
    )
