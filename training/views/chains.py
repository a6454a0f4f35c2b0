"""Starting runs: the form "train from this release"."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from training import visibility
from training.chain_form import ChainForm, trainable_releases
from training.models import Run
from training.runs import cloning, requests


@login_required
@require_http_methods(["GET", "POST"])
def chain_new(request: HttpRequest) -> HttpResponse:
    """Train from a release: which one first, then what. With ``run`` or ``chain`` in the address
    the form is filled with what that one was asked."""
    releases = trainable_releases(request.user)
    original = _original(request)
    chosen = str(original.release.pk) if original else request.GET.get("release", "")
    if not chosen:
        return render(request, "training/choose_release.html", {"releases": releases[:50]})
    release = get_object_or_404(releases, pk=chosen if chosen.isdecimal() else None)
    form = ChainForm(
        request.POST or None,
        release=release,
        user=request.user,
        checkpoints=visibility.checkpoints(request.user),
        original=original,
    )
    if request.method == "POST" and form.is_valid() and _start(form):
        messages.success(request, "Queued. The first run starts as soon as a worker is free.")
        return redirect("training:runs")
    context = {
        "form": form,
        "release": release,
        "has_bases": form.has_bases(),
        "original": original,
    }
    return render(request, "training/chain_new.html", context, status=422 if form.errors else 200)


def _original(request: HttpRequest) -> cloning.Original | None:
    """What the address asks to clone; Http404 for what cannot be, or is not the person's."""
    for name, clone in (("run", cloning.of_run), ("chain", _of_chain_with)):
        wanted = request.GET.get(name)
        if wanted is None:
            continue
        if not (wanted.isdecimal() and len(wanted) < 10):
            raise Http404
        original = clone(visibility.run(request.user, int(wanted), visibility.ACT))
        if original is None:
            raise Http404
        return original
    return None


def _of_chain_with(run: Run) -> cloning.Original | None:
    return cloning.of_chain(run.chain) if run.chain else None


def _start(form: ChainForm) -> bool:
    """Queue the form's chains, all or none; False when they were refused, said on the form."""
    try:
        with transaction.atomic():
            for name, steps in form.chains():
                requests.request_chain(form.common(), steps, name=name)
    except requests.Refused as error:
        form.add_error(error.field if error.field in form.fields else None, error.detail)
        return False
    return True
