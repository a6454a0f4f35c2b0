"""Runs and groups of runs side by side."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from config.sanitising import is_storable, whole_number
from training import visibility
from training.figures import comparing
from training.figures.comparing import Item

DRAWN_AT_ONCE = 6


@login_required
@require_GET
def with_run(request: HttpRequest, pk: int) -> HttpResponse:
    """Which runs to lay beside this one: the table, with it ticked, of its kind and project."""
    first = visibility.run(request.user, pk)
    query = {"project": first.project.slug, "kind": first.kind, "choose": first.pk}
    return redirect(f"{reverse('training:runs')}?{urlencode(query)}")


@login_required
@require_GET
@never_cache
def compare(request: HttpRequest) -> HttpResponse:
    """What was asked differently and what came of it; 204 while a page that asks has all charts."""
    compared = _compared(request)
    if not compared:
        return render(request, "training/compare_nothing.html")
    asked = sum(len(set(request.GET.getlist(name))) for name in ("run", "group"))
    charts, ended = comparing.charts(compared), all(item.ended for item in compared)
    if not ended and request.GET.get("have") == str(len(charts)):
        return HttpResponse(status=204)
    columns = [
        {
            "item": item,
            "as_baseline": query_of(compared, baseline="" if item.baseline else item.key),
            "without": query_of(compared, without=item.key),
        }
        for item in compared
    ]
    context = {
        "compared": compared,
        "columns": columns,
        "has_groups": any(item.is_group for item in compared),
        "left_out": max(0, asked - len(compared)),
        "baseline": next((item for item in compared if item.baseline), None),
        "differences": comparing.differences(compared),
        "charts": charts[:DRAWN_AT_ONCE],
        "more_charts": charts[DRAWN_AT_ONCE:],
        "chart_count": len(charts),
        "scores": comparing.scores(compared, request.user),
        "prompts": comparing.samples(compared, request.user),
        "ended": ended,
        "query": query_of(compared),
    }
    return render(request, "training/compare.html", context)


@login_required
@require_GET
@never_cache
def metrics(request: HttpRequest) -> JsonResponse:
    """One figure of all that are compared."""
    name = request.GET.get("name", "")
    compared = _compared(request)
    if not compared or not is_storable(name):
        raise Http404
    return JsonResponse(comparing.series(compared, name))


def query_of(compared: list[Item], *, baseline: str | None = None, without: str = "") -> str:
    """The address of a comparison; ``baseline`` another one than it has."""
    chosen = [item for item in compared if item.key != without]
    now = next((item.key for item in chosen if item.baseline), "") if baseline is None else baseline
    named = [item.parameter for item in sorted(chosen, key=lambda item: item.key)]
    return urlencode([*named, *([("baseline", now)] if now else [])])


def _compared(request: HttpRequest) -> list[Item]:
    """What the address names. What the person may not see is answered as its own page would be."""
    numbers = [whole_number(text) for text in request.GET.getlist("run")]
    alone = [number for number in numbers if number is not None][: comparing.MOST_COMPARED]
    groups = request.GET.getlist("group")[: comparing.MOST_COMPARED - len(alone)]
    if len(alone) < min(len(numbers), comparing.MOST_COMPARED) or not all(map(is_storable, groups)):
        raise Http404
    runs = visibility.runs(request.user).select_related(
        "project", "release__project", "base", "policy", "reward_model"
    )
    compared = comparing.items(runs, groups, alone, request.GET.get("baseline", ""))
    found = {item.key for item in compared}
    for number in alone:
        if f"run-{number}" not in found:
            visibility.run(request.user, number)
            raise Http404
    if any(f"group-{group}" not in found for group in groups):
        raise Http404
    return compared
