"""The run page with ten thousand points a curve: drawn from few, fed with what comes since."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import parse_qs, urlparse

import pytest
from django.db.models import F
from playwright.sync_api import Page, Request, expect

from annotation.models import User
from tests import factories
from tests.browser import training_pages
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import findings
from tests.training.test_views import make_release
from training.models import Metric, Run

pytestmark = pytest.mark.browser

POINTS = 10_000
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
# The last stretch of 32 steps had a mean of about 1 before a value of 9.5 came into it.
WEIGHED_IN = re.compile(r"Latest: ppo 1\.[2-9]")


@pytest.fixture
def admin(live_server: Any) -> User:
    return factories.make_admin("maria")


@pytest.fixture
def ppo(admin: User) -> Run:
    """PPO under way with eight curves of ten thousand points."""
    project = factories.make_project(slug="tables", name="Tables")
    factories.make_comparisons(project, 3)
    make_release(project)
    return training_pages.fill(project, admin, points=POINTS)["ppo"]


def readings(page: Page) -> list[Request]:
    """Requests for curves from now on."""
    found: list[Request] = []
    page.on("request", lambda one: found.append(one) if "/metrics/" in one.url else None)
    return found


def test_long_curves_are_drawn_and_only_what_is_new_is_read_again(
    visit: Visitor, admin: User, ppo: Run
) -> None:
    page = visit.page(admin, ppo.get_absolute_url())
    expect(page.locator("figure.chart canvas")).to_have_count(6)
    page.get_by_text("All other curves").click()
    expect(page.locator("figure.chart canvas")).to_have_count(8)
    asked = readings(page)
    # What shows first may be the answer to a reading that was under way: another one is awaited.
    with page.expect_request(lambda one: "/metrics/" in one.url):
        Metric.objects.bulk_create(
            Metric(run=ppo, name=f"ppo/{name}", step=POINTS + 1, value=9.5)
            for name in training_pages.PPO_FIGURES
        )
    Run.objects.filter(pk=ppo.pk).update(progress_done=F("progress_done") + 1)
    reward = page.locator("figure.chart", has_text="Reward").first
    holder = reward.get_by_role("img")
    expect(holder).to_have_attribute("aria-label", WEIGHED_IN)
    parameters = [parse_qs(urlparse(one.url).query) for one in asked]
    for given in parameters:
        assert given["grain"] == ["32.1"]
        assert int(given["since"][0]) > POINTS - 100
    # The ranges are drawn and are no curves of their own.
    assert "range" not in (holder.get_attribute("aria-label") or "")


def test_training_pages_full_of_data_have_no_serious_finding(visit: Visitor, admin: User) -> None:
    project = factories.make_project(slug="tables", name="Tables")
    factories.make_comparisons(project, 3)
    make_release(project)
    shown = training_pages.pages(training_pages.fill(project, admin, points=600))
    page = visit.page(admin, "/training/")
    problems = {}
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        for name, path in shown.items():
            page.goto(path)
            problems[name, scheme] = findings(page)
    assert {where: found for where, found in problems.items() if found} == {}
