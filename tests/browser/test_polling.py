"""Pages of runs that ask by themselves: what they say when nobody answers, and what they notice.

The page's clock stands still but for the moments that a test gives it.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, Route, expect

from annotation.models import User
from tests import factories
from tests.browser.conftest import Visitor, pause_clock
from tests.training.factories import make_common
from training.models import Attempt, Run
from training.runs import requests, scheduling
from training.runs.requests import Step

pytestmark = pytest.mark.browser

PANELS = re.compile(r"/runs/\d+/(live|log|figures|samples|outcomes|origin)/")


@pytest.fixture
def admin(live_server: Any) -> User:
    return factories.make_admin("maria")


@pytest.fixture
def attempt(admin: User) -> Attempt:
    common = make_common(factories.make_project(), requested_by=admin)
    run = requests.request_run(common, Step("sample", options={"prompts": 5}))
    return claim(run)


def claim(run: Run) -> Attempt:
    claimed = scheduling.claim(run.pk, host="node-1", gpus=0)
    assert claimed is not None
    return claimed


def opened(visit: Visitor, admin: User, path: str) -> Page:
    page = visit.context(admin).new_page()
    page.clock.install()
    page.goto(path)
    page.wait_for_load_state("load")
    pause_clock(page, ahead=1)
    return page


def test_a_server_that_does_not_answer_is_told_once_and_so_is_its_return(
    visit: Visitor, admin: User, attempt: Attempt
) -> None:
    visit.expect_problem("500")
    page = opened(visit, admin, attempt.run.get_absolute_url())
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(status=500, body="")

    page.route(PANELS, refuse)
    toasts = page.locator(".toast")
    for _ in range(3):  # Less than a toast is shown, more than the panels wait.
        asked = len(refused)
        page.clock.run_for(3_000)
        while len(refused) < asked + 2:
            page.wait_for_timeout(50)
    expect(toasts).to_have_count(1)
    expect(toasts).to_contain_text("The server answered with error 500.")
    page.unroute(PANELS)
    again = page.locator(".toast", has_text="The server answers again.")
    for _ in range(600):  # Until each panel has asked; a toast lasts longer than a turn.
        page.clock.run_for(1_000)
        if again.count():
            break
        page.wait_for_timeout(100)
    expect(again).to_have_count(1)


def test_somebody_who_is_logged_out_is_led_to_log_in_again(
    visit: Visitor, admin: User, attempt: Attempt
) -> None:
    visit.expect_problem("401")
    page = opened(visit, admin, attempt.run.get_absolute_url())
    Session.objects.all().delete()
    page.clock.run_for(2_100)
    # Two fragments may lead there, and the one navigation ends the other.
    led = re.compile(re.escape(f"/login/?next={attempt.run.get_absolute_url()}") + "$")
    expect(page).to_have_url(led)


def test_a_page_that_shows_the_end_notices_that_somebody_resumed_the_run(
    visit: Visitor, admin: User, attempt: Attempt
) -> None:
    scheduling.fail(attempt, "the data is unusable")
    page = opened(visit, admin, attempt.run.get_absolute_url())
    expect(page.locator("#live")).to_contain_text("the data is unusable")
    scheduling.resume(attempt.run)
    page.clock.run_for(20_100)
    expect(page.locator("#live")).to_contain_text("Waits for a worker")
    expect(page.locator("#log")).to_have_attribute("data-panel", "moving")


def test_compared_runs_are_followed_until_all_have_ended(
    visit: Visitor, admin: User, attempt: Attempt
) -> None:
    other = claim(
        Run.objects.get(
            pk=requests.request_run(
                make_common(attempt.run.project, requested_by=admin, base=attempt.run.base),
                Step("sample", options={"prompts": 6}),
            ).pk
        )
    )
    page = opened(visit, admin, f"/training/compare/?run={attempt.run_id}&run={other.run_id}")
    badges = page.locator("#compared .badge")
    expect(badges).to_have_text(["Running", "Running"])
    scheduling.fail(attempt, "the data is unusable")
    page.clock.run_for(5_100)
    expect(badges).to_have_text(["Failed", "Running"])
    scheduling.fail(other, "the data is unusable")
    page.clock.run_for(5_100)
    expect(badges).to_have_text(["Failed", "Failed"])
    expect(page.locator("#curves")).to_contain_text("No figure is told by two of them")
