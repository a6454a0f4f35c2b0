"""What a public link shows to anybody: its figures, and answers and photographs where allowed.

Nothing here looks at who asks. Everything comes from the link, so a page cannot show more to
somebody who happens to be logged in, and no page names people, projects, runs or checkpoints.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from annotation import images
from benchmark import access
from benchmark.board import leaderboard, significance, summaries
from benchmark.forms import AnswerFilter
from benchmark.models import Evaluation, SharedLink
from config import errors, proxies, rate_limits

ANSWERS_ON_A_PAGE = 12
SUMMARY_SECONDS = 300
"""How long others may keep a summary: a revoked one is gone from model cards after that."""

View = Callable[..., HttpResponseBase]


def public(view: View) -> View:
    """Hands the view its link, within limits, and keeps the answer out of search engines."""

    @require_safe
    @functools.wraps(view)
    def found(request: HttpRequest, token: str, **arguments: Any) -> HttpResponseBase:
        try:
            link = access.shared_link(token)
        except Http404:
            stranger = proxies.counted_address(request)
            if not rate_limits.within(f"stranger.{stranger}", rate_limits.OF_A_STRANGER):
                return _too_many(request)
            raise
        if not rate_limits.within(f"link.{link.pk}", rate_limits.OF_A_LINK):
            return _too_many(request)
        answer = view(request, link, token=token, **arguments)
        answer["X-Robots-Tag"] = "noindex, nofollow"
        answer["Referrer-Policy"] = "no-referrer"
        if not answer.has_header("Cache-Control"):
            patch_cache_control(answer, private=True, no_store=True)
        return answer

    return found


@public
def index(request: HttpRequest, link: SharedLink, *, token: str) -> HttpResponse:
    """The ranking that the link was made for, or its one evaluation."""
    group = _group(link)
    if len(group.rows) == 1:
        return _evaluation(request, link, token, group.first.pk)
    context = {
        "group": group,
        "standings": significance.standings([group]),
        **_about(request, link, token),
    }
    return render(request, "benchmark/shared/ranking.html", context)


@public
def evaluation(request: HttpRequest, link: SharedLink, *, token: str, pk: int) -> HttpResponse:
    return _evaluation(request, link, token, pk)


@public
def photograph(request: HttpRequest, link: SharedLink, *, token: str, pk: int) -> FileResponse:
    found = access.shared_photograph(link, pk)
    answer = FileResponse(images.opened(found), content_type=found.content_type)
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


@public
def summary(request: HttpRequest, link: SharedLink, *, token: str, form: str) -> HttpResponse:
    """For a model card: ``form`` is svg, md or html."""
    address = request.build_absolute_uri(reverse("shared:index", args=[token]))
    answer = summary_answer(summaries.summary_of(_group(link).rows, address), form)
    patch_cache_control(answer, public=True, max_age=SUMMARY_SECONDS)
    return answer


def summary_answer(found: summaries.Summary, form: str) -> HttpResponse:
    """A summary in one of its three forms; Http404 for another."""
    forms: dict[str, tuple[Callable[[summaries.Summary], str], str]] = {
        "svg": (summaries.svg, "image/svg+xml"),
        "md": (summaries.markdown, "text/markdown; charset=utf-8"),
        "html": (summaries.html, "text/html; charset=utf-8"),
    }
    if form not in forms:
        raise Http404
    make, content_type = forms[form]
    return HttpResponse(make(found), content_type=content_type)


def _evaluation(request: HttpRequest, link: SharedLink, token: str, pk: int) -> HttpResponse:
    found = access.shared_evaluation(link, pk)
    context = {"evaluation": found, **_about(request, link, token)}
    context["chart"] = leaderboard.chart_of([found])
    if link.with_answers:
        form = AnswerFilter(request.GET, evaluation=found)
        page = Paginator(form.answers(), ANSWERS_ON_A_PAGE).get_page(request.GET.get("page"))
        context |= {"form": form, "query": form.query, "page": page}
    return render(request, "benchmark/shared/evaluation.html", context)


def _group(link: SharedLink) -> leaderboard.Group:
    """The link's evaluations that still have a score, best first."""
    rows = list(Evaluation.objects.shared_by(link).with_origin())
    if not rows:
        raise Http404
    return leaderboard.Group(leaderboard.ranked(rows))


def _about(request: HttpRequest, link: SharedLink, token: str) -> dict[str, Any]:
    picture = reverse("shared:summary", args=[token, "svg"])
    return {"link": link, "token": token, "picture": request.build_absolute_uri(picture)}


def _too_many(request: HttpRequest) -> HttpResponse:
    answer = errors.answer(request, 429)
    answer["Retry-After"] = str(rate_limits.WINDOW_SECONDS)
    return answer
