"""A real provider of OpenID Connect (Canaille) on loopback, and a site that logs in through it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client, override_settings
from pytest_iam import Server, iam_configuration, iam_server, iam_server_port

from config import oidc

SCOPES = ["openid", "profile", "email", "groups"]
__all__ = ["iam_configuration", "iam_server", "iam_server_port"]

PASSWORD = "of the provider, not of the site"


@pytest.fixture(scope="session")
def canaille(iam_server: Server) -> Iterator[Server]:
    """pytest-iam's server, which leaves its socket open."""
    yield iam_server
    iam_server.httpd.shutdown()
    iam_server.httpd.server_close()


@dataclass
class Provider:
    """``server`` is pytest-iam's; ``client`` what it knows of the site."""

    server: Any
    site: str

    def __post_init__(self) -> None:
        about = {
            "client_name": "FactLoop",
            "client_uri": self.site,
            "redirect_uris": [f"{self.site}/login/sso/callback/"],
            "token_endpoint_auth_method": "client_secret_post",
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "scope": " ".join(SCOPES),
        }
        registered = self.server.test_client.post("/oauth/register", json=about)
        assert registered.status_code == 201, registered.text
        self.secret = registered.json["client_secret"]
        with self.server.app.app_context():
            self.client = self.server.backend.get(
                self.server.models.Client, client_id=registered.json["client_id"]
            )

    def settings(self, **changes: Any) -> Any:
        """The site set up to log in through this provider."""
        issuer = self.server.url.rstrip("/")
        app = oidc.provider(
            issuer,
            client=self.client.client_id,
            secret=self.secret,
            name="The lab",
            scopes=SCOPES,
        )
        return override_settings(
            OIDC_ISSUER=issuer,
            OIDC_NAME="The lab",
            OIDC_PROVIDER_ID=oidc.provider_id(issuer),
            SOCIALACCOUNT_PROVIDERS=app,
            OIDC_GROUPS=oidc.grants(changes.pop("groups", {})),
            **changes,
        )

    def person(self, name: str, *groups: str) -> Any:
        """Somebody whom the provider knows, in ``groups``."""
        with self.server.app.app_context():
            person = self.server.models.User(
                user_name=name,
                display_name=name,
                given_name=name.title(),
                family_name="Doe",
                formatted_name=f"{name.title()} Doe",
                emails=[f"{name}@lab.example"],
                password=PASSWORD,
            )
            self.server.backend.save(person)
        self.server.consent(person, self.client)
        for group in groups:
            self.join(person, group)
        return person

    def join(self, person: Any, group: str) -> Any:
        with self.server.app.app_context():
            known = self.server.backend.get(self.server.models.Group, display_name=group)
            if known is None:
                known = self.server.models.Group(display_name=group, members=[person])
            else:
                known.members = [*known.members, person]
            self.server.backend.save(known)
            self.server.backend.reload(person)
        return known

    def leave(self, person: Any, group: str) -> None:
        with self.server.app.app_context():
            known = self.server.backend.get(self.server.models.Group, display_name=group)
            known.members = [one for one in known.members if one.user_name != person.user_name]
            if known.members:
                self.server.backend.save(known)
            else:
                self.server.backend.delete(known)
            self.server.backend.reload(person)

    @contextmanager
    def logged_in(self, person: Any) -> Iterator[None]:
        """The provider needs no password of ``person`` meanwhile."""
        # Of several codes that nobody has used, its store in memory finds the first.
        with self.server.app.app_context():
            for code in list(self.server.backend.query(self.server.models.AuthorizationCode)):
                self.server.backend.delete(code)
        self.server.login(person)
        try:
            yield
        finally:
            self.server.logout()

    def answer_to(self, page: Any, person: Any) -> str:
        """Where the provider sends ``person`` back to, asked as the site's ``page`` leads to it."""
        to = unescape(page.content.decode().split('http-equiv="refresh" content="0; url=')[1])
        to = to.split('"')[0]
        with self.logged_in(person):
            answer = self.server.test_client.get(to)
        assert answer.status_code == 302, answer.text
        back = urlsplit(answer.location)
        return f"{back.path}?{back.query}"

    def log_in(self, browser: Client, person: Any, **sent: str) -> HttpResponse:
        """From the button of the log-in to the answer that the site gives to who comes back."""
        page = browser.post("/login/sso/", sent)
        assert page.status_code == 200, page.content.decode()
        answer: HttpResponse = browser.get(self.answer_to(page, person))
        return answer
