"""Comparisons as reviewers and managers see them: outcomes and votes, without names; and what
managers change of many at once."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from annotation import access, bulk_actions
from annotation.bulk_actions import Changed, NoSuchChange
from annotation.forms.comparisons import ComparisonChangeForm, ComparisonFilterForm
from annotation.models import Comparison
from annotation.models.work import Choice
from annotation.views.shared import (
    one_page,
    project_page,
    query_without_page,
    says_domain_errors,
)
from config.requests import PersonRequest


@login_required
@require_GET
def index(request: PersonRequest, slug: str) -> HttpResponse:
    project = access.require(request.user, slug, "review")
    form = ComparisonFilterForm(
        request.GET, project=project, manages=access.may(request.user, project, "manage")
    )
    rows = form.chosen(project).select_related("project", "prompt__image")
    return project_page(
        request,
        project,
        "annotation/comparisons.html",
        tab="comparisons",
        form=form,
        filtered=any(form.data.get(name) for name in form.fields),
        page=one_page(request, rows.order_by("id"), size=25),
        query=query_without_page(request),
        change_form=ComparisonChangeForm(),
    )


@login_required
@require_POST
@says_domain_errors("comparisons")
def change(request: PersonRequest, slug: str) -> HttpResponse:
    """Shows what would be changed of the ticked, or of all that the address finds; then does it."""
    project = access.require(request.user, slug, "manage")
    filtering = ComparisonFilterForm(request.GET, project=project, manages=True)
    form = ComparisonChangeForm(request.POST)
    if not filtering.is_valid() or not form.is_valid():
        raise NoSuchChange("What is to be changed could not be read; nothing was changed.")
    asked, wanted = form.cleaned_data, form.change()
    rows = filtering.chosen(project)
    if not asked["all"]:
        rows = rows.filter(pk__in=asked["comparison"])
    ids = bulk_actions.chosen(rows)
    if not ids:
        raise NoSuchChange("No comparison is chosen: tick some, or take all that were found.")
    if asked["sure"]:
        messages.success(request, _told(bulk_actions.carry_out(project, ids, wanted)))
        back = reverse("annotation:comparisons", args=[project.slug])
        return redirect(f"{back}?{query_without_page(request)}")
    return project_page(
        request,
        project,
        "annotation/change_comparisons.html",
        tab="comparisons",
        change=wanted,
        foreseen=bulk_actions.foreseen(project, ids, wanted),
        sent=[(name, value) for name in form.fields for value in request.POST.getlist(name)],
        query=query_without_page(request),
    )


def _told(done: Changed) -> str:
    left = ", ".join(f"{number:,} ({why})" for why, number in done.left.items())
    changed = "1 comparison is" if done.changed == 1 else f"{done.changed:,} comparisons are"
    return f"{changed} changed." + (f" As before: {left}." if left else "")


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
