"""Who calls the API: bearer tokens, looked up by digest, each with its scopes.

Scopes limit what a token may do; membership (``annotation.access``) decides about the object.
A person who is logged in through the browser has every scope.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from annotation.models import ApiToken, User
from annotation.models.people import digest_of
from annotation.prepared_statements import Columns, Statement

if TYPE_CHECKING:
    # rest_framework.views imports this module by way of its settings.
    from rest_framework.views import APIView

KEYWORD = "Bearer"
LAST_USED_RESOLUTION = timedelta(minutes=1)

TOKEN = Columns(ApiToken, "token")
USER = Columns(User, "person")
# Neither revoked nor expired, of a person who may still log in; participants use pages alone.
USABLE = Statement(f"""
SELECT {TOKEN}, {USER}
FROM annotation_apitoken AS token
JOIN annotation_user AS person ON person.id = token.user_id
WHERE token.digest = %(digest)s
  AND (token.expires_at IS NULL OR token.expires_at > %(now)s)
  AND token.revoked_at IS NULL
  AND person.is_active
  AND NOT person.is_participant
""")


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer fl_…``."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        parts = get_authorization_header(request).decode("latin-1").split()
        if not parts or parts[0].lower() != KEYWORD.lower():
            return None
        if len(parts) != 2:
            raise AuthenticationFailed("The Authorization header must be: Bearer, then the token.")
        row = USABLE.row(digest=digest_of(parts[1]), now=timezone.now())
        if row is None:
            raise AuthenticationFailed("The token is unknown, expired or revoked.")
        columns = iter(row)
        token = TOKEN.read(columns)
        token.user = USER.read(columns)
        self._note_use(token)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return KEYWORD

    def _note_use(self, token: ApiToken) -> None:
        # Once a minute at most: a write on each request would serialise a busy client.
        now = timezone.now()
        if token.last_used_at is None or now - token.last_used_at > LAST_USED_RESOLUTION:
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)


class HasScope(BasePermission):
    """Allows a request whose token has the scope that the view names for its method.

    A view sets ``scopes = {"GET": "read", "POST": "manage"}``; a method that is not listed is
    refused to tokens, so that a forgotten entry is never an open door.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.auth, ApiToken):
            return True
        scopes: dict[str, str] = getattr(view, "scopes", {})
        method = {"HEAD": "GET", "OPTIONS": "GET"}.get(request.method or "", request.method or "")
        scope = scopes.get(method)
        self.message = f"The token lacks the scope {scope!r}."
        return scope is not None and request.auth.allows(scope)
