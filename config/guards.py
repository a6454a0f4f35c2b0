"""What a request says, looked at once before any view: names and values that no row can hold.

JSON of the REST API is looked at by its parser (annotation.api.base), which names the field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse

from config import errors
from config.outside import is_storable


class StorableTexts:
    """Middleware: 400 for a NUL or half a surrogate pair in an address or in a page's form."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not all(map(is_storable, (request.path_info, *_texts(request.GET.lists())))):
            return errors.answer(request, 400)
        return self._get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        # Behind the check of the form's token, which has read the body by now.
        form = request.method == "POST" and not request.path_info.startswith("/api/")
        if form and not all(map(is_storable, _texts(request.POST.lists()))):
            return errors.answer(request, 400)
        return None


def _texts(lists: Iterable[tuple[str, list[str]]]) -> Iterable[str]:
    for name, values in lists:
        yield name
        yield from values
