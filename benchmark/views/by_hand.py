"""Where a person rates answers, one keystroke each, without knowing whose they are."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from benchmark import access
from benchmark.forms import RateForm
from benchmark.judging import by_hand
from benchmark.models import Judge
from benchmark.protocols.mmhal import person


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def rate(request: HttpRequest, pk: int) -> HttpResponse:
    """The next answer; with POST the rating of the one on screen, and then the next."""
    judge = access.person_judge(request.user, pk)
    notice = ""
    form = RateForm(request.POST or None)
    if request.method == "POST":
        if not form.is_valid():
            return _show(request, judge, notice="A rating is a whole number from 0 to 6.", bad=True)
        visible = access.evaluations(request.user)
        token, rating = form.cleaned_data["task"], form.cleaned_data["rating"]
        if not by_hand.rate(judge, visible, request.user, token=token, rating=rating):
            notice = "That answer had been rated already, by somebody else or in another tab."
    return _show(request, judge, notice=notice)


@login_required
@require_POST
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    judge = access.person_judge(request.user, pk)
    taken_back = by_hand.undo(judge, access.evaluations(request.user), request.user)
    notice = "Your last rating is taken back." if taken_back else "There is nothing to take back."
    return _show(request, judge, notice=notice)


def _show(request: HttpRequest, judge: Judge, *, notice: str, bad: bool = False) -> HttpResponse:
    """The whole page, the fragment for htmx, or after a plain form the way back to the page."""
    fragment = request.headers.get("HX-Request") == "true"
    if request.method == "POST" and not fragment and not bad:
        if notice:
            messages.info(request, notice)
        return redirect("benchmark:rate", judge.pk)
    context = {
        "judge": judge,
        "work": by_hand.work(judge, access.evaluations(request.user), request.user),
        "scale": person.scale(),
        "instructions": person.INSTRUCTIONS,
        "notice": notice,
    }
    template = "benchmark/_rate.html" if fragment else "benchmark/rate.html"
    return render(request, template, context, status=422 if bad else 200)
