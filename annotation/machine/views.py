"""Pages of machine labels: asking for them, their certificate, and their end.

Which comparisons are in the sample, and what the machine says of them, is shown once the sample is
decided: whoever reviews may annotate too. How much of it is settled is shown before to managers
alone who do not annotate in the project.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation import access
from annotation.errors import DomainError
from annotation.machine import deciding, disclosure, labellers, labelling
from annotation.machine.forms import ActionForm, LabellingForm
from annotation.machine.stages import DECIDED, RIGHT, SETTLED, Use
from annotation.models import MachineLabel, MachineLabelling
from annotation.views.shared import one_page, project_page, says_domain_errors
from config.requests import PersonRequest

ON_A_PAGE = 25


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def index(request: PersonRequest, slug: str) -> HttpResponse:
    """The labellings of a project; asking for a new one."""
    needed = "manage" if request.method == "POST" else "review"
    project = access.require(request.user, slug, needed)
    form = LabellingForm(request.POST or None, project=project)
    if request.method == "POST" and form.is_valid():
        try:
            return redirect(labelling.request(project, request.user, **form.options()))
        except DomainError as error:
            field = error.extra.get("field", "")
            form.add_error(field if field in form.fields else None, error.detail)
    return project_page(
        request,
        project,
        "annotation/machine/index.html",
        tab="machine",
        form=form,
        machines=[choice for _, choice in form.machines.values()],
        candidates=labelling.candidates(project).count(),
        page=one_page(request, project.machine_labellings.order_by("-number")),
        status=422 if form.errors else 200,
    )


@login_required
@require_GET
@never_cache
def detail(request: PersonRequest, slug: str, number: int) -> HttpResponse:
    """One labelling: how far it is, then its certificate and what people say since."""
    project = access.require(request.user, slug, "review")
    found = get_object_or_404(
        project.machine_labellings.select_related("created_by"), number=number
    )
    found.project = project
    context: dict[str, Any] = {
        "labelling": found,
        "told": labellers.of(found).told(found),
        "sample": (
            deciding.sample_progress(found)
            if disclosure.may_follow_sample(request.user, project)
            else None
        ),
        "page": one_page(request, contradicted(found), size=ON_A_PAGE),
        "decided": found.state in DECIDED,
        "taken_out": deciding.taken_out(found) if found.state in DECIDED else None,
        "may_manage": access.may(request.user, project, "manage"),
    }
    if request.htmx:
        context["project"] = project
        return render(request, "annotation/machine/_labelling.html", context)
    return project_page(
        request, project, "annotation/machine/detail.html", tab="machine", **context
    )


def contradicted(found: MachineLabelling) -> QuerySet[MachineLabel]:
    """Labels of sample and audit that people settled otherwise, the surest first."""
    if found.state not in DECIDED:
        return MachineLabel.objects.none()
    rows = found.labels.filter(SETTLED, use__in=[Use.SAMPLE, Use.AUDIT], confidence__isnull=False)
    rows = rows.exclude(RIGHT).select_related("comparison__project", "comparison__prompt__image")
    return rows.order_by("-confidence", "pk")


@login_required
@require_POST
@never_cache
@says_domain_errors(back="machine-labels")
def act(request: PersonRequest, slug: str, number: int) -> HttpResponse:
    """Cancels, resumes, decides by the sample as it is, or withdraws."""
    project = access.require(request.user, slug, "manage")
    found = get_object_or_404(project.machine_labellings, number=number)
    found.project = project
    form = ActionForm(request.POST)
    if not form.is_valid():
        return HttpResponse("Unknown action.", status=422, content_type="text/plain")
    messages.success(request, carry_out(found, form.cleaned_data["action"], request.user.username))
    return redirect(found)


def carry_out(found: MachineLabelling, action: str, who: str) -> str:
    """One of ``forms.ACTIONS``; what to say of it. Raises NotAtThisStage and what resuming does."""
    if action == "withdraw":
        number = deciding.withdraw(found, reason=f"{who} withdrew it.")
        return f"Withdrawn: {number:,} comparisons are with people again."
    do: dict[str, tuple[Any, str]] = {
        "cancel": (labelling.cancel, "Cancelled. What people have answered stays."),
        "resume": (labelling.resume, "The machine goes on with what it has not answered."),
        "decide": (deciding.decide, "Decided by the sample as it is."),
    }
    carry, said = do[action]
    carry(found)
    return said
