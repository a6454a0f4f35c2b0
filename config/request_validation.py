"""What a request says, looked at once before any view: names and values that no row can hold.

JSON of the REST API is looked at by its parser (annotation.api.base), which names the field.
"""

from __future__ import annotations

import codecs
import functools
from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIRequest, get_str_from_wsgi
from django.http import HttpRequest, HttpResponse, parse_cookie
from django.utils.functional import cached_property
from django.utils.http import parse_header_parameters

from config import errors
from config.sanitising import is_storable

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
LONGEST_TYPE = 1000
"""Letters of Content-Type and Accept; a longer one cannot be read, for both are read in quadratic
time: quotes are counted from the beginning at each semicolon. A boundary has 70 (RFC 2046)."""
SAME_AS_UTF_8 = ("utf-8", "utf-8-sig", "ascii")


class Request(WSGIRequest):
    """One that exists whatever its headers say, and whose address and form are UTF-8.

    Django reads both by the charset of Content-Type, which may be no text (base64) or read nothing
    (undefined), and does so while it makes the request, where nothing of it catches an error. A
    Content-Type that cannot be read is empty here; an Accept like that says nothing.

    Whatever a head says is read in linear time.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        if not _is_parseable(environ.get("HTTP_ACCEPT", "")):
            environ["HTTP_ACCEPT"] = "*/*"
        super().__init__(environ)

    @cached_property
    def COOKIES(self) -> dict[str, str]:  # type: ignore[override]  # a property there, too
        """Those whose values have no backslash, which none has that is set here.

        Python before 3.11.10 undoes the backslashes of a quoted value in quadratic time
        (CVE-2024-7592): one head of 32 kB, by anybody, took four seconds.
        """
        pairs = get_str_from_wsgi(self.environ, "HTTP_COOKIE", "").split(";")
        return parse_cookie(";".join(pair for pair in pairs if "\\" not in pair))

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        said = meta.get("CONTENT_TYPE", "")
        try:
            self.content_type, self.content_params = parse_header_parameters(
                said if len(said) <= LONGEST_TYPE else ""
            )
        except ValueError:  # UnicodeError is one.
            self.content_type, self.content_params = "", {}


@functools.lru_cache(256)
def _is_parseable(header: str) -> bool:
    if len(header) > LONGEST_TYPE:
        return False
    try:
        for part in header.split(","):
            parse_header_parameters(part)
    except ValueError:
        return False
    return True


class StorableTexts:
    """Middleware: 400 for a NUL or half a surrogate pair in an address or in a page's form, for a
    form in another charset than UTF-8, for a Content-Type that cannot be read, and for a NUL in any
    header."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not _is_readable(request):
            return errors.answer(request, 400)
        if not all(map(is_storable, (request.path_info, *_texts(request.GET.lists())))):
            return errors.answer(request, 400)
        return self._get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        # Behind the check of the form's token, which has read the body by now.
        form = request.method == "POST" and not request.path_info.startswith("/api/")
        if form and not all(map(is_storable, _texts(request.POST.lists()))):
            return errors.answer(request, 400)
        return None


def _is_readable(request: HttpRequest) -> bool:
    if request.META.get("CONTENT_TYPE") and not request.content_type:
        return False
    if any("\0" in said for name, said in request.META.items() if name.startswith("HTTP_")):
        return False  # Wrong log-ins are written down with what their headers say.
    charset = (request.content_params or {}).get("charset")
    if charset is None or request.content_type not in FORMS:
        return True
    try:
        return codecs.lookup(charset).name in SAME_AS_UTF_8
    except (LookupError, ValueError):
        return True  # Nobody knows it; Django takes such a form as UTF-8.


def _texts(lists: Iterable[tuple[str, list[str]]]) -> Iterable[str]:
    for name, values in lists:
        yield name
        yield from values
