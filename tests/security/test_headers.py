"""The headers that browsers protect people by, on every page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.test import Client

from tests import factories
from tests.security.world import ROUTES, World


def test_every_page_has_the_policy_and_is_framed_by_nobody(world: World) -> None:
    client, pages = Client(), 0
    client.force_login(world.people["admin"])
    addresses = [world.address(one) for one in ROUTES.values() if not one.of_api]
    for address in [*addresses, "/admin/", "/admin/annotation/user/", "/nowhere/"]:
        answer: Any = client.get(address)
        assert answer["X-Content-Type-Options"] == "nosniff", address
        if not answer["Content-Type"].startswith("text/html"):
            list(answer)  # Closes the file behind it.
            continue
        pages += 1
        policy = answer["Content-Security-Policy"]
        parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert (parts["default-src"], parts["script-src"]) == ("'none'", "'self'"), address
        assert parts["base-uri"] == parts["frame-ancestors"] == "'none'", address
        assert "unsafe" not in policy, address
        assert answer["X-Frame-Options"] == "DENY", address
        if b"htmx" in answer.content and b"<head" in answer.content and "/admin/" not in address:
            assert b'"allowEval": false' in answer.content, address
    assert pages > 40


def test_the_cookie_of_a_session_is_for_this_site_and_for_no_script(world: World) -> None:
    sent = {"username": world.people["annotator"].username, "password": factories.PASSWORD}
    cookie = Client().post("/login/", sent).cookies[settings.SESSION_COOKIE_NAME]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
