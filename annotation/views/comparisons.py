"""Comparisons as reviewers and managers see them: outcomes and votes, without names."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from annotation import access
from annotation.forms.comparisons import ComparisonFilterForm
from annotation.models import Comparison
from annotation.models.work import Choice
from annotation.views.shared import one_page, project_page, query_without_page
from config.requests import PersonRequest


@login_required
@require_GET
def index(request: PersonRequest, slug: str) -> HttpResponse:
    project = access.require(request.user, slug, "review")
    form = ComparisonFilterForm(
        request.GET, project=project, manages=access.may(request.user, project, "manage")
    )
    rows = Comparison.objects.filter(project=project).select_related("project", "prompt__image")
    return project_page(
        request,
        project,
        "annotation/comparisons.html",
        tab="comparisons",
        form=form,
        filtered=any(form.data.get(name) for name in form.fields),
        page=one_page(request, form.chosen(rows, project).order_by("id"), size=25),
        query=query_without_page(request),
    )


@login_required
@require_GET
def detail(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    project = access.require(request.user, slug, "review")
    rows = Comparison.objects.filter(project=project).select_related(
        "prompt__image", "adjudication__adjudicator"
    )
    comparison = get_object_or_404(rows, pk=pk)
    judgments = comparison.judgments.select_related("assignment").order_by("created_at", "id")
    skips = comparison.assignments.filter(state="skipped")
    return project_page(
        request,
        project,
        "annotation/comparison.html",
        tab="comparisons",
        comparison=comparison,
        prompt=comparison.prompt,
        image=comparison.prompt.image,
        judgments=judgments,
        spans=[*comparison.imported_spans, *(span for one in judgments for span in one.spans)],
        corrected=any(one.corrections for one in (*judgments,))
        or bool(comparison.imported_corrections),
        skips=skips,
        example=comparison.worked_examples.filter(removed_in__isnull=True).exists(),
        gold_choices=Choice.choices,
    )
