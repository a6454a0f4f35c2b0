"""The report card of a reward model, and asking for it."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from annotation import access as projects_access
from annotation.access import Permission
from annotation.errors import DomainError
from benchmark import access
from benchmark.models import Evaluation, ReportCard
from benchmark.report_cards import showing
from benchmark.report_cards.kind import holds_pairs_out, request_report


@login_required
@require_http_methods(["GET", "POST"])
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """The card, or how to get one; with POST a run that makes it."""
    checkpoint = access.reward_model(request.user, pk)
    assert checkpoint.run is not None
    if request.method == "POST":
        projects_access.require(request.user, checkpoint.run.project, Permission.MANAGE)
        try:
            return redirect(request_report(checkpoint, request.user))
        except DomainError as error:
            messages.error(request, str(error))
            return redirect("benchmark:report-card", pk)
    report = ReportCard.objects.filter(checkpoint=checkpoint).select_related("run").first()
    evaluations: list[Evaluation] = list(
        access.evaluations(request.user).scored().with_origin().filter(checkpoint=checkpoint)[:8]
    )
    context = {
        "checkpoint": checkpoint,
        "report": report,
        "has_held_out": holds_pairs_out(checkpoint.run),
        "evaluations": evaluations,
        "may_manage": projects_access.may(request.user, checkpoint.run.project, Permission.MANAGE),
        **(showing.card(report) if report else {}),
    }
    return render(request, "benchmark/report_card.html", context)
