"""A run page whose run ends between two looks of its panels, in every order they may learn it.

The page's clock stands still but for the moments that a test gives it, so that no panel's own
timer can bring what only the last look should bring.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, Route

from annotation.models import User
from tests import factories
from tests.browser.conftest import Visitor, pause_clock
from tests.training.factories import make_checkpoint, make_common
from training.models import Attempt, Metric, Run, Sample
from training.runs import requests, scheduling
from training.runs.requests import Step

pytestmark = pytest.mark.browser

PANELS = ("live", "log", "figures", "samples", "outcomes", "origin")
LONGEST_TIMER = 10_000  # Milliseconds: within it each panel asks once.
ENDED = {
    "live": "Succeeded",
    "log": "the last word",
    "figures": "Curves",
    "samples": "the last answer",
    "origin": "Made from",
}


class Held:
    """Requests of panels that are answered late, with what was true before."""

    def __init__(self, page: Page, names: list[str]) -> None:
        self.names = set(names)
        self.routes: dict[str, Route] = {}
        page.route(re.compile(rf"/runs/\d+/({'|'.join(names)})/"), self.hold)

    def hold(self, route: Route) -> None:
        name = urlparse(route.request.url).path.rstrip("/").rpartition("/")[2]
        if name in self.names and name not in self.routes:
            self.routes[name] = route
        else:
            route.continue_()

    def deliver(self, before: dict[str, HttpResponse]) -> None:
        self.names.clear()
        for name, route in self.routes.items():
            answer = before[name]
            route.fulfill(status=answer.status_code, body=answer.content, headers=answer.headers)


def answers(run: Run, user: User) -> dict[str, HttpResponse]:
    """What each panel is told now."""
    client = Client()
    client.force_login(user)
    found = {
        name: client.get(reverse(f"training:run-{name}", args=[run.pk]), {"have": "1"})
        for name in PANELS
    }
    assert found["figures"].status_code == 204
    return found


@pytest.fixture
def admin(live_server: Any) -> User:
    return factories.make_admin("maria")


@pytest.fixture
def attempt(admin: User) -> Attempt:
    common = make_common(factories.make_project(), requested_by=admin)
    run = requests.request_run(common, Step("sample", options={"prompts": 5}))
    claimed = scheduling.claim(run.pk, host="node-1", gpus=0)
    assert claimed is not None
    tell(run, 1, "a first answer")
    return claimed


def tell(run: Run, step: int, response: str) -> None:
    Metric.objects.create(run=run, name="train/loss", step=step, value=1 / step)
    Sample.objects.create(
        run=run, step=step, prompt_id="p", prompt="What is it?", response=response
    )


def end(attempt: Attempt) -> None:
    tell(attempt.run, 2, "the last answer")
    make_checkpoint(attempt.run, name="what it made")
    Attempt.objects.filter(pk=attempt.pk).update(log_tail="the last word")
    with scheduling.holding(attempt):
        scheduling.finish(attempt)


def until(page: Page, condition: Callable[[], bool], *, milliseconds: int = 1500) -> None:
    """Waits a minute; of that the page's clock sees ``milliseconds``, less than any timer."""
    for moment in range(600):
        if condition():
            return
        if moment < milliseconds // 5:
            page.clock.run_for(5)
        page.wait_for_timeout(100)
    raise AssertionError("the condition never held")


def says_ended(page: Page, name: str) -> bool:
    return page.locator(f"#{name}").get_attribute("data-panel") == "ended"


@pytest.mark.parametrize("first", ["live", "log", "figures", "samples"])
def test_every_panel_looks_once_more_whichever_learns_first_that_the_run_has_ended(
    visit: Visitor, admin: User, attempt: Attempt, first: str
) -> None:
    page = visit.context(admin).new_page()
    page.clock.install()
    page.goto(attempt.run.get_absolute_url())
    page.wait_for_load_state("load")
    pause_clock(page)
    held = Held(page, [name for name in PANELS if name != first])
    page.clock.run_for(LONGEST_TIMER)
    until(page, lambda: len(held.routes) == len(PANELS) - 1)
    # A panel asks nothing anew while its last question is open.
    until(page, lambda: visit.in_flight <= len(held.routes))
    before = answers(attempt.run, admin)
    end(attempt)
    # The others' answers are older than the end, and under way when one panel learns of it.
    page.clock.run_for(4_000 if first != "samples" else 8_000)
    until(page, lambda: says_ended(page, first))
    assert not any(says_ended(page, name) for name in PANELS if name != first)
    held.deliver(before)
    until(page, lambda: all(says_ended(page, name) for name in PANELS))
    for name, text in ENDED.items():
        assert text in page.locator(f"#{name}").inner_text()
    assert "what it made" in page.locator("#live").inner_text()
    assert page.locator("[data-panel][hx-trigger]").count() == 0
