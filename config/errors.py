"""Errors in our own words: a page for people, a sentence for a fragment, problem details for REST.

Django's handlers (404, 403, 400, 500), its words for a form from elsewhere, the answers of
``require_POST`` and what middleware refuses all end here.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

PROBLEM = "application/problem+json"


def answer(request: HttpRequest, status: int, title: str, detail: str) -> HttpResponse:
    if request.path_info.startswith("/api/"):
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        return JsonResponse(problem, status=status, content_type=PROBLEM)
    if request.headers.get("HX-Request"):
        return HttpResponse(detail, status=status, content_type="text/plain; charset=utf-8")
    said = {"status": status, "title": title, "detail": detail}
    return render(request, "error.html", said, status=status)
