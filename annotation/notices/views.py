"""One's own notices and how one is told; the webhooks of the site, for superusers."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation.models import User, Webhook
from annotation.notices import choosing, delivering
from annotation.notices.forms import ChoicesForm, WebhookActionForm, WebhookForm
from annotation.views.shared import one_page
from config.requests import PersonRequest


@login_required
@require_GET
@never_cache
def inbox(request: PersonRequest) -> HttpResponse:
    """What I was told, newest first."""
    mine = request.user.notices.filter(in_inbox=True).select_related("project")
    page = one_page(request, mine)
    return render(request, "annotation/notices/inbox.html", {"page": page})


@login_required
@require_POST
def read(request: PersonRequest) -> HttpResponse:
    """I have read them all."""
    choosing.read_all(request.user)
    return redirect("annotation:notices")


@login_required
@require_POST
def open_one(request: PersonRequest, pk: int) -> HttpResponse:
    """Leads to what a notice is about; it is read then."""
    notice = get_object_or_404(request.user.notices, pk=pk)
    request.user.notices.filter(pk=pk, read_at=None).update(read_at=timezone.now())
    return redirect(notice.link)


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def choices(request: PersonRequest) -> HttpResponse:
    """Which kinds, and how."""
    form = ChoicesForm(request.POST or None, person=request.user)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            choosing.choose(request.user, form.chosen())
            User.objects.filter(pk=request.user.pk).update(email=form.cleaned_data["email"])
        messages.success(request, gettext("Saved."))
        return redirect("annotation:notice-choices")
    context = {"form": form, "mails": choosing.sends_mails()}
    status = 422 if form.errors else 200
    return render(request, "annotation/notices/choices.html", context, status=status)


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def webhooks(request: PersonRequest) -> HttpResponse:
    """The webhooks of the site; a new one."""
    _require_superuser(request)
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.instance.created_by = request.user
        return redirect(form.save())
    context = {"form": form, "webhooks": Webhook.objects.all()}
    status = 422 if form.errors else 200
    return render(request, "annotation/notices/webhooks.html", context, status=status)


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def webhook(request: PersonRequest, pk: int) -> HttpResponse:
    """One webhook: its secret, its log, a test."""
    _require_superuser(request)
    found = get_object_or_404(Webhook, pk=pk)
    form = WebhookActionForm(request.POST or None)
    if request.method == "POST":
        if not form.is_valid():
            return HttpResponse("Unknown action.", status=422, content_type="text/plain")
        return _act(request, found, form.cleaned_data["action"])
    page = one_page(request, found.deliveries.select_related("notice"))
    context = {"webhook": found, "page": page}
    return render(request, "annotation/notices/webhook.html", context)


def _act(request: PersonRequest, found: Webhook, action: str) -> HttpResponse:
    if action == "delete":
        found.delete()
        messages.success(request, f"The webhook {found.name} is deleted, with its log.")
        return redirect("annotation:webhooks")
    if action == "test":
        delivering.test(found)
        messages.success(request, "A test is on its way; the log shows what comes of it.")
    else:
        Webhook.objects.filter(pk=found.pk).update(enabled=action == "turn-on")
    return redirect(found)


def _require_superuser(request: PersonRequest) -> None:
    if not request.user.is_superuser:
        raise PermissionDenied("Webhooks are made by superusers.")
