"""A manager has a machine label, sees the sample being answered, the certificate, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.machine import labellers
from annotation.models import Project, User
from tests import factories
from tests.annotation.machine import factories as machine
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import findings

pytestmark = pytest.mark.browser


@pytest.fixture
def admin(live_server: Any) -> User:
    return factories.make_admin("maria")


@pytest.fixture
def project(admin: User) -> Iterator[Project]:
    machine.register()
    project = factories.make_project(k=1, slug="machines", name="Machines")
    prompt = factories.make_prompt(project)
    for _ in range(60):
        factories.make_comparison(project, prompt=prompt)
    factories.make_member(project, "manager", admin)
    yield project
    labellers._labellers.pop("oracle")


def usable(page: Page) -> None:
    assert findings(page) == []
    wider = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    assert not wider


def test_from_the_request_to_the_withdrawal(visit: Visitor, admin: User, project: Project) -> None:
    page = visit.page(admin, f"/projects/{project.slug}/", width=390)
    page.get_by_role("link", name="Machine labels").click()
    expect(page.get_by_text("No machine has labelled here")).to_be_visible()
    usable(page)
    page.get_by_label("Machine", exact=True).select_option(label="Oracle")
    page.get_by_label("May be wrong").fill("10")
    page.get_by_label("How sure").fill("90")
    page.get_by_label("Random sample").fill("5")
    page.get_by_label("stay with people").fill("10")
    visit.expect_problem("422")
    page.get_by_role("button", name="Have it label").click()
    expect(page.get_by_text("It takes at least 22 comparisons")).to_be_visible()
    page.get_by_label("Random sample").fill("22")
    page.get_by_role("button", name="Have it label").click()
    expect(page.get_by_text("0 of 60 comparisons")).to_be_visible()
    usable(page)
    found = project.machine_labellings.get()
    machine.say(found, machine.second_is_worse)
    expect(page.get_by_text("0 of 22 settled")).to_be_visible()
    sample = machine.of(found, "sample")
    machine.settle(sample)
    page.get_by_role("button", name="Decide now").click()
    expect(page.get_by_text("Certified").first).to_be_visible()
    expect(page.get_by_role("region", name="Steps")).to_contain_text("9.94 %")
    usable(page)
    machine.settle(machine.of(found, "audit")[:1], lambda _: "1")
    page.reload()
    contradicted = page.get_by_role("region", name="Where people settled otherwise")
    expect(contradicted.locator("tbody tr")).to_have_count(1)
    usable(page)
    page.get_by_role("link", name="Machines", exact=True).click()
    expect(page.get_by_text("of them by a machine")).to_be_visible()
    page.get_by_role("link", name="Releases").first.click()
    page.get_by_role("button", name="Freeze a release").wait_for()
    expect(page.get_by_label("Without what a machine decided")).to_be_visible()
    page.goto(found.get_absolute_url())
    page.get_by_role("button", name="Withdraw its votes").click()
    expect(page.get_by_text("Its votes are withdrawn")).to_be_visible()
    usable(page)
