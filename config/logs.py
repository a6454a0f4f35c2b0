"""Log lines as JSON, each with the run and the request that it belongs to.

``LOG_FORMAT=json`` turns them on. What a line belongs to follows the code that runs (a context
variable), not the call that logs: libraries say it too. A thread starts with nothing of it.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
GIVEN = re.compile(r"[\w.:-]{1,64}")
# Addresses that are secrets themselves: an invitation, a public link, a study's link and the ids of
# whom it brings (see their routes).
SECRET_ADDRESS = re.compile(r"/(join|shared|study)/[^/\s?\"']+(?:/\?[^\s\"']*)?")
_context: ContextVar[Mapping[str, Any]] = ContextVar("log_context", default=MappingProxyType({}))
requests = logging.getLogger("factloop.requests")


@contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Every line that is logged within the block carries ``fields``."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def request_id() -> str:
    """The number of the request that is being answered; empty where there is none."""
    return str(_context.get().get("request_id", ""))


def without_secrets(text: str) -> str:
    """``text`` with the secret part of addresses left out, whoever wrote them into it."""
    return SECRET_ADDRESS.sub(r"/\1/...", text)


class PlainFormatter(logging.Formatter):
    """Lines for people, without the addresses that are secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, what it is about, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
            **_context.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class RequestLog:
    """Middleware: a number for each request, in every line about it and in the answer.

    With LOG_FORMAT=json a line tells how each request ended. It names the route and not the
    address, in which a secret may stand (an invitation).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "")
        number = given if GIVEN.fullmatch(given) else uuid.uuid4().hex
        began = time.perf_counter()
        with about(request_id=number):
            response = self._get_response(request)
            response[HEADER] = number
            if settings.LOG_FORMAT == "json":
                self._tell(request, response, time.perf_counter() - began)
        return response

    def _tell(self, request: HttpRequest, response: HttpResponse, seconds: float) -> None:
        match = request.resolver_match
        fields = {
            "method": request.method,
            "route": match.route if match is not None else "",
            "status": response.status_code,
            "milliseconds": round(1000 * seconds, 1),
        }
        requests.info("request", extra={"fields": fields})
