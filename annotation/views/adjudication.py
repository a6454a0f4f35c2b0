"""The adjudication queue: one disputed comparison after another."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from annotation import access, adjudication
from annotation.forms.adjudication import DisputeFilterForm, RulingForm
from annotation.models import Comparison, Project
from annotation.views.shared import project_page, says_domain_errors
from config.requests import PersonRequest


@login_required
@require_GET
def queue(request: PersonRequest, slug: str) -> HttpResponse:
    """The oldest disputed comparison; ``?after=`` leaves one for later."""
    project = access.require(request.user, slug, "review")
    waiting = adjudication.disputed(project)
    form = DisputeFilterForm(request.GET)
    after = form.cleaned_data["after"] if form.is_valid() else None
    comparison = (waiting.filter(pk__gt=after).first() if after else None) or waiting.first()
    return _page(request, project, comparison, RulingForm())


@login_required
@require_POST
@says_domain_errors(back="disputes")
def rule(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    project = access.require(request.user, slug, "review")
    comparison = get_object_or_404(project.comparisons.select_related("prompt__image"), pk=pk)
    form = RulingForm(request.POST)
    if not form.is_valid():
        return _page(request, project, comparison, form, status=422)
    adjudication.rule(comparison, request.user, form.answer())
    messages.success(request, "Ruled. The ruling stands above the votes.")
    return redirect("annotation:disputes", slug)


def _page(
    request: PersonRequest,
    project: Project,
    comparison: Comparison | None,
    form: RulingForm,
    *,
    status: int = 200,
) -> HttpResponse:
    votes = adjudication.anonymous_votes(comparison) if comparison else []
    return project_page(
        request,
        project,
        "annotation/disputes.html",
        tab="disputes",
        comparison=comparison,
        votes=votes,
        spans=[span for vote in votes for span in vote.spans],
        corrected=any(vote.corrections for vote in votes),
        waiting=adjudication.disputed(project).count(),
        form=form,
        status=status,
    )
