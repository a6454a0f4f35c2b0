"""A person's own second factor: setting it up, new recovery codes, turning it off."""

from __future__ import annotations

from base64 import b32encode
from typing import Any

import segno
from django import forms
from django.contrib import messages
from django.contrib.auth import authenticate
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from annotation import second_factor
from annotation.forms.account import CodeForm, OwnPasswordForm
from config.requests import PersonRequest

WRONG_PASSWORD = gettext_lazy("That is not your password.")


@login_required
@require_safe
@never_cache
def page(request: PersonRequest) -> HttpResponse:
    return _page(request)


@login_required
@require_POST
@sensitive_post_parameters("password")
def begin(request: PersonRequest) -> HttpResponse:
    """Makes a key; the page then shows it until a code confirms it."""
    if second_factor.device_of(request.user) is not None:
        return redirect("annotation:second-factor")
    form = proof_of(request)
    if not form.is_valid():
        return _page(request, password_form=form)
    second_factor.begin(request.user)
    return redirect("annotation:second-factor")


@login_required
@require_POST
@never_cache
@sensitive_post_parameters("code")
def confirm(request: PersonRequest) -> HttpResponse:
    """Turns it on; the recovery codes are part of this answer and of no later one."""
    form = CodeForm(request.POST)
    codes: list[str] = []
    if form.is_valid():
        codes, problem = second_factor.confirm(request.user, form.cleaned_data["code"])
        if problem:
            form.add_error("code", problem)
    if not codes:
        return _page(request, code_form=form)
    request.session[second_factor.SESSION_MARK] = True
    return _page(request, recovery_codes=codes)


@login_required
@require_POST
@never_cache
@sensitive_post_parameters("password")
def renew_codes(request: PersonRequest) -> HttpResponse:
    form = proof_of(request)
    if second_factor.device_of(request.user) is None or not form.is_valid():
        return _page(request, password_form=form)
    return _page(request, recovery_codes=second_factor.renew_recovery_codes(request.user))


@login_required
@require_POST
@sensitive_post_parameters("password")
def turn_off(request: PersonRequest) -> HttpResponse:
    form = proof_of(request)
    if not form.is_valid():
        return _page(request, password_form=form)
    second_factor.turn_off(request.user)
    request.session.pop(second_factor.SESSION_MARK, None)
    messages.success(request, gettext("Your password alone logs you in now."))
    return redirect("annotation:second-factor")


def proof_of(request: PersonRequest, *, fresh: bool = False) -> forms.Form:
    """The form by which a person shows that it is still them, filled in unless ``fresh``.

    The password; who has none, because a provider logs them in, a code of their second factor;
    who has neither shows nothing. Whether the password is right goes through log-in's throttle: no
    page is a way round it.
    """
    sent = None if fresh else request.POST
    if request.user.has_usable_password():
        form: forms.Form = OwnPasswordForm(sent)
        if form.is_valid():
            name = request.user.get_username()
            known = authenticate(request, username=name, password=form.cleaned_data["password"])
            if known != request.user:
                form.add_error("password", WRONG_PASSWORD)
    elif second_factor.device_of(request.user) is not None:
        form = CodeForm(sent)
        problem = (
            second_factor.check(request.user, form.cleaned_data["code"]) if form.is_valid() else ""
        )
        if problem:
            form.add_error("code", problem)
    else:
        form = forms.Form(sent)
    return form


def _page(request: PersonRequest, **context: Any) -> HttpResponse:
    device, fresh = second_factor.device_of(request.user), second_factor.begun(request.user)
    sent = [context.get("password_form"), context.get("code_form")]
    failed = any(form is not None and form.errors for form in sent)
    context = {
        "device": device,
        "required": second_factor.required_of(request.user),
        "codes_left": request.user.recovery_codes.filter(used_at=None).count(),
        "password_form": proof_of(request, fresh=True),
        "code_form": CodeForm(),
        **context,
    }
    if device is None and fresh is not None:
        context |= {"fresh": fresh, "key": _grouped(fresh), "picture": _picture(fresh)}
    status = 422 if failed else 200
    return render(request, "annotation/second_factor.html", context, status=status)


def _grouped(device: Any) -> str:
    """The key as apps take it by hand: base 32 in groups of four."""
    key = b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(key[at : at + 4] for at in range(0, len(key), 4))


def _picture(device: Any) -> str:
    """A QR code as the address of an image, dark on light in every theme."""
    code = segno.make(device.config_url, error="m")
    address: str = code.svg_data_uri(scale=5, border=3, light="#fff", dark="#111")
    return address
