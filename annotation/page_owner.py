"""A page speaks for the person whom it was made for, and for nobody else who is logged in.

It outlives its session: it goes on posting when nobody is logged in any more, or somebody else is.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, gettext_noop

from annotation.models import User

PERSON_HEADER = "X-Person"
STORED_HEADER = "X-Stored"
SESSION_ENDED = gettext_noop(
    "Your session had ended, so nothing was stored. Please do it once more."
)


def says_stored(response: HttpResponse) -> HttpResponse:
    """Of an answer that waited in a browser: it is in the database, and the browser may forget it.

    That it was a success does not say so: a gate of a network, or a proxy at work, answers whatever
    is sent with a page of its own and 200.
    """
    response[STORED_HEADER] = "yes"
    return response


class PagesSpeakForTheirPerson:
    """Refuses, with 401, what a page sends in the background for somebody who is not logged in now.

    Each page names in ``X-Person`` the pseudonym of whom it was made for. Without this, what waits
    in a shared browser would be answered as the next person's, and a session's end would put the
    log-in where a fragment belongs. The header of the answer says "nobody" or "other".
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        named = request.headers.get(PERSON_HEADER)
        if named is None:
            return self._get_response(request)
        here = str(request.user.pseudonym) if isinstance(request.user, User) else ""
        if named and named == here:
            return self._get_response(request)
        said = (
            gettext("Somebody else is logged in in this browser.")
            if here
            else gettext("You are logged out.")
        )
        headers = {
            PERSON_HEADER: "other" if here else "nobody",
            "WWW-Authenticate": "Session",
            "Cache-Control": "no-store",
        }
        return HttpResponse(said, status=401, content_type="text/plain", headers=headers)


class LogInLeadsBackToThePage:
    """A form that is sent after its session's end leads by the log-in back to its page.

    The address that it was sent to may know no GET, or do something else with one.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        log_in = resolve_url(settings.LOGIN_URL)
        location = response.headers.get("Location", "")
        if request.method != "POST" or not location.startswith(f"{log_in}?next="):
            return response
        if request.POST.get("next") == location:  # There it was to lead: the form stands on it.
            return response
        messages.warning(request, gettext(SESSION_ENDED))
        page = request.headers.get("Referer", "")
        if not url_has_allowed_host_and_scheme(page, {request.get_host()}, request.is_secure()):
            return redirect(log_in)
        return redirect_to_login(
            urlsplit(page)._replace(scheme="", netloc="", fragment="").geturl()
        )
