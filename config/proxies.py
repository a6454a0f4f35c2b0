"""Who asked, where a reverse proxy stands in front (BEHIND_PROXY).

Without this everybody has the proxy's address: ten wrong passwords for a name would lock out its
owner too, and one stranger's guesses at public links would use up everybody's.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from django.http import HttpRequest, HttpResponse


class ClientAddress:
    """Middleware behind exactly one proxy: REMOTE_ADDR becomes the address that the proxy saw.

    That is the last one in X-Forwarded-For: a proxy appends, and what stands before its own entry
    was sent by the client and may be invented.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        last = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if _is_address(last):
            request.META["REMOTE_ADDR"] = last
        return self._get_response(request)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
