"""Logging in: the password, then a code where the person has a second factor.

Nobody is logged in between the two: the session remembers for a few minutes who is known already,
and every page but the one that asks for the code still sees a stranger. Who comes from a provider
of single sign-on (annotation.single_sign_on) is asked for the code by the same page.
"""

from __future__ import annotations

import time
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_lockout_response
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.signals import user_login_failed
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from annotation import second_factor
from annotation.forms.account import CodeForm
from annotation.models import User
from config import errors

WAITING = "password_was_right"
PATIENCE_SECONDS = 300
BACKEND = "django.contrib.auth.backends.ModelBackend"


class LogIn(LoginView):
    template_name = "login.html"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.LOCAL_LOGIN:
            detail = gettext("%(name)s logs people in here.") % {"name": settings.OIDC_NAME}
            return errors.answer(
                request, 403, gettext("Passwords do not log in on this site"), detail
            )
        return super().post(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | ways_in()

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        if not isinstance(user, User) or second_factor.device_of(user) is None:
            return super().form_valid(form)
        return wait_for_code(self.request, user, self.get_success_url())


def ways_in() -> dict[str, Any]:
    """For pages on which people log in: whether passwords do, and the provider's name or ""."""
    return {
        "local": settings.LOCAL_LOGIN,
        "provider": settings.OIDC_NAME if settings.OIDC_PROVIDER_ID else "",
    }


def wait_for_code(
    request: HttpRequest, user: User, target: str, *, seconds: int | None = None
) -> HttpResponse:
    """Leads somebody who is known to the page that asks for the code, and from there to ``target``.

    ``seconds``: how long the session lasts after it; None for the usual time.
    """
    session = request.session
    # Whoever knew the key of this session before the log-in knows nothing of it now.
    session.cycle_key()
    session[WAITING] = {
        "user": user.pk,
        "password": user.get_session_auth_hash(),
        "until": time.time() + PATIENCE_SECONDS,
        "next": target,
        "seconds": seconds,
    }
    session.set_expiry(PATIENCE_SECONDS)
    return redirect("login-code")


@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters("code")
def code(request: HttpRequest) -> HttpResponse:
    """Asks for the code of somebody who is known already."""
    waiting = request.session.get(WAITING, {})
    user = _whose(waiting)
    if user is None:
        return redirect("login")
    credentials = {"username": user.get_username()}
    if not AxesProxyHandler.is_allowed(request, credentials):
        return get_lockout_response(request, credentials=credentials)
    form = CodeForm(request.POST or None)
    form.fields["code"].widget.attrs["autofocus"] = True
    if request.method == "POST" and form.is_valid():
        problem = second_factor.check(user, form.cleaned_data["code"])
        if not problem:
            login(request, user, backend=BACKEND)
            # Of another person's session Django has made a new one, which waits for nobody.
            request.session.pop(WAITING, None)
            request.session.set_expiry(waiting["seconds"])
            request.session[second_factor.SESSION_MARK] = True
            return redirect(waiting["next"])
        form.add_error("code", problem)
        user_login_failed.send(sender=__name__, credentials=credentials, request=request)
    return render(request, "login_code.html", {"form": form}, status=422 if form.errors else 200)


def _whose(waiting: dict[str, Any]) -> User | None:
    """The person, unless it was too long ago or the password has changed since."""
    until = waiting.get("until")
    if not isinstance(until, float) or until < time.time():
        return None
    user = User.objects.filter(pk=waiting["user"], is_active=True).first()
    if user is None:
        return None
    same = constant_time_compare(str(waiting["password"]), user.get_session_auth_hash())
    return user if same else None
