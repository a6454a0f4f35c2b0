"""A page's form that arrives twice is carried out once.

The second press of a double click, a proxy that tries again and a reload send the same fields with
the same ``form_id``, which a script gives to each form that a page shows (static/js/base.js). What
the first led to is where the others are led; while it is still being carried out, they wait.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from annotation.models import IdempotentAnswer, User

FIELD = "form_id"
LONGEST_ID = 64
LONGEST_PATH = 300


class FormsAreTakenOnce:
    """Middleware, behind that of who is logged in.

    Only what led on to another page was carried out: forms with faults, and pages that show a
    secret this once, leave no trace. The trace is written in the transaction of the work itself.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        by_page = request.method == "POST" and not request.path.startswith("/api/")
        if not by_page or not isinstance(request.user, User):
            return self._get_response(request)
        form_id = request.POST.get(FIELD, "")
        if not 0 < len(form_id) <= LONGEST_ID or len(request.path) > LONGEST_PATH:
            return self._get_response(request)
        fields = _sha256(request)
        key = hashlib.sha256(f"{form_id} {fields}".encode()).hexdigest()
        mine: dict[str, Any] = {"user": request.user, "key": f"form-{key}", "path": request.path}
        try:
            with transaction.atomic():
                trace = IdempotentAnswer.objects.create(
                    **mine, body_sha256=fields, status=0, answer={}
                )
                response = self._get_response(request)
                if response.status_code >= 500:
                    transaction.set_rollback(True)
                elif isinstance(response, HttpResponseRedirect):
                    trace.status, trace.answer = response.status_code, {"location": response.url}
                    trace.save(update_fields=["status", "answer"])
                else:
                    trace.delete()
                return response
        except IntegrityError:
            before = IdempotentAnswer.objects.filter(**mine).first()
            if before is None:
                raise
        return HttpResponseRedirect(before.answer["location"])


def _sha256(request: HttpRequest) -> str:
    """Of the fields and files, without what the form is known by."""
    digest = hashlib.sha256()
    for name in sorted(request.POST):
        if name not in (FIELD, "csrfmiddlewaretoken"):
            for value in request.POST.getlist(name):
                digest.update(f"{len(name)}:{name}={len(value)}:{value}".encode())
    for name in sorted(request.FILES):
        for file in request.FILES.getlist(name):
            digest.update(f"{len(name)}:{name}={file.size}:{file.name}".encode())
    return digest.hexdigest()
