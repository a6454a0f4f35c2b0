"""Where administrators make public links and close them, and where readers take a summary."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from benchmark import access
from benchmark.board import leaderboard, summaries
from benchmark.forms import ShareForm
from benchmark.models import Evaluation, SharedLink
from benchmark.views.shared import summary_answer


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def links(request: HttpRequest) -> HttpResponse:
    """All links, and with ?evaluation= or ?group= the form for a new one."""
    access.require_sharer(request.user)
    chosen = _chosen(request)
    form = ShareForm(request.POST or None, initial={"title": _title(chosen)})
    link = ""
    if request.method == "POST" and not chosen:
        raise Http404
    if request.method == "POST" and form.is_valid():
        _, token = SharedLink.create(chosen, created_by=request.user, **form.cleaned_data)
        link = request.build_absolute_uri(reverse("shared:index", args=[token]))
    context = {
        "links": SharedLink.objects.select_related("created_by").prefetch_related("evaluations"),
        "chosen": chosen,
        "form": form,
        "link": link,
    }
    status = 422 if form.errors else 200
    return render(request, "benchmark/links.html", context, status=status)


@login_required
@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    access.require_sharer(request.user)
    link = get_object_or_404(SharedLink, pk=pk)
    link.revoke()
    messages.success(request, f"“{link}” opens nothing any more.")
    return redirect("benchmark:links")


@login_required
@require_GET
@never_cache
def summary(request: HttpRequest, pk: int, form: str) -> HttpResponse:
    """One evaluation for a model card, without a public address; 404 while it has no score."""
    evaluation = access.evaluation(request.user, pk)
    if evaluation.state != Evaluation.State.COMPLETE:
        raise Http404
    return summary_answer(summaries.summary_of([evaluation]), form)


def _chosen(request: HttpRequest) -> list[Evaluation]:
    """The evaluation or the ranking that the address names; nothing where it names none."""
    complete = access.evaluations(request.user).scored().with_origin()
    wanted = request.GET.get("evaluation", "")
    if wanted.isdecimal() and len(wanted) < 10:
        return list(complete.filter(pk=int(wanted)))
    name = request.GET.get("group", "")
    found = leaderboard.group_named(name, access.evaluations(request.user)) if name else None
    return found.rows if found else []


def _title(chosen: list[Evaluation]) -> str:
    if not chosen:
        return ""
    first = chosen[0]
    return str(first if len(chosen) == 1 else first.question_set)[:120]
