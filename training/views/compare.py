"""Two runs side by side."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from training import visibility
from training.figures import comparing

RUNS_TO_CHOOSE_FROM = 50


@login_required
@require_GET
def choose(request: HttpRequest, pk: int) -> HttpResponse:
    """Which run to lay beside this one: those of its kind and project."""
    first = visibility.run(request.user, pk)
    others = comparing.comparable(first).with_context()[:RUNS_TO_CHOOSE_FROM]
    return render(request, "training/compare_choose.html", {"run": first, "others": others})


@login_required
@require_GET
@never_cache
def compare(request: HttpRequest, pk: int, other: int) -> HttpResponse:
    """What was asked differently, and the curves that both have; 204 while a page that asks has
    them all already."""
    first, second = visibility.run(request.user, pk), visibility.run(request.user, other)
    charts, ended = comparing.charts(first, second), first.ended and second.ended
    if not ended and request.GET.get("have") == str(len(charts)):
        return HttpResponse(status=204)
    context = {
        "first": first,
        "second": second,
        "runs": (first, second),
        "differences": comparing.differences(first, second),
        "charts": charts,
        "ended": ended,
    }
    return render(request, "training/compare.html", context)


@login_required
@require_GET
@never_cache
def metrics(request: HttpRequest, pk: int, other: int, chart: str) -> JsonResponse:
    """The curves of both runs that belong on one chart, downsampled."""
    first, second = visibility.run(request.user, pk), visibility.run(request.user, other)
    return JsonResponse(comparing.series(first, second, chart))
