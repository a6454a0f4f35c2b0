"""Data in and out: imports with their problems, and releases with their downloads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation import access, exporting, jobs, storage
from annotation.forms.exchange import ImportForm, ReleaseForm
from annotation.importing.record_files import CSV_COLUMNS
from annotation.models import ImportJob, MachineLabelling, Release
from annotation.quality import concerns
from annotation.releases import freezing
from annotation.views.shared import (
    one_page,
    project_page,
    query_without_page,
    says_domain_errors,
)
from config.requests import PersonRequest

FORMATS = [
    ("llava_rlhf", "Preferences for training", "JSON lines in the LLaVA-RLHF form, with captions"),
    ("trl", "Preferences for TRL", "JSON lines of messages: prompt, chosen, rejected, images"),
    ("rlhf_v", "Preferences as RLHF-V has them", "JSON lines: question, chosen, rejected"),
    ("votes", "Every judgment", "JSON lines: pseudonym, order shown, time, version"),
    ("csv", "Preferences as a table", "CSV for spreadsheets"),
]
FOLDERS = [
    ("datasets", "Folder for the datasets library", "Images, metadata and a card, by split"),
    ("llava_rlhf", "Folder for training", "Both splits, captions and images"),
]


@login_required
@require_http_methods(["GET", "POST"])
def imports(request: PersonRequest, slug: str) -> HttpResponse:
    project = access.require(request.user, slug, "manage")
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        job = jobs.request_import(project, request.user, **form.uploads())
        return redirect(job)
    return project_page(
        request,
        project,
        "annotation/imports.html",
        tab="imports",
        form=form,
        jobs=project.import_jobs.select_related("created_by")[:50],
        status=422 if form.errors else 200,
    )


@login_required
@require_GET
def import_job(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    """One import; the same address answers htmx with the part that changes."""
    project = access.require(request.user, slug, "manage")
    job = get_object_or_404(project.import_jobs, pk=pk)
    if request.htmx:
        return render(request, "annotation/_import_job.html", {"project": project, "job": job})
    return project_page(request, project, "annotation/import_job.html", tab="imports", job=job)


@login_required
@require_GET
def import_left_out(request: PersonRequest, slug: str, pk: int) -> StreamingHttpResponse:
    """Every record that an import left out, with its reason, as CSV."""
    project = access.require(request.user, slug, "manage")
    return left_out_response(get_object_or_404(project.import_jobs, pk=pk))


def left_out_response(job: ImportJob) -> StreamingHttpResponse:
    """The list; of an import that left nothing out, its head alone."""
    chunks: Iterable[bytes] = [",".join(CSV_COLUMNS).encode() + b"\r\n"]
    if job.left_out_list:
        name, sha256 = str(job.left_out_list.name), job.left_out_sha256
        chunks = storage.chunks(name, sha256=sha256, size=job.left_out_bytes)
    response = StreamingHttpResponse(chunks, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="left-out-of-import-{job.pk}.csv"'
    return response


@login_required
@require_http_methods(["GET", "POST"])
@says_domain_errors(back="releases")
def releases(request: PersonRequest, slug: str) -> HttpResponse:
    needed = "manage" if request.method == "POST" else "review"
    project = access.require(request.user, slug, needed)
    away = request.GET.get("archived") == "only"
    found = concerns.of_project(project)
    certified = project.machine_labellings.filter(state=MachineLabelling.State.CERTIFIED)
    form = ReleaseForm(
        request.POST or None,
        grave=any(one.grave for one in found),
        machine=certified.exists(),
    )
    if request.method == "POST" and form.is_valid():
        return redirect(jobs.queue_release(project, request.user, **form.options()))
    return project_page(
        request,
        project,
        "annotation/releases.html",
        tab="releases",
        form=form,
        concerns=found,
        page=one_page(request, project.releases.listed(archived=away).order_by("-number"), size=25),
        away=away,
        put_away=project.releases.listed(archived=True).count(),
        query=query_without_page(request),
        status=422 if form.errors else 200,
    )


@login_required
@require_GET
def release(request: PersonRequest, slug: str, number: int) -> HttpResponse:
    project = access.require(request.user, slug, "review")
    found = get_object_or_404(project.releases.select_related("created_by"), number=number)
    if request.htmx:
        return render(
            request, "annotation/_release.html", {"project": project, **_release_context(found)}
        )
    return project_page(
        request,
        project,
        "annotation/release.html",
        tab="releases",
        **_release_context(found),
    )


@login_required
@require_POST
def archive_release(request: PersonRequest, slug: str, number: int) -> HttpResponse:
    """Puts a release away, or brings it back."""
    project = access.require(request.user, slug, "manage")
    found = get_object_or_404(project.releases, number=number)
    away = request.POST.get("archived") != "no"
    freezing.archive(found, away)
    said = "is archived. Nothing of it is deleted." if away else "is in the lists again."
    messages.success(request, f"Release {number} {said}")
    return redirect(found)


@login_required
@require_GET
@says_domain_errors(back="releases")
def download(
    request: PersonRequest, slug: str, number: int, format_name: str
) -> StreamingHttpResponse:
    """A release's records as a streamed file; ``?split=`` takes one part of it."""
    project = access.require(request.user, slug, "review")
    found = get_object_or_404(project.releases, number=number)
    split = request.GET.get("split") or None
    chunks = exporting.stream(found, format_name, split)
    response = StreamingHttpResponse(chunks, content_type=exporting.content_type(format_name))
    name = exporting.filename(found, format_name, split)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@login_required
@require_GET
@says_domain_errors(back="releases")
def download_folder(
    request: PersonRequest, slug: str, number: int, format_name: str
) -> StreamingHttpResponse:
    """A release with its images as a zip, written while it is sent."""
    project = access.require(request.user, slug, "review")
    found = get_object_or_404(project.releases.select_related("project"), number=number)
    chunks = exporting.stream_folder(found, format_name)
    response = StreamingHttpResponse(chunks, content_type="application/zip")
    name = exporting.folder_filename(found, format_name)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _release_context(release: Release) -> dict[str, Any]:
    numbers = [one["labelling"] for one in release.machine_labels]
    machines = release.project.machine_labellings.filter(number__in=numbers) if numbers else []
    return {
        "release": release,
        "machines": machines,
        "formats": FORMATS,
        "folders": FOLDERS,
    }
