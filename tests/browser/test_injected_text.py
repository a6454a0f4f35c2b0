"""Markup in every text of every table is a text on every page (docs/security.md)."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from annotation.models import User
from tests.browser.conftest import Visitor
from tests.security import texts
from tests.security.addresses import watched_hosts
from tests.security.world import ROUTES, World, make_world

pytestmark = pytest.mark.django_db(transaction=True)

# Short, for the shortest columns: an element that a page would have, and each way to a script.
ELEMENT = "<i data-canary>"
MARKUP = (
    f"\"'>{ELEMENT}</script></template><script>window.attacked=1</script>"
    '<svg onload="attacked=1">[x](javascript:attacked=1){{7*7}}'
)
LATER = "[data-source], [hx-trigger~='load']"
"""What a page fetches once it is there."""


def pages(world: World, client: Client) -> list[str]:
    """Every address that answers with a page."""
    found = []
    for route in ROUTES.values():
        if route.of_api:
            continue
        answer: Any = client.get(world.address(route))
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            found.append(world.address(route))
        answer.close()
    return found


def test_markup_in_every_text_is_a_text_on_every_page(
    visit: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = watched_hosts(monkeypatch)
    visit.expect_problem("Not Found")  # A fragment opened alone asks for favicon.ico.
    cache.clear()
    world = make_world()
    texts.complete(world)
    assert {model for model, _ in texts.columns() if not model._default_manager.exists()} == set()
    texts.replace(MARKUP)
    admin, annotator = (User.objects.get(pk=world.people[one].pk) for one in ("admin", "annotator"))
    client = Client()
    client.force_login(admin)
    addresses = pages(world, client)
    page, shown = visit.page(admin, "/projects/"), 0
    for address in addresses:
        page.goto(address)
        if page.locator(LATER).count():
            page.wait_for_load_state("networkidle")
        assert page.evaluate("window.attacked") is None, address
        assert page.locator("[data-canary], a[href^='javascript:']").count() == 0, address
        shown += ELEMENT in page.locator("body").inner_text()
    assert shown > len(addresses) / 2 > 20, "the texts are on most pages"
    label = visit.page(annotator, reverse("annotation:label", args=[world.project.slug]))
    responses = [one.text_content() or "" for one in label.locator(".response-text").all()]
    assert [one.lstrip("0123456789") for one in responses] == [MARKUP, MARKUP]
    assert asked == [], "nor does the server ask an address in a text"
