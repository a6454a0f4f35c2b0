"""Health: a page for admins, addresses for probes, figures for Prometheus."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from training.figures import health, prometheus


@login_required
@require_GET
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    """What is unhealthy and what to do about it; for administrators of the site."""
    if not request.user.is_superuser:
        raise PermissionDenied
    found = health.checks()
    context = {"checks": found, "unwell": [check for check in found if not check.ok]}
    return render(request, "training/health.html", context)


@require_GET
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """The process answers. Needs nothing else, so that no probe restarts it for another's fault."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_GET
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """Requests can be served: the database answers. Redis is not needed for that."""
    ok = health.database_answers()
    said = "ok\n" if ok else "the database does not answer\n"
    return HttpResponse(said, content_type="text/plain", status=200 if ok else 503)


@require_GET
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus, which sends METRICS_TOKEN, or an administrator who is logged in."""
    sent = request.headers.get("Authorization", "")
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    by_token = bool(settings.METRICS_TOKEN) and constant_time_compare(sent, wanted)
    if not by_token and not request.user.is_superuser:
        return HttpResponse("a token is needed\n", content_type="text/plain", status=401)
    return HttpResponse(prometheus.text(), content_type="text/plain; version=0.0.4")
