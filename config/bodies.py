"""How large a request's body may be: small for strangers, large for people of this installation.

Asked twice, by one rule: by the web server, before it reads on (``config.server``), and by
the site, before anything reads the body (``BodyLimit``), whichever server it runs on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

OF_A_STRANGER = 2**20
"""Bytes. Names, passwords, codes: what is sent before logging in is small."""


def allowed(environ: dict[str, Any]) -> int:
    """Bytes that the sender of a request may send, of which the server knows the headers."""
    from django.contrib.auth.middleware import AuthenticationMiddleware
    from django.contrib.sessions.middleware import SessionMiddleware
    from django.db import close_old_connections

    from config.request_validation import Request

    close_old_connections()
    request = Request(environ)
    SessionMiddleware(_nothing).process_request(request)
    AuthenticationMiddleware(_nothing).process_request(request)
    return _allowed(request)


class BodyLimit:
    """Middleware: refuses a body that is too large before anything reads it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isascii() and length.isdigit() and int(length[:20]) > OF_A_STRANGER:
            most = _allowed(request)
            if int(length[:20]) > most:
                return _refusal(request, most)
        return self._get_response(request)


def _allowed(request: HttpRequest) -> int:
    known = request.user.is_authenticated or _has_token(request)
    return settings.LARGEST_BODY_MB * 2**20 if known else OF_A_STRANGER


def _has_token(request: HttpRequest) -> bool:
    from rest_framework.exceptions import AuthenticationFailed
    from rest_framework.request import Request

    from annotation.api.auth import TokenAuthentication

    try:
        return TokenAuthentication().authenticate(Request(request)) is not None
    except AuthenticationFailed:
        return False


def _refusal(request: HttpRequest, most: int) -> HttpResponse:
    from config import errors

    detail = f"At most {most // 2**20} MiB at a time."
    if most == OF_A_STRANGER:
        detail = "Log in first: so much is taken only from people who have."
    return errors.answer(request, 413, "Too much at once", detail)


def _nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()
