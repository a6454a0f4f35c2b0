"""Logging in through a real provider, in a real browser, under the site's own policy."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from playwright.sync_api import expect
from pytest_iam import Server

from annotation.models import User
from tests import factories
from tests.annotation.single_sign_on.provider import (
    PASSWORD,
    Provider,
    canaille,
    iam_configuration,
    iam_server,
    iam_server_port,
)
from tests.browser.conftest import Visitor

__all__ = ["canaille", "iam_configuration", "iam_server", "iam_server_port"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_newcomer_logs_in_through_the_provider(
    visit: Visitor, canaille: Server, live_server: Any
) -> None:
    provider = Provider(canaille, live_server.url)
    visit.expect_problem(canaille.url.rstrip("/"))  # what its own pages miss is not ours
    project = factories.make_project(name="Street scenes")
    name = f"p{uuid.uuid4().hex[:8]}"
    provider.person(name, "lab")
    with provider.settings(groups={"lab": f"{project.slug}:annotator"}, LOCAL_LOGIN=False):
        page = visit.page(None, "/login/")
        expect(page.get_by_label("Password")).to_have_count(0)
        page.get_by_role("button", name="Log in with The lab").click()
        page.locator("input[name=login]").fill(name)
        page.locator("input[name=login]").press("Enter")
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("input[name=password]").press("Enter")
        expect(page.get_by_role("link", name="Street scenes", exact=True)).to_be_visible()
        assert User.objects.get(username=name).memberships.get().project == project
        page.get_by_label("Account menu").click()
        page.get_by_role("link", name="Single sign-on").click()
        expect(page.get_by_text("Nothing else logs you in here")).to_be_visible()
        page.get_by_label("Account menu").click()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("button", name="Log in with The lab")).to_be_visible()
