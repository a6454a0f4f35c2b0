"""The registry: list, one checkpoint, its files."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_POST

from annotation import access
from training import visibility
from training.checkpoints import cards, checkpoint_files, lineage, registry
from training.runs import requests

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
        "picture": lineage.picture(found, request.user),
        "may_act": found.run is not None
        and access.may(request.user, found.run.project, visibility.ACT),
        "may_delete_base": found.run is None and request.user.is_superuser,
    }
    return render(request, "training/checkpoint.html", context)


@login_required
@require_GET
def checkpoint_file(request: HttpRequest, pk: int, name: str) -> StreamingHttpResponse:
    """One file of a checkpoint, as an attachment: nothing of it is ever shown as a page."""
    found = visibility.checkpoint(request.user, pk)
    try:
        size = checkpoint_files.file_of(found, name)["size"]
    except checkpoint_files.RegistryError as error:
        raise Http404 from error
    # A file that turns out to be damaged breaks off, short of the length that is promised here.
    answer = StreamingHttpResponse(
        checkpoint_files.file_chunks(found, name),
        content_type="application/octet-stream",
        headers={"Content-Length": str(size)},
    )
    filename = name.rpartition("/")[2]
    answer["Content-Disposition"] = content_disposition_header(True, filename)
    return answer


@login_required
@require_GET
def download(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The whole folder with its model card, packed while it is sent."""
    found = visibility.checkpoint(request.user, pk)
    if not found.files:
        raise Http404
    return cards.download(found)


@login_required
@require_POST
def promote(request: HttpRequest, pk: int) -> HttpResponse:
    """Recommend it, or with ``promoted=no`` no longer."""
    found = visibility.checkpoint(request.user, pk, visibility.ACT)
    if found.run is None:
        raise Http404
    if request.POST.get("promoted") == "no":
        registry.demote(found)
        messages.success(request, f"{found.name} is no longer promoted.")
    else:
        registry.promote(found)
        messages.success(request, f"{found.name} is promoted: forms offer it first.")
    return redirect(found)


@login_required
@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = visibility.checkpoint(request.user, pk, visibility.ACT)
    try:
        registry.delete(found)
    except registry.StillNeeded as error:
        messages.error(request, f"{found.name} was not deleted. {error.detail}")
        return redirect(found)
    messages.success(request, f"{found.name} was deleted.")
    return redirect("training:checkpoints")


@login_required
@require_POST
def sample(request: HttpRequest, pk: int) -> HttpResponse:
    """Have the policy answer the project's prompts: its answers are the next pairs to compare."""
    found = visibility.checkpoint(request.user, pk, visibility.ACT)
    try:
        run = requests.request_sampling(found, request.user)
    except requests.Refused as error:
        messages.error(request, f"Nothing was started: {error.detail}")
        return redirect(found)
    messages.success(request, "Queued. When it has ended, the pairs wait for annotators.")
    return redirect(run)
