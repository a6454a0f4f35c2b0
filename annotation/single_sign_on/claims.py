"""What the provider says of a person who has just logged in there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings


@dataclass(frozen=True)
class Claims:
    """Claims that something here depends on.

    email: empty unless the provider says that it is theirs (``email_verified``).
    groups: the claim that OIDC_GROUPS_CLAIM names; empty where there is none.
    second_factor: whether the provider asked for more than one factor (``amr`` has "mfa",
        RFC 8176).
    nonce: what the ID token repeats of the request that it answers.
    """

    username: str
    email: str
    groups: frozenset[str]
    second_factor: bool
    nonce: str


def read(data: dict[str, Any]) -> Claims:
    """``data`` has the parts "userinfo" and "id_token", each a dictionary of claims or absent.

    Userinfo goes before the ID token, except for how the person was authenticated: that stands
    in the token alone (OpenID Connect Core 1.0, 2).
    """
    token, info = _part(data, "id_token"), _part(data, "userinfo")
    said = {**token, **info}
    groups = said.get(settings.OIDC_GROUPS_CLAIM) or []
    methods = token.get("amr")
    return Claims(
        username=_text(said.get("preferred_username")),
        email=_text(said.get("email")) if said.get("email_verified") is True else "",
        groups=frozenset(map(str, groups if isinstance(groups, list) else [groups])),
        second_factor=isinstance(methods, list) and "mfa" in methods,
        nonce=_text(token.get("nonce")),
    )


def _part(data: dict[str, Any], name: str) -> dict[str, Any]:
    part = data.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
