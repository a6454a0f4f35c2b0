"""Importing a base model: the form, and how far it is. For administrators of the site."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from training.checkpoints import base_imports
from training.forms import BaseImportForm
from training.models import BaseImport

SHOWN = 10


@login_required
@require_http_methods(["GET", "POST"])
def import_new(request: HttpRequest) -> HttpResponse:
    """Bases belong to no project, and a folder is one of the workers': administrators only."""
    _require_administrator(request)
    form = BaseImportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return redirect(base_imports.request_import(request.user, **form.cleaned_data))
    context = {"form": form, "imports": BaseImport.objects.all()[:SHOWN]}
    status = 422 if form.errors else 200
    return render(request, "training/base_import_new.html", context, status=status)


@login_required
@require_GET
@never_cache
def import_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """The page, or for htmx the part that changes."""
    _require_administrator(request)
    found = get_object_or_404(BaseImport.objects.select_related("checkpoint"), pk=pk)
    part = request.headers.get("HX-Request")
    template = "training/_base_import.html" if part else "training/base_import.html"
    return render(request, template, {"import": found})


def _require_administrator(request: HttpRequest) -> None:
    if not request.user.is_superuser:
        raise PermissionDenied
