"""The quality of a project's answers: figures, plots, what to do, and making gold."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Page
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from annotation import access, gold_and_repeats
from annotation.blindness import is_blind
from annotation.forms.quality import GoldForm, PromoteForm
from annotation.models import User, WorkDay
from annotation.quality.annotator_report import annotator_report
from annotation.quality.plots import Plot, Point, line
from annotation.quality.project_report import Person, Report, report
from annotation.views.shared import one_page, project_page, says_domain_errors
from config.requests import PersonRequest

MOST_DRAWN = 12


@login_required
@require_GET
def page(request: PersonRequest, slug: str) -> HttpResponse:
    project = access.require(request.user, slug, "review")
    found = report(project)
    people = one_page(request, found.people)
    return project_page(
        request,
        project,
        "annotation/quality.html",
        tab="quality",
        report=found,
        people=people,
        charts=_charts(people),
        drawn=MOST_DRAWN,
        weeks=_weeks(found),
        gold_count=project.comparisons.exclude(gold_more_hallucinated="").count(),
        form=PromoteForm(),
    )


@login_required
@require_GET
def annotator(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    """One person's figures over time, for reviewers and for themselves."""
    own = request.user.pk == pk
    project = access.require(request.user, slug, "see" if own else "review")
    blind = is_blind(request.user, project)
    worked = WorkDay.objects.filter(project=project, annotator=pk).exists()
    if not worked and not project.memberships.filter(user=pk).exists():
        raise Http404
    return project_page(
        request,
        project,
        "annotation/annotator.html",
        tab="quality",
        own=own,
        blind=blind,
        report=annotator_report(project, get_object_or_404(User, pk=pk), own=blind),
    )


@login_required
@require_POST
def promote(request: PersonRequest, slug: str) -> HttpResponse:
    """Makes gold of comparisons that all agreed about."""
    project = access.require(request.user, slug, "manage")
    form = PromoteForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Give a number from 1 to 1,000.")
    else:
        made = gold_and_repeats.promote_unanimous(project, most=form.cleaned_data["most"])
        plural = "" if made == 1 else "s"
        messages.success(request, f"{made} comparison{plural} with one opinion became gold.")
    return redirect("annotation:quality", slug)


@login_required
@require_POST
@says_domain_errors(back="quality")
def gold(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    """States the known answer of a comparison, or withdraws it when none is given."""
    project = access.require(request.user, slug, "manage")
    comparison = get_object_or_404(project.comparisons, pk=pk)
    form = GoldForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose response 1, response 2 or about the same.")
    elif form.cleaned_data["more_hallucinated"]:
        gold_and_repeats.make_gold(comparison, **form.cleaned_data)
        messages.success(request, "It is a gold comparison now.")
    else:
        gold_and_repeats.withdraw_gold(comparison)
        messages.success(request, "It is an ordinary comparison again.")
    return redirect("annotation:comparison", slug, pk)


def _charts(shown: Page[Person]) -> dict[str, Any]:
    right = [("Right on gold", "gold"), ("Same answer again", "consistent")]
    bias = [("Names the first shown", "first_named"), ("Favours the longer", "longer_won")]
    people = list(shown)[:MOST_DRAWN]
    return {
        "right": _bars("share of answers", right, people),
        "bias": _bars("share of answers that name a response", bias, people),
    }


def _weeks(found: Report) -> Plot | None:
    """Agreement over time; nothing for a single week."""
    points = [
        Point(one["week"], one["alpha"], one["low"], one["high"], one["comparisons"])
        for one in found.weeks
        if one["alpha"] is not None
    ]
    below = any((point.low or 0) < 0 for point in points)
    note = "Krippendorff's alpha by the week of the first vote"
    if len(points) < 2:
        return None
    title, bottom = "Agreement over time", -1.0 if below else 0.0
    return line(title, note, points, unit="alpha", top=1.0, bottom=bottom, counted="Comparisons")


def _bars(label: str, series: list[tuple[str, str]], people: list[Person]) -> dict[str, Any]:
    return {
        "label": label,
        "min": 0,
        "max": 1,
        "categories": [one.user.username for one in people if one.user],
        "series": [
            {
                "name": title,
                "values": [getattr(one, name).value for one in people],
                "low": [_end(getattr(one, name), 0) for one in people],
                "high": [_end(getattr(one, name), 1) for one in people],
            }
            for title, name in series
        ],
    }


def _end(share: Any, side: int) -> float | None:
    return share.interval[side] if share.whole else None
