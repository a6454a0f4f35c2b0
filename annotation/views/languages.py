"""In which language and time zone pages speak: chosen for an account, or for this browser alone."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from annotation.forms.languages import LanguageForm, WordsAndTimeForm
from annotation.models import User
from config import languages
from config.requests import PersonRequest


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def page(request: PersonRequest) -> HttpResponse:
    """My language and my time zone."""
    form = WordsAndTimeForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        with languages.spoken_to(request.user):
            messages.success(request, gettext("Saved."))
        response = redirect("annotation:language")
        # What this browser was told before somebody logged in would speak again after they log out.
        _keep(response, form.cleaned_data["language"])
        return response
    status = 422 if form.errors else 200
    return render(request, "annotation/language.html", {"form": form}, status=status)


@require_POST
@never_cache
def choose(request: HttpRequest) -> HttpResponse:
    """The switch below pages outside the log-in; participants have no other."""
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure()):
        back = "/"
    form, response = LanguageForm(request.POST), redirect(back)
    if form.is_valid():
        chosen = form.cleaned_data["language"]
        if isinstance(request.user, User):
            User.objects.filter(pk=request.user.pk).update(language=chosen)
        _keep(response, chosen)
    return response


def _keep(response: HttpResponse, language: str) -> None:
    if not language:
        return response.delete_cookie(settings.LANGUAGE_COOKIE_NAME)
    return response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Lax",
    )
