"""Gold by corruption: one draft after another, read and edited beside its image."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from annotation import access
from annotation.forms.quality import CorruptedForm, DraftFilterForm
from annotation.models import Comparison, Project
from annotation.quality import corrupted_gold
from annotation.quality.corruption import Corruption, Kind
from annotation.views.shared import project_page, says_domain_errors
from config.requests import PersonRequest


@login_required
@require_GET
def draft(request: PersonRequest, slug: str) -> HttpResponse:
    """The next draft; ``?after=`` leaves one out, ``?kind=`` asks for one kind of mistake."""
    project = access.require(request.user, slug, "manage")
    asked = DraftFilterForm(request.GET)
    given = asked.cleaned_data if asked.is_valid() else {}
    after, kind = given.get("after") or 0, given.get("kind") or ""
    found = corrupted_gold.next_draft(project, after=after, kind=kind)
    if found is None:
        return _page(request, project, None, [], None, kind=kind)
    comparison, drafts = found
    chosen = next((one for one in drafts if one.kind == kind), drafts[0])
    initial = {"text": chosen.text, "explanation": chosen.explanation, "kind": kind}
    form = CorruptedForm(initial=initial)
    return _page(request, project, comparison, drafts, form, kind=kind, chosen=chosen)


@login_required
@require_POST
@says_domain_errors(back="corrupted")
def make(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    project = access.require(request.user, slug, "manage")
    rows = project.comparisons.select_related("project", "prompt__image")
    comparison = get_object_or_404(rows, pk=pk)
    form = CorruptedForm(request.POST)
    if not form.is_valid():
        return _page(request, project, comparison, [], form, status=422)
    text, explanation = form.cleaned_data["text"], form.cleaned_data["explanation"]
    _, created = corrupted_gold.make_corrupted(comparison, text, explanation=explanation)
    messages.success(request, "A gold comparison was made." if created else "It is there already.")
    query = urlencode({"after": pk, "kind": form.cleaned_data["kind"]})
    return redirect(f"{reverse('annotation:corrupted', args=[slug])}?{query}")


def _page(
    request: PersonRequest,
    project: Project,
    comparison: Comparison | None,
    drafts: list[Corruption],
    form: CorruptedForm | None,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    gold = project.comparisons.exclude(gold_more_hallucinated="")
    return project_page(
        request,
        project,
        "annotation/corrupted.html",
        tab="quality",
        comparison=comparison,
        right=corrupted_gold.better_response(comparison) if comparison else "",
        drafts=drafts,
        kinds=[kind.value for kind in Kind],
        form=form,
        gold_count=gold.count(),
        made_count=gold.filter(source__startswith=corrupted_gold.SOURCE).count(),
        status=status,
        **more,
    )
