"""Evaluations and the leaderboard to take along, for those who may see their pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from benchmark import access
from benchmark.board import exporting, leaderboard, significance


@login_required
@require_GET
@never_cache
def evaluation_json(request: HttpRequest, pk: int) -> HttpResponse:
    document = exporting.evaluation_document(access.evaluation(request.user, pk))
    return _json(document, f"evaluation-{pk}.json")


@login_required
@require_GET
@never_cache
def evaluation_csv(request: HttpRequest, pk: int) -> HttpResponse:
    lines = exporting.evaluation_csv(access.evaluation(request.user, pk))
    return _csv(lines, f"evaluation-{pk}.csv")


@login_required
@require_GET
@never_cache
def leaderboard_json(request: HttpRequest) -> HttpResponse:
    access.require_reader(request.user)
    groups = leaderboard.groups(access.evaluations(request.user))
    found = exporting.leaderboard_document(groups, significance.standings(groups))
    return _json({"groups": found}, "leaderboard.json")


@login_required
@require_GET
@never_cache
def leaderboard_csv(request: HttpRequest) -> HttpResponse:
    access.require_reader(request.user)
    groups = leaderboard.groups(access.evaluations(request.user))
    return _csv(exporting.leaderboard_csv(groups), "leaderboard.csv")


def _json(document: dict[str, Any], name: str) -> HttpResponse:
    answer = JsonResponse(document, json_dumps_params={"ensure_ascii": False, "indent": 1})
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _csv(lines: Iterable[bytes], name: str) -> HttpResponse:
    answer = HttpResponse(b"".join(lines), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
