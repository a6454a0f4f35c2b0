"""The start page: what waits for a person, and what came of it last.

Annotators start with their projects, which say all that they may know. Whoever reviews a project
sees its disputes, runs and scores here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotation import access, projects, steps
from annotation.models import User
from annotation.models.projects import Role
from annotation.notices import choosing
from annotation.projects import Card
from benchmark import access as benchmark_access
from benchmark.judging import by_hand
from config.requests import PersonRequest
from training import visibility

NEWEST = 5
MOST_PROJECTS = 50
"""Of which what waits is told; whoever has more looks at the list of projects."""


@dataclass(frozen=True)
class Waiting:
    """Something that a person can do now; ``detail`` says where or how much."""

    title: str
    detail: str
    address: str


@login_required
@require_GET
@never_cache
def home(request: PersonRequest) -> HttpResponse:
    user = request.user
    if not access.projects_where(user, access.Permission.REVIEW).exists():
        return redirect("annotation:projects")
    cards = projects.cards(user, list(access.projects(user, archived=False)[:MOST_PROJECTS]))
    context = {
        "waiting": list(_waiting(user, cards)),
        "runs": visibility.runs(user).listed().with_context().order_by("-created_at")[:NEWEST],
        "evaluations": benchmark_access.evaluations(user).scored().with_origin()[:NEWEST],
    }
    return render(request, "home.html", context)


def _waiting(user: User, cards: Sequence[Card]) -> Iterator[Waiting]:
    """In the order in which others wait for it."""
    unread = choosing.unread(user)
    if unread:
        detail = f"{unread:,} unread"
        yield Waiting("Notices", detail, reverse("annotation:notices"))
    for card in cards:
        disputed = card.progress.disputed if card.progress else 0
        if disputed:
            detail = f"{disputed:,} disputed comparison{pluralize(disputed)}"
            address = reverse("annotation:disputes", args=[card.project.slug])
            yield Waiting(f"Rule in {card.project.name}", detail, address)
    for judge, count in by_hand.waiting_by_judge(benchmark_access.evaluations(user)):
        detail = f"{count:,} answer{pluralize(count)} of models"
        yield Waiting(f"Rate as {judge}", detail, reverse("benchmark:rate", args=[judge.pk]))
    yield from _next_steps(cards)
    for card in cards:
        if card.project.state == "open" and card.progress and card.progress.waiting:
            waits = card.progress.waiting
            detail = f"{waits:,} comparison{pluralize(waits)} wait{pluralize(waits, 's,')}"
            address = reverse("annotation:label", args=[card.project.slug])
            yield Waiting(f"Label in {card.project.name}", detail, address)


def _next_steps(cards: Sequence[Card]) -> Iterator[Waiting]:
    """What a manager would do next in each project; labelling is told apart."""
    managed = [one.project for one in cards if one.role in (Role.MANAGER, None)]
    label = {one.pk: reverse("annotation:label", args=[one.slug]) for one in managed}
    taken = steps.of(managed)
    for project in managed:
        for step in taken[project.pk]:
            if step.is_next and step.address != label[project.pk]:
                yield Waiting(step.title, f"next in {project.name}", step.address)
