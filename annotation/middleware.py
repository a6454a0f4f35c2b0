"""What holds on every page: a second factor where the installation demands one of administrators,
and trouble with storage said in words."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext

from annotation import second_factor
from annotation.models import User
from annotation.storage import StorageTrouble
from config import errors

log = logging.getLogger(__name__)

OPEN = (
    "/account/second-factor/",
    "/login/",
    "/logout/",
    "/static/",
    "/healthz/",
)


class AdministratorsShowSecondFactor:
    """Sends administrators who gave no code to the page on which they set one up.

    A request with an API token has no session and passes: the token was made behind the page.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.SECOND_FACTOR_FOR_ADMINISTRATORS:
            raise MiddlewareNotUsed
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if (
            request.path_info.startswith(OPEN)
            or request.session.get(second_factor.SESSION_MARK)
            or not isinstance(request.user, User)
            or not second_factor.required_of(request.user)
        ):
            return self._get_response(request)
        if request.path_info.startswith("/api/"):
            detail = gettext("Administrators need a second factor on this site.")
            return errors.answer(request, 403, gettext("A second factor is needed"), detail)
        if second_factor.device_of(request.user) is not None:
            # A session from before it was set up: the log-in asks for the code.
            logout(request)
            return redirect("login")
        return redirect("annotation:second-factor")


class SaysStorageTrouble:
    """Answers what a view let pass with 503 and the reason."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, StorageTrouble):
            return None
        log.error("%s: %s", request.path, error, exc_info=error)
        lost = gettext(
            "What you sent was not saved. If it stays so, tell the person who runs this site."
        )
        return errors.answer(request, 503, error.title, f"{error.detail}. {lost}")
