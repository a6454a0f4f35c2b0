"""Guidelines as everybody reads them, by version, and their worked examples."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import get_language
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation import access
from annotation.answers import SPAN_KINDS, InvalidAnswer
from annotation.forms.guidelines import AcknowledgementForm, ExampleForm, VersionForm
from annotation.models import Comparison
from annotation.onboarding import guidelines
from annotation.views.shared import project_page, says_domain_errors
from config.requests import PersonRequest

GUIDE = Path(guidelines.__file__).with_name("annotator-guide.md")


@cache
def guide_text(language: str = "") -> str:
    """The annotator's guide without its title, in English where ``language`` has none.

    The documents have the English file.
    """
    own = GUIDE.with_suffix(f".{language}.md")
    text = (own if own.exists() else GUIDE).read_text(encoding="utf-8")
    return text.partition("\n")[2]


@login_required
@require_GET
def guide(request: PersonRequest) -> HttpResponse:
    """How annotating goes, whatever the project."""
    return render(request, "annotation/guide.html", {"text": guide_text(get_language() or "")})


@login_required
@require_GET
def page(request: PersonRequest, slug: str) -> HttpResponse:
    """The newest version, or the one of ``?version=``; to managers also what waits for the next."""
    project = access.require(request.user, slug, "see")
    form = VersionForm(request.GET)
    shown = guidelines.at(project, form.cleaned_data["version"]) if form.is_valid() else None
    if shown is None:
        raise Http404
    manages = access.may(request.user, project, "manage")
    return project_page(
        request,
        project,
        "annotation/guidelines.html",
        tab="guidelines",
        shown=shown,
        newest=shown.number == project.guidelines_version,
        earlier=project.superseded_guidelines.only("version", "replaced_at"),
        pending=list(guidelines.pending(project)) if manages else [],
    )


@login_required
@require_http_methods(["GET", "POST"])
@says_domain_errors(back="guidelines")
def example(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    """Makes a worked example of a comparison."""
    project = access.require(request.user, slug, "manage")
    rows = Comparison.objects.select_related("prompt__image").filter(project=project)
    comparison = get_object_or_404(rows, pk=pk)
    known = {
        "more_hallucinated": comparison.gold_more_hallucinated,
        "why": comparison.gold_explanation,
    }
    form = ExampleForm(request.POST or None, initial=known)
    if request.method == "POST" and form.is_valid():
        try:
            guidelines.draft(comparison, request.user, **form.cleaned_data)
        except InvalidAnswer as error:
            form.add_error(None, f"{error.extra.get('field', 'answer')}: {error.detail}")
        else:
            messages.success(request, "Added. Annotators see it once you publish the next version.")
            return redirect("annotation:guidelines", slug)
    return project_page(
        request,
        project,
        "annotation/example.html",
        tab="guidelines",
        form=form,
        comparison=comparison,
        prompt=comparison.prompt,
        image=comparison.prompt.image,
        spans=json.dumps(form.cleaned_data.get("spans") or []) if form.is_bound else "[]",
        span_kinds=SPAN_KINDS,
        status=422 if form.errors else 200,
    )


@login_required
@require_POST
def remove(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    project = access.require(request.user, slug, "manage")
    standing = project.worked_examples.filter(removed_in__isnull=True)
    guidelines.remove(get_object_or_404(standing, pk=pk))
    return redirect("annotation:guidelines", slug)


@login_required
@require_POST
@says_domain_errors(back="guidelines")
def publish(request: PersonRequest, slug: str) -> HttpResponse:
    project = access.require(request.user, slug, "manage")
    version = guidelines.publish(project)
    messages.success(request, f"Version {version} stands; everybody is asked to read it.")
    return redirect("annotation:guidelines", slug)


@login_required
@require_POST
@says_domain_errors(back="label")
def acknowledge(request: PersonRequest, slug: str) -> HttpResponse:
    project = access.require(request.user, slug, "annotate")
    form = AcknowledgementForm(request.POST)
    if form.is_valid():
        guidelines.acknowledge(project, request.user, form.cleaned_data["version"])
    return redirect("annotation:label", slug)
