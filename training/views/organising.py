"""What people do with their table of runs: columns, pins, names, tags, notes, the archive."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from annotation.errors import DomainError
from training import visibility
from training.figures import columns
from training.forms import RunForm
from training.models import Run, RunQuerySet
from training.runs import organising

MOST_AT_ONCE = 500


@login_required
@require_http_methods(["GET", "POST"])
def choose_columns(request: HttpRequest) -> HttpResponse:
    """Which columns the person's own table has."""
    rows = visibility.runs(request.user)
    sections = columns.offered(request.user, rows)
    chosen = organising.columns_of(request.user, columns.DEFAULT)
    if request.method == "POST":
        given = request.POST.getlist("column")
        known = [one.key for found in sections.values() for one in found if one.key in given]
        organising.choose_columns(request.user, None if "reset" in request.POST else known)
        if len(known) > organising.MOST_COLUMNS:
            messages.error(request, f"The first {organising.MOST_COLUMNS} columns are shown.")
        return _back(request)
    context = {
        "sections": sections.items(),
        "chosen": chosen,
        "most": organising.MOST_COLUMNS,
        "back": request.GET.get("back", ""),
    }
    return render(request, "training/columns.html", context)


@login_required
@require_POST
def pin(request: HttpRequest, pk: int) -> HttpResponse:
    """Lets the run stand first in the person's own table, or no longer."""
    found = visibility.run(request.user, pk)
    organising.pin(request.user, found, pinned=request.POST.get("pinned") == "yes")
    return _back(request)


@login_required
@require_http_methods(["GET", "POST"])
def describe(request: HttpRequest, pk: int) -> HttpResponse:
    """Name, tags and notes of a run."""
    found = visibility.run(request.user, pk, visibility.ACT)
    form = RunForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Kept.")
        return redirect(found)
    status = 422 if form.is_bound else 200
    return render(
        request, "training/run_describe.html", {"form": form, "run": found}, status=status
    )


@login_required
@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Puts the run away, or brings it back."""
    found = visibility.run(request.user, pk, visibility.ACT)
    if request.POST.get("archived") == "no":
        organising.bring_back(Run.objects.filter(pk=found.pk))
        messages.success(request, f"{found} is in the lists again.")
        return redirect(found)
    try:
        organising.archive(found)
        messages.success(request, f"{found} is archived. Nothing of it is deleted.")
    except DomainError as error:
        messages.error(request, str(error))
    return redirect(found)


@login_required
@require_POST
def chosen(request: HttpRequest) -> HttpResponse:
    """Archives, brings back or tags the runs that were ticked, those of them that one manages."""
    ids = [int(one) for one in request.POST.getlist("run") if one.isdecimal() and len(one) < 10]
    rows = visibility.runs(request.user).filter(pk__in=ids[:MOST_AT_ONCE])
    if not rows.exists():
        messages.error(request, "Tick at least one run.")
        return _back(request)
    mine = rows.filter(project__in=visibility.managed(request.user))
    try:
        done = _do(request.POST, mine)
    except organising.BadTag as error:
        messages.error(request, str(error))
        return _back(request)
    if not mine.exists():
        messages.error(request, "Changing runs is for managers of their project.")
    else:
        messages.success(request, done)
    return _back(request)


def _do(given: Any, rows: RunQuerySet) -> str:
    """Raises BadTag, and Http404 for what cannot be asked for."""
    what = given.get("do", "")
    if what == "tag":
        tag = given.get("tag", "")
        return f"Tagged “{tag.strip()}”: {_runs(organising.add_tag(rows, tag))}."
    if what == "bring back":
        return f"In the lists again: {_runs(organising.bring_back(rows))}."
    if what == "archive":
        asked = rows.filter(archived_at=None).count()
        done = organising.archive_all(rows)
        left = asked - done
        more = f" {_runs(left).capitalize()} not ended yet: left as they are." if left else ""
        return f"Archived: {_runs(done)}.{more}"
    raise Http404


def _runs(number: int) -> str:
    return f"{number} run{'' if number == 1 else 's'}"


def _back(request: HttpRequest) -> HttpResponse:
    """To the page that it was asked from: the table with its filters, or a run."""
    back = request.POST.get("back", "")
    if back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        return redirect(back)
    return redirect("training:runs")
