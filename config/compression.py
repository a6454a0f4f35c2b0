"""Pages and JSON are sent compressed; static files were compressed when they were collected.

What holds a secret beside words of the request tells the secret by its compressed length (BREACH).
Here the one secret of a page is the CSRF token, which Django masks anew each time; cookies are
SameSite, so no other site can make somebody's browser ask for pages; and a random length is added.
What is streamed stays as it is: pictures and archives are compressed already, and programs that
take up a broken download again rely on the same bytes.
"""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

COMPRESSED = ("text/", "application/json", "application/problem+json", "application/vnd.oai")


class CompressedPages(GZipMiddleware):
    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if response.streaming or not response.get("Content-Type", "").startswith(COMPRESSED):
            return response
        return super().process_response(request, response)
