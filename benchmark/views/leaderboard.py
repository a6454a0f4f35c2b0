"""The leaderboard, the list of all evaluations, and two of them held against each other."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from benchmark import access, protocols
from benchmark.board import leaderboard, parentage, significance
from benchmark.board.explorer import grid, largest_changes
from benchmark.forms import CompareForm, EvaluationFilter, ExplorerFilter
from benchmark.judging import by_hand

EVALUATIONS_ON_A_PAGE = 30
QUESTIONS_ON_A_PAGE = 48
MOST_TICKED = 200


@login_required
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    evaluations = access.evaluations(request.user)
    groups = leaderboard.groups(evaluations, _drawn(request))
    context = {
        "groups": groups,
        "most_series": leaderboard.MOST_SERIES,
        "standings": significance.standings(groups),
        "curves": parentage.curves(groups),
        "against_parents": parentage.against_parents(groups),
        "fresh": leaderboard.digest(evaluations),
        "published": [table for one in protocols.TABLE.values() for table in one.published],
        "may_read": access.may_read(request.user),
        "may_start": access.may_start(request.user),
        "may_share": access.may_share(request.user),
        **access.what_is_missing(request.user),
        "to_rate": by_hand.waiting_by_judge(evaluations),
        "under_way": evaluations.exclude(state="complete").count(),
    }
    return render(request, "benchmark/leaderboard.html", context)


def _drawn(request: HttpRequest) -> list[int]:
    """The evaluations that somebody has ticked for the charts; anything else is ignored."""
    ticked = request.GET.getlist("draw")[:MOST_TICKED]
    return [int(one) for one in ticked if one.isdecimal() and len(one) < 10]


@login_required
@require_GET
def explorer(request: HttpRequest, group: str) -> HttpResponse:
    """All questions of a ranking, one a line, with what each model got."""
    found = leaderboard.group_named(group, access.evaluations(request.user))
    if found is None:
        raise Http404
    form = ExplorerFilter(request.GET, question_set=found.first.question_set)
    form.is_valid()
    shown = grid(
        found,
        question_type=form.cleaned_data.get("type", ""),
        by_spread=form.cleaned_data.get("order") == "spread",
    )
    page = Paginator(shown.lines, QUESTIONS_ON_A_PAGE).get_page(request.GET.get("page"))
    context = {"group": found, "grid": shown, "form": form, "query": form.query, "page": page}
    return render(request, "benchmark/explorer.html", context)


@login_required
@require_GET
@never_cache
def fresh(request: HttpRequest) -> HttpResponse:
    """Asked by an open leaderboard: 204 while it shows what there is, else the page anew."""
    answer = HttpResponse(status=204)
    now = leaderboard.digest(access.evaluations(request.user))
    if request.GET.get("have") != now:
        answer["HX-Refresh"] = "true"
    return answer


@login_required
@require_GET
def evaluations(request: HttpRequest) -> HttpResponse:
    form = EvaluationFilter(request.GET)
    rows = form.apply(access.evaluations(request.user).with_origin())
    context = {
        "page": Paginator(rows, EVALUATIONS_ON_A_PAGE).get_page(request.GET.get("page")),
        "form": form,
        "query": form.query,
        "may_start": access.may_start(request.user),
    }
    return render(request, "benchmark/evaluations.html", context)


@login_required
@require_GET
def compare(request: HttpRequest) -> HttpResponse:
    form = CompareForm(
        request.GET or None, evaluations=access.evaluations(request.user).scored().with_origin()
    )
    context: dict[str, object] = {"form": form}
    if form.is_valid():
        first, second = form.cleaned_data["first"], form.cleaned_data["second"]
        tested = form.result[first.question_set.tested_figure.name]
        context |= {
            "first": first,
            "second": second,
            "result": form.result,
            "tested": first.question_set.tested_figure,
            "tested_result": tested,
            "standing": significance.between(first, second, access.evaluations(request.user))
            or significance.alone(tested["p_value"]),
            "chart": leaderboard.chart_of([first, second]),
            "changes": largest_changes(first, second),
        }
    status = 422 if form.is_bound and not form.is_valid() else 200
    return render(request, "benchmark/compare.html", context, status=status)
