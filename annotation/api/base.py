"""What all views of the API share: scopes, known query parameters, pages, repeated requests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import IO, Any, overload

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import APIException, NotFound, ParseError, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.errors import DomainError
from annotation.models import IdempotentAnswer, User
from config.sanitising import NotJson, find_unstorable, parse_json, whole_number

IDEMPOTENCY_HEADER = "Idempotency-Key"
LONGEST_KEY = 100
PAGING_PARAMETERS = frozenset({"cursor", "page_size"})


class KeyReused(DomainError):
    status = 422
    title = "The idempotency key belongs to another request"


class ById(CursorPagination):
    """Oldest first, by primary key: a page never shifts while rows are added."""

    ordering = "pk"
    page_size_query_param = "page_size"
    max_page_size = 1000

    def decode_cursor(self, request: Request) -> Any:
        """Positions are primary keys; whatever else stands in a cursor was not made here."""
        cursor = super().decode_cursor(request)
        if cursor is None or cursor.position is None:
            return cursor
        if whole_number(cursor.position, most=2**63 - 1) is None:
            raise NotFound(self.invalid_cursor_message)
        return cursor


class BodyTooLarge(DomainError):
    status = 413
    title = "The body is too large"


class BoundedJSONParser(JSONParser):
    """JSON of at most DATA_UPLOAD_MAX_MEMORY_SIZE bytes, which DRF's own parser does not heed, of
    what can be stored, and of numbers that every reader holds."""

    def parse(self, stream: IO[bytes], media_type: Any = None, parser_context: Any = None) -> Any:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(most + 1)
        if len(body) > most:
            raise BodyTooLarge(f"At most {most // 2**20} MiB at a time.")
        try:
            value = parse_json(body)
        except NotJson as error:
            raise ParseError(f"The body {error}.") from None
        where = find_unstorable(value)
        if where is not None:
            raise ValidationError({where or "body": "holds characters that cannot be stored"})
        return value


ARCHIVED = {"false": False, "true": True, "any": None}
"""What the parameter ``archived`` of lists may be, and what it asks for."""
ARCHIVED_PARAMETER = OpenApiParameter("archived", enum=list(ARCHIVED), default="false")


def archived_of(request: Request) -> bool | None:
    """Whether archived rows alone are asked for, none of them, or (None) all. Raises
    ValidationError."""
    said = request.query_params.get("archived", "false")
    if said not in ARCHIVED:
        raise ValidationError({"archived": f"Must be one of {', '.join(ARCHIVED)}."})
    return ARCHIVED[said]


class KnownParameters:
    """Refuses query parameters that the view does not name in ``parameters``."""

    parameters: frozenset[str] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        unknown = sorted(set(request.query_params) - self.parameters - PAGING_PARAMETERS)
        if unknown:
            raise ValidationError(dict.fromkeys(unknown, "This parameter is not known here."))


def user_of(request: Request) -> User:
    """The person a request speaks for; the views all demand one."""
    assert isinstance(request.user, User)
    return request.user


View = Callable[..., Response]


@overload
def idempotent(view: View) -> View: ...
@overload
def idempotent(*, secrets: tuple[str, ...]) -> Callable[[View], View]: ...
def idempotent(
    view: View | None = None, *, secrets: tuple[str, ...] = ()
) -> View | Callable[[View], View]:
    """Answers a request with a known Idempotency-Key as it was answered the first time.

    The key is written in the transaction of the work itself: a request that failed leaves none,
    and one that is sent twice at once waits for the other. ``secrets`` names members of the answer
    that are shown once and never stored; the second time they are null. Who may not send the
    request any more gets no answer to it either (``_require_allowed_now``).
    """
    if view is None:
        return lambda decorated: _idempotent(decorated, secrets)
    return _idempotent(view, secrets)


def _idempotent(view: View, secrets: tuple[str, ...]) -> View:
    @wraps(view)
    def wrapped(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(IDEMPOTENCY_HEADER, "")
        if not key:
            return view(self, request, *args, **kwargs)
        if len(key) > LONGEST_KEY or not key.isprintable():
            raise ValidationError({IDEMPOTENCY_HEADER: f"At most {LONGEST_KEY} plain characters."})
        body = _body_sha256(request)
        mine: dict[str, Any] = {"user": user_of(request), "key": key, "path": request.path}
        try:
            with transaction.atomic():
                answer = IdempotentAnswer.objects.create(
                    **mine, body_sha256=body, status=0, answer={}
                )
                response = view(self, request, *args, **kwargs)
                answer.status = response.status_code
                answer.answer = {**response.data, **dict.fromkeys(secrets)}
                answer.save(update_fields=["status", "answer"])
                return response
        except IntegrityError:
            before = IdempotentAnswer.objects.filter(**mine).first()
            if before is None:
                raise
        _require_allowed_now(view, self, request, *args, **kwargs)
        if before.body_sha256 != body:
            raise KeyReused("The key was used with another body; make a new one.")
        return Response(before.answer, status=before.status)

    wrapped.idempotent = True  # type: ignore[attr-defined]
    return wrapped


class _FirstWrite(BaseException):
    """The request has passed all that a first one must; no ``except Exception`` stops it."""


WRITES = ("INSERT", "UPDATE", "DELETE", "SAVEPOINT")


def _stop_at_first_write(execute: Any, sql: str, *rest: Any) -> Any:
    if sql.lstrip().startswith(WRITES):
        raise _FirstWrite
    return execute(sql, *rest)


def _require_allowed_now(view: View, *args: Any, **kwargs: Any) -> None:
    """Carries the request out once more, up to its first write: a view asks before it writes.

    Raises what refuses the person, which a view finds out before it looks at the rest. That the
    rest would fail now, because it is done, is no refusal.
    """
    try:
        # Inside a transaction, in which a view's own is a savepoint; whatever happens is undone.
        with transaction.atomic(), connection.execute_wrapper(_stop_at_first_write):
            view(*args, **kwargs)
            transaction.set_rollback(True)
    except _FirstWrite:
        return
    except (Http404, PermissionDenied):
        raise
    except APIException as error:
        if error.status_code in (401, 403, 404):
            raise
    except DomainError:
        return


def _body_sha256(request: Request) -> str:
    """Of what was sent; of a form with files its fields and files, however they were separated."""
    kind = (request.content_type or "").lower()
    if not kind.startswith("multipart/"):
        raw = request.data if isinstance(request.data, bytes) else request._request.body
        return hashlib.sha256(raw).hexdigest()
    digest = hashlib.sha256()
    form: Any = request.data
    for name in sorted(form):
        for value in form.getlist(name):
            digest.update(f"{len(name)}:{name}=".encode())
            if hasattr(value, "chunks"):
                digest.update(f"{value.name}:{value.size}:".encode())
                for chunk in value.chunks():
                    digest.update(chunk)
                value.seek(0)
            else:
                digest.update(f"{len(value)}:{value}".encode())
    return digest.hexdigest()
