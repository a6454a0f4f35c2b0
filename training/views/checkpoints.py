"""The registry: list, one checkpoint, its files."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from training import registry, visibility

CHECKPOINTS_ON_A_PAGE = 25


@login_required
@require_GET
def checkpoints(request: HttpRequest) -> HttpResponse:
    rows = visibility.checkpoints(request.user).with_lineage()
    page = Paginator(rows, CHECKPOINTS_ON_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "training/checkpoints.html", {"page": page, "query": ""})


@login_required
@require_GET
def checkpoint(request: HttpRequest, pk: int) -> HttpResponse:
    found = visibility.checkpoint(request.user, pk)
    context = {
        "checkpoint": found,
        "lineage": registry.lineage(found),
    }
    return render(request, "training/checkpoint.html", context)


@login_required
@require_GET
def checkpoint_file(request: HttpRequest, pk: int, name: str) -> FileResponse:
    """One file of a checkpoint, as an attachment: nothing of it is ever shown as a page."""
    found = visibility.checkpoint(request.user, pk)
    try:
        handle = registry.open_file(found, name)
    except registry.RegistryError as error:
        raise Http404 from error
    filename = name.rpartition("/")[2]
    return FileResponse(
        handle, as_attachment=True, filename=filename, content_type="application/octet-stream"
    )
