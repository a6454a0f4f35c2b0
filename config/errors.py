"""Errors in our own words: a page for people, a sentence for scripts, problem details for REST.

Whatever refuses a request outside of a view ends here: Django's handlers, a form of another
session, ``require_POST``, a body that is too large. Views say 422 and the like themselves.
"""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import (
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext

PROBLEM = "application/problem+json"


def gettext_noop(text: str) -> str:
    """Marks a text; Django's own would read the settings, which are still reading this module."""
    return text


WORDS = {
    400: (
        gettext_noop("This request cannot be read"),
        gettext_noop(
            "Something in the address, or in what was sent, has a form that nothing here has."
        ),
    ),
    403: (
        gettext_noop("You may not open this page"),
        gettext_noop(
            "Your role in the project does not include it. A manager of the project can change "
            "that."
        ),
    ),
    404: (
        gettext_noop("Nothing is here"),
        gettext_noop(
            "The address may be wrong, or you are not a member of the project it belongs to."
        ),
    ),
    405: (
        gettext_noop("This address is not a page"),
        gettext_noop(
            "It takes only what a form sends. If you have just logged in: what you sent before "
            "that has not been saved. Go back, reload the page and send it again."
        ),
    ),
    413: (
        gettext_noop("Too much at once"),
        gettext_noop("What was sent is larger than this page takes."),
    ),
    429: (gettext_noop("Too many requests"), gettext_noop("Try again in a minute.")),
    500: (
        gettext_noop("Something went wrong on the server"),
        gettext_noop("The error is in the server's log. What you sent may not have been saved."),
    ),
}
OTHER_SESSION = (
    gettext_noop("This form belongs to another session"),
    gettext_noop(
        "You have logged in or out since the page was opened, or the browser keeps no cookies. "
        "Nothing was saved. Go back, reload the page and send it again."
    ),
)
OTHER_ADDRESS = (
    gettext_noop("This form was sent from an address that this site does not know"),
    gettext_noop(
        "Nothing was saved. Open the page anew under its usual address and send it again. If that "
        "is how you came here, the administrator can help: the proxy in front has to pass on the "
        "host with its port (proxy_set_header Host $http_host), or the address belongs into "
        "CSRF_TRUSTED_ORIGINS."
    ),
)
PLAIN_HTTP = (
    gettext_noop("The proxy in front says http, and the browser came by https"),
    gettext_noop(
        "Sent to https it would come back here for ever. The proxy has to pass on what the one "
        "before it says: proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto."
    ),
)
TOO_LARGE = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)


def answer(request: HttpRequest, status: int, title: str = "", detail: str = "") -> HttpResponse:
    """An error; without ``title`` and ``detail`` in the usual words for its status."""
    title, detail = gettext(title or WORDS[status][0]), gettext(detail or WORDS[status][1])
    if request.path_info.startswith("/api/"):
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        return JsonResponse(problem, status=status, content_type=PROBLEM)
    if request.headers.get("HX-Request") or not request.accepts("text/html"):
        plain = "text/plain; charset=utf-8"
        return HttpResponse(f"{title}. {detail}", status=status, content_type=plain)
    if status == 500:
        # Nothing that this page would ask for (a person, the database) may fail once more.
        return HttpResponse(render_to_string("500.html"), status=500)
    said = {"status": status, "title": title, "detail": detail}
    return render(request, "error.html", said, status=status)


class OwnWords:
    """Middleware: an error without a word, such as that of ``require_POST``, gets ours."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if response.status_code not in WORDS or response.streaming or response.content:
            return response
        ours = answer(request, response.status_code)
        if "Allow" in response:
            ours["Allow"] = response["Allow"]
        return ours


# --- What Django calls ----------------------------------------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, 413 if isinstance(exception, TOO_LARGE) else 400)


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    return answer(request, 500)


def other_session(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW. A form of a page of another address is no matter of the session."""
    is_elsewhere = reason.startswith(("Origin checking failed", "Referer checking failed"))
    return answer(request, 403, *(OTHER_ADDRESS if is_elsewhere else OTHER_SESSION))
