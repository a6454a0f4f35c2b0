"""Errors of the API as problem details (RFC 9457), one shape for all of them."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from annotation.errors import DomainError

CONTENT_TYPE = "application/problem+json"
TITLES: dict[type[Exception], str] = {
    exceptions.MethodNotAllowed: "Method not allowed",
    exceptions.UnsupportedMediaType: "Unsupported media type",
}
"""Where the framework's own text is a pattern that the detail fills in."""


def problem_details(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler; None (a 500 without detail) for what nobody foresaw."""
    if isinstance(error, DomainError):
        return _problem(error.status, error.title, error.detail, **error.extra)
    if isinstance(error, RequestDataTooBig):
        return _problem(413, "The body is too large", str(error))
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, exceptions.ValidationError):
        body = _problem(
            response.status_code,
            "The request has invalid fields",
            "See errors.",
            errors=_field_errors(error.detail),
        )
    else:
        body = _problem(response.status_code, _title(error), _detail(error))
    for header in ("WWW-Authenticate", "Retry-After"):
        if header in response:
            body[header] = response[header]
    return body


def _problem(status: int, title: str, detail: str, **extra: Any) -> Response:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}
    return Response(body, status=status, content_type=CONTENT_TYPE)


def _title(error: Exception) -> str:
    if isinstance(error, (Http404, exceptions.NotFound)):
        return "Not found"
    if isinstance(error, PermissionDenied):
        return "Not allowed"
    for kind, title in TITLES.items():
        if isinstance(error, kind):
            return title
    if isinstance(error, exceptions.APIException):
        return str(error.default_detail).rstrip(".")
    return "The request cannot be carried out"


def _detail(error: Exception) -> str:
    if isinstance(error, Http404):
        return "There is no such thing, or it is not yours to see."
    if isinstance(error, PermissionDenied):
        return str(error) or "Your role does not allow this."
    return str(getattr(error, "detail", error))


def _field_errors(detail: Any, path: str = "") -> list[dict[str, str]]:
    """A flat list of {"field", "reason"}; nested fields are joined by dots."""
    if isinstance(detail, dict):
        nested = [_field_errors(value, _join(path, name)) for name, value in detail.items()]
        return [entry for entries in nested for entry in entries]
    if isinstance(detail, list) and any(isinstance(item, dict) for item in detail):
        nested = [_field_errors(item, _join(path, i)) for i, item in enumerate(detail)]
        return [entry for entries in nested for entry in entries]
    reasons = detail if isinstance(detail, list) else [detail]
    return [{"field": path or "body", "reason": str(reason)} for reason in reasons]


def _join(path: str, name: str | int) -> str:
    if isinstance(name, int):
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else name
