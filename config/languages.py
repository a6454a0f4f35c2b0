"""In which language and in which time zone a page speaks: those of the person whom it is for.

Programs are spoken to in English, whatever they ask for: what REST, probes and tasks say is matched
and kept by others. Figures are written alike in all languages (config/formats): a template puts the
same number into a sentence, an attribute and a chart.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers

IN_ENGLISH = ("/api/", "/healthz/", "/metrics", "/shared/", settings.STATIC_URL)
"""What programs read, and the cards that are shared with everybody."""


class SpeaksTheirLanguage:
    """Middleware: behind that of who is logged in, before all that says anything to people.

    What somebody has chosen for their account comes first, then the choice in this browser (a
    cookie), then what the browser says that they read.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(IN_ENGLISH):
            return self._get_response(request)
        language, zone = of_person(request.user)
        asked = language or translation.get_language_from_request(request)
        with translation.override(asked), timezone.override(zone):
            response = self._get_response(request)
        if not language:
            patch_vary_headers(response, ("Accept-Language",))
        response.headers.setdefault("Content-Language", asked)
        return response


def of_person(person: object) -> tuple[str, zoneinfo.ZoneInfo | None]:
    """The language and the zone that somebody has chosen; "" and None where they have not."""
    language = getattr(person, "language", "")
    return (language if language in dict(settings.LANGUAGES) else ""), _zone(
        getattr(person, "time_zone", "")
    )


@contextmanager
def spoken_to(person: object) -> Iterator[None]:
    """What is written within is for ``person``: in their language and zone."""
    language, zone = of_person(person)
    with translation.override(language or settings.LANGUAGE_CODE), timezone.override(zone):
        yield


def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None  # An update of the system took it away.


@cache
def zones() -> dict[str, list[str]]:
    """Names of time zones by their region, as "Europe" -> ["Europe/Berlin", …]; "" holds UTC."""
    found: dict[str, list[str]] = {"": ["UTC"]}
    for name in sorted(zoneinfo.available_timezones()):
        region, _, place = name.partition("/")
        if place and region not in ("Etc", "SystemV", "US", "posix", "right"):
            found.setdefault(region, []).append(name)
    return found
