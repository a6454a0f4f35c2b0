"""Reading the settings of single sign-on (``OIDC_…``) and refusing those that cannot work."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

ADMINISTRATOR = "administrator"
ROLES = ("annotator", "reviewer", "manager")
"""Of a project, each with the rights of the ones before it (annotation.models.projects.Role)."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Grants:
    """What the groups of the provider give.

    administrators: groups whose members are administrators of the installation.
    projects: a group's role in projects, by slug.
    """

    administrators: frozenset[str]
    projects: dict[str, dict[str, str]]

    def roles(self, groups: frozenset[str]) -> dict[str, str]:
        """The highest role that ``groups`` give, by the slug of the project."""
        highest: dict[str, str] = {}
        for group in groups & self.projects.keys():
            for slug, role in self.projects[group].items():
                if slug not in highest or ROLES.index(role) > ROLES.index(highest[slug]):
                    highest[slug] = role
        return highest


def read_grants(text: str) -> Grants:
    """``OIDC_GROUPS`` as it stands in the environment. Raises ImproperlyConfigured."""
    try:
        return grants(json.loads(text or "{}"))
    except (ValueError, RecursionError) as error:
        raise ImproperlyConfigured(f"OIDC_GROUPS is no JSON: {error}") from None


def grants(value: Any) -> Grants:
    """What an object gives: group → "administrator", "PROJECT:ROLE" or a list of such."""
    if not isinstance(value, dict):
        raise ImproperlyConfigured('OIDC_GROUPS is an object, such as {"lab": "street:annotator"}')
    administrators, projects = set(), {}
    for group, given in value.items():
        roles: dict[str, str] = {}
        for one in given if isinstance(given, list) else [given]:
            slug, colon, role = one.rpartition(":") if isinstance(one, str) else ("", "", "")
            if one == ADMINISTRATOR:
                administrators.add(group)
            elif colon and slug and role in ROLES:
                roles[slug] = role
            else:
                raise ImproperlyConfigured(
                    f"OIDC_GROUPS gives {group!r} {one!r}: it takes {ADMINISTRATOR!r} or "
                    f"'PROJECT:ROLE' with a role of {', '.join(ROLES)}"
                )
        if roles:
            projects[group] = roles
    return Grants(frozenset(administrators), projects)


def provider(issuer: str, *, client: str, secret: str, name: str, scopes: list[str]) -> Any:
    """``SOCIALACCOUNT_PROVIDERS`` for one provider. Raises ImproperlyConfigured.

    Its id holds the issuer: a subject is a name within one issuer, and another one's subjects are
    other people.
    """
    url = urlsplit(issuer)
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in LOOPBACK):
        raise ImproperlyConfigured(f"OIDC_ISSUER must be an https address, not {issuer!r}")
    if not client or not secret:
        raise ImproperlyConfigured("OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET")
    app = {
        "provider_id": provider_id(issuer),
        "name": name,
        "client_id": client,
        "secret": secret,
        "settings": {"server_url": issuer.rstrip("/"), "scope": scopes, "oauth_pkce_enabled": True},
    }
    return {"openid_connect": {"APPS": [app]}}


def provider_id(issuer: str) -> str:
    return "oidc-" + hashlib.sha256(issuer.rstrip("/").encode()).hexdigest()[:16]
