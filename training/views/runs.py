"""The list of runs and the page of one, whole and in the parts that are polled."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation import access
from training import visibility
from training.chain_form import trainable_releases
from training.checkpoints import lineage, warnings
from training.figures import columns as columns_of
from training.figures import comparing, curves, run_table
from training.figures import samples as samples_of
from training.figures.run_table import Order
from training.forms import RunFilterForm
from training.models import ENDED_BADLY, Run, State
from training.runs import cloning, kinds, organising, requests, scheduling

RUNS_ON_A_PAGE = 25
STEPS_TO_CHOOSE_FROM = 12


@login_required
@require_GET
@never_cache
def runs(request: HttpRequest) -> HttpResponse:
    """The runs that the person may see, alone or in groups; the list alone for htmx's polling."""
    every = visibility.runs(request.user)
    projects = access.projects_where(request.user, visibility.SEE)
    form = RunFilterForm(request.GET, projects=projects, tags=every.known_tags())
    shown = every.listed(archived=form.archived_too)
    order = Order.read(request.GET.get("sort", ""))
    columns = columns_of.found(
        organising.columns_of(request.user, columns_of.DEFAULT), request.user
    )
    query = request.GET.copy()
    for name in ("page", "choose"):
        query.pop(name, None)
    context = {
        "form": form,
        "filtered": bool(form.chosen),
        "grouped": "grouped" in request.GET,
        "columns": columns,
        "order": order,
        "query": query.urlencode(),
        "address": request.get_full_path(),
        "may_start": trainable_releases(request.user).exists(),
        "may_act": visibility.managed(request.user).exists(),
        "most_compared": comparing.MOST_COMPARED,
    }
    number = request.GET.get("page")
    if context["grouped"]:
        asked = shown.filter(group__in=form.narrowed(shown).order_by().values("group"))
        page = Paginator(run_table.groups(asked, order, columns), RUNS_ON_A_PAGE).get_page(number)
        keys = [one["group"] for one in page]
        rows: list[Any] = run_table.group_rows(shown.with_context(), keys, columns)
        context["live"] = any(row.live for row in rows)
    else:
        asked = run_table.in_order(form.narrowed(shown), order, columns, request.user)
        asked = run_table.with_values(asked.with_context(), columns)
        page = Paginator(asked, RUNS_ON_A_PAGE).get_page(number)
        rows = list(page)
        for row in rows:
            row.cells = run_table.cells(row, columns)
        context["live"] = any(not row.ended for row in rows)
    context |= {"page": page, "rows": rows, "archived_only": not rows and every.exists()}
    template = "training/_runs.html" if request.headers.get("HX-Request") else "training/runs.html"
    return render(request, template, context)


@login_required
@require_GET
@never_cache
def run(request: HttpRequest, pk: int) -> HttpResponse:
    found = visibility.run(request.user, pk)
    context = _live_context(request, found) | _sample_context(request, found)
    context |= _origin_context(found)
    context |= {
        "kind": kinds.get(found.kind),
        "outcomes": lineage.outcomes_of(found, request.user),
        "warnings": warnings.behind(found),
        "charts": curves.drawn(found),
        "settings": [
            *sorted(comparing.flat(found.settings).items()),
            *sorted(comparing.flat({"model": found.model}).items()),
        ],
        "may_clone": access.may(request.user, found.project, visibility.ACT)
        and cloning.of_run(found) is not None,
        "followers": found.followers.exclude(chain=found.chain) if found.chain else [],
    }
    return render(request, "training/run.html", context)


@login_required
@require_GET
@never_cache
def live(request: HttpRequest, pk: int) -> HttpResponse:
    """What changes while a run goes on: state, stage, progress, checkpoints.

    A page that shows the end of a run that somebody has resumed is loaded anew.
    """
    found = visibility.run(request.user, pk)
    if "ended" in request.GET and not found.ended:
        return HttpResponse(headers={"HX-Refresh": "true"})
    return render(request, "training/_live.html", _live_context(request, found))


@login_required
@require_GET
@never_cache
def log(request: HttpRequest, pk: int) -> HttpResponse:
    """Attempts and the end of the trainer's log."""
    found = visibility.run(request.user, pk)
    return render(request, "training/_log.html", _live_context(request, found))


@login_required
@require_GET
@never_cache
def samples(request: HttpRequest, pk: int) -> HttpResponse:
    found = visibility.run(request.user, pk)
    return render(request, "training/_samples.html", _sample_context(request, found))


@login_required
@require_GET
@never_cache
def figures(request: HttpRequest, pk: int) -> HttpResponse:
    """The charts there are; 204 while the page that asks has them all already."""
    found = visibility.run(request.user, pk)
    charts = curves.drawn(found)
    if not found.ended and request.GET.get("have") == str(len(charts)):
        return HttpResponse(status=204)
    return render(request, "training/_figures.html", {"run": found, "charts": charts})


@login_required
@require_GET
@never_cache
def outcomes(request: HttpRequest, pk: int) -> HttpResponse:
    """The scores there are; the runs that measure come after this one, in its chain."""
    found = visibility.run(request.user, pk)
    context = {
        "run": found,
        "chain_moves": _moves(_neighbours(found)),
        "outcomes": lineage.outcomes_of(found, request.user),
    }
    return render(request, "training/_outcomes.html", context)


@login_required
@require_GET
@never_cache
def origin(request: HttpRequest, pk: int) -> HttpResponse:
    """What the run is made from: of a chain it is known once a worker has taken the run."""
    found = visibility.run(request.user, pk)
    return render(request, "training/_origin.html", _origin_context(found))


@login_required
@require_GET
@never_cache
def metrics(request: HttpRequest, pk: int, chart: str) -> JsonResponse:
    """The curves of one chart, downsampled, as static/js/charts.js reads them.

    ``grain`` and ``since`` are what the page had from here before.
    """
    found = visibility.run(request.user, pk)
    since = request.GET.get("since", "")
    return JsonResponse(
        curves.series(
            found,
            chart,
            grain=request.GET.get("grain", ""),
            since=int(since) if since.isdecimal() and len(since) < 10 else 0,
        )
    )


@login_required
@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    found = visibility.run(request.user, pk, visibility.ACT)
    if scheduling.cancel(found):
        messages.success(request, f"{found.name} is being cancelled.")
    else:
        messages.error(request, f"{found.name} has ended already.")
    return redirect(found)


@login_required
@require_POST
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    found = visibility.run(request.user, pk, visibility.ACT)
    resumable = found.checkpoints.filter(final=False).exists()
    try:
        requests.resume_run(found)
        how = "goes on" if resumable else "begins anew"
        messages.success(request, f"{found.name} {how} when a worker is free.")
    except requests.CannotResume as error:
        messages.error(request, f"{found.name} cannot be resumed. {error}")
    return redirect(found)


def _live_context(request: HttpRequest, found: Run) -> dict[str, Any]:
    attempts = list(found.attempts.prefetch_related("gpu_slots"))
    remaining = attempts[0].remaining(found, timezone.now()) if attempts else None
    neighbours = _neighbours(found)
    checkpoints = list(found.checkpoints.order_by("-step"))
    return {
        "run": found,
        "neighbours": neighbours,
        "chain_moves": _moves(neighbours),
        "looks": _looks(found, neighbours),
        "attempts": attempts,
        "log": attempts[0].log_tail if attempts else "",
        "remaining": remaining,
        "glance": curves.latest(found),
        "checkpoints": checkpoints,
        "resumes_from": next((one for one in checkpoints if not one.final), None),
        "result_url": kinds.get(found.kind).result_url(found)
        if found.state == State.SUCCEEDED
        else None,
        "may_act": access.may(request.user, found.project, visibility.ACT),
    }


def _neighbours(found: Run) -> list[Run]:
    """The runs of its chain, itself among them, in their order."""
    return list(found.chain.runs.order_by("pk")) if found.chain else []


def _moves(runs: list[Run]) -> bool:
    return any(not run.ended for run in runs)


def _looks(found: Run, neighbours: list[Run]) -> str:
    """How often a page asks how its run is, as htmx's ``every``; empty when nothing can change."""
    if not found.ended:
        return "2s, look-again"
    if _moves(neighbours):
        return "5s"
    may_be_resumed = any(run.state in ENDED_BADLY for run in (found, *neighbours))
    return "20s" if may_be_resumed else ""


def _origin_context(found: Run) -> dict[str, Any]:
    return {"run": found, "options": kinds.get(found.kind).told_options(found)}


def _sample_context(request: HttpRequest, found: Run) -> dict[str, Any]:
    known = samples_of.steps(found)
    wanted = request.GET.get("step", "")
    step = int(wanted) if wanted.isdecimal() and len(wanted) < 10 else None
    step = step if step in known else None
    shown = [step] if step is not None else samples_of.spread(known)
    return {
        "run": found,
        "sample_steps": samples_of.spread(known, STEPS_TO_CHOOSE_FROM),
        "sample_step": step,
        "histories": samples_of.histories(found, request.user, shown),
    }
