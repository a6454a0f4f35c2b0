"""Projects: the list, the overview, making one and changing its settings."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from annotation import access, projects, steps
from annotation.blindness import is_blind
from annotation.dashboard import Dashboard, dashboard
from annotation.forms.projects import ProjectForm
from annotation.models import Project
from annotation.models.projects import LONGEST_GUIDELINES
from annotation.progress import own_progress, size
from annotation.quality import plots
from annotation.views.shared import one_page, project_page, query_without_page
from config.requests import PersonRequest

PROJECTS_ON_A_PAGE = 24


@login_required
@require_GET
def index(request: PersonRequest) -> HttpResponse:
    away = request.GET.get("archived") == "only"
    listed = access.projects(request.user, archived=away)
    page = one_page(request, listed, size=PROJECTS_ON_A_PAGE)
    context = {
        "away": away,
        "put_away": access.projects(request.user, archived=True).count(),
        "query": query_without_page(request),
        "page": page,
        "cards": projects.cards(request.user, list(page)),
        "may_create": access.may_create_projects(request.user),
    }
    return render(request, "annotation/projects.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def create(request: PersonRequest) -> HttpResponse:
    access.require_project_creation(request.user)
    form, preview = ProjectForm(request.POST or None), _preview(request)
    if request.method == "POST" and preview is None and form.is_valid():
        project = projects.create(form.save(commit=False), manager=request.user)
        messages.success(request, f"{project.name} is made. Next: import comparisons.")
        return redirect("annotation:imports", project.slug)
    context = {"form": form, "preview": preview}
    status = 200 if preview is not None else _status(form)
    return render(request, "annotation/project_new.html", context, status=status)


@login_required
@require_GET
def detail(request: PersonRequest, slug: str) -> HttpResponse:
    """The overview; those who review see throughput, agreement and forecast as well."""
    project = access.require(request.user, slug, "see")
    found = None if is_blind(request.user, project) else dashboard(project)
    return project_page(
        request,
        project,
        "annotation/project.html",
        tab="overview",
        dashboard=found,
        people=one_page(request, found.people) if found else [],
        plots=_plots(found) if found else [],
        progress=found.progress if found else None,
        size=size(project),
        own=own_progress(project, request.user),
        releases=project.releases.listed().order_by("-number")[:3],
        steps=_steps(request, project),
    )


def _steps(request: PersonRequest, project: Project) -> list[steps.Taken]:
    """Those of a project that is not yet through; they are its managers' to take."""
    if not access.may(request.user, project, "manage"):
        return []
    taken = steps.of([project])[project.pk]
    return [] if all(step.done for step in taken) else taken


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: PersonRequest, slug: str) -> HttpResponse:
    project = access.require(request.user, slug, "manage")
    form, preview = ProjectForm(request.POST or None, instance=project), _preview(request)
    if request.method == "POST" and preview is None and form.is_valid():
        projects.change(project, form.cleaned_data)
        messages.success(request, "Settings saved.")
        return redirect(project)
    return project_page(
        request,
        project,
        "annotation/project_edit.html",
        tab="settings",
        form=form,
        preview=preview,
        status=200 if preview is not None else _status(form),
    )


def _preview(request: PersonRequest) -> str | None:
    """The guidelines as they would be read, where that is asked for; nothing is stored then."""
    if "preview" not in request.POST:
        return None
    return request.POST.get("guidelines", "")[:LONGEST_GUIDELINES]


def _plots(found: Dashboard) -> list[plots.Plot]:
    answers = [(one.day, float(one.answers)) for one in found.days]
    hours = [(one.day, one.active_hours) for one in found.days]
    note = f"all annotators; days in {settings.TIME_ZONE}, today is not over"
    drawn = [plots.bars("Answers a day", note, answers)]
    if any(value for _, value in hours):  # Programs send answers without a time.
        drawn.append(plots.bars("Active hours a day", "page visible and in use", hours, digits=1))
    return drawn


def _status(form: ProjectForm) -> int:
    return 422 if form.is_bound and form.errors else 200
