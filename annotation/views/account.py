"""What a person may change about their own account: API tokens and the password."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from annotation.forms.account import TokenForm
from annotation.models import ApiToken
from config import errors
from config.requests import PersonRequest


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def tokens(request: PersonRequest) -> HttpResponse:
    """My tokens; a new one's text is part of this answer and of no later one."""
    form, raw = TokenForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        _, raw = ApiToken.create(request.user, **form.cleaned_data)
        form = TokenForm()
    context = {"form": form, "raw": raw, "tokens": request.user.api_tokens.all()}
    return render(request, "annotation/tokens.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def revoke(request: PersonRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(request.user.api_tokens, pk=pk)
    token.revoke()
    messages.success(
        request, gettext("The token “%(name)s” can no longer be used.") % {"name": token.name}
    )
    return redirect("annotation:tokens")


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters()
def password(request: PersonRequest) -> HttpResponse:
    """A new password for whoever knows the old one; other browsers are logged out by it."""
    if not request.user.has_usable_password():
        return errors.answer(
            request,
            409,
            gettext("You have no password here"),
            gettext("Something else logs you in."),
        )
    form = PasswordChangeForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        update_session_auth_hash(request, form.save())
        messages.success(
            request, gettext("Your password is changed. Other browsers are logged out.")
        )
        return redirect("home")
    status = 422 if form.errors else 200
    return render(request, "annotation/password.html", {"form": form}, status=status)
