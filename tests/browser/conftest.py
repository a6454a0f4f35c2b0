"""A real browser on a live server over a real Postgres.

Every page that a test opens is watched: an error on its console, a report of the
Content-Security-Policy or a dialog opened by injected text fails the test.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from annotation.models import User
from tests.browser import chromium

# A busy machine is not a failure: everything that is waited for ends the wait when it comes.
PATIENCE_SECONDS = 60
expect.set_options(timeout=PATIENCE_SECONDS * 1000)
# Resolves when what is loaded has been painted: no press counts as meant before (stray_clicks.js).
PAINTED = """() => new Promise((resolve) => {
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve)));
})"""
WATCH_POLICY = """
addEventListener("securitypolicyviolation", (event) => console.error(
  `policy refused ${event.blockedURI} for ${event.effectiveDirective}`));
"""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    if path is None:
        pytest.skip("no Chromium on this machine; set CHROMIUM to its path")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, suspended whenever the test's own code
        # runs, and Django cannot see that nothing else runs meanwhile.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


def pause_clock(page: Page, *, ahead: float = 0.1) -> None:
    """Stops the installed clock of the page so many seconds from now.

    A moment that is over before the page hears of it is refused: then a later one is named.
    """
    while True:
        try:
            page.clock.pause_at(page.evaluate("Date.now() / 1000") + ahead)
        except Error as error:
            if "to the past" not in error.message or ahead > PATIENCE_SECONDS:
                raise
            ahead *= 10
        else:
            return


class Requests:
    """How many requests the live server, a thread of this process, is answering now."""

    def __init__(self) -> None:
        self.open = 0
        self.counting = threading.Lock()

    def begin(self, **_: Any) -> None:
        with self.counting:
            self.open += 1

    def end(self, **_: Any) -> None:
        with self.counting:
            self.open -= 1

    def wait_for_none(self) -> None:
        quiet, end = 0, time.monotonic() + PATIENCE_SECONDS
        while quiet < 5 and time.monotonic() < end:
            time.sleep(0.02)
            quiet = quiet + 1 if self.open <= 0 else 0


class Visitor:
    """Opens pages of the live server for people, and remembers what went wrong on them."""

    def __init__(self, browser: Browser, address: str, requests: Requests) -> None:
        self.browser = browser
        self.address = address
        self.requests = requests
        self.problems: list[str] = []
        self.expected: list[str] = []
        self.contexts: list[BrowserContext] = []
        self.in_flight = 0

    def context(self, user: User | None = None, **options: Any) -> BrowserContext:
        """A browser profile of its own in which ``user`` is logged in."""
        context = self.browser.new_context(base_url=self.address, **options)
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        context.add_init_script(WATCH_POLICY)
        context.on("page", self._watch)
        context.on("request", lambda _: self._count(1))
        context.on("requestfinished", lambda _: self._count(-1))
        context.on("requestfailed", lambda _: self._count(-1))
        self.contexts.append(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            cookie = client.cookies[settings.SESSION_COOKIE_NAME]
            context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": self.address}])
        return context

    def page(self, user: User | None, path: str, *, width: int = 1280, **options: Any) -> Page:
        page = self.context(user, viewport={"width": width, "height": 800}, **options).new_page()
        page.goto(path)
        return page

    def expect_problem(self, part: str) -> None:
        """A problem whose text contains ``part`` is what the test is about."""
        self.expected.append(part)

    def unexpected(self) -> list[str]:
        return [one for one in self.problems if not any(part in one for part in self.expected)]

    def leave(self) -> None:
        """Closes all pages, once the server has answered: the database is emptied next."""
        for context in self.contexts:
            for page in context.pages:
                for _ in range(100):
                    if self.in_flight <= 0:
                        break
                    page.wait_for_timeout(20)
            context.close()
        # A request that nobody waits for any more would hold tables that are emptied.
        self.requests.wait_for_none()

    def _count(self, change: int) -> None:
        self.in_flight += change

    def _watch(self, page: Page) -> None:
        page.on("console", lambda message: self._note(message.type, message.text, page.url))
        page.on("pageerror", lambda error: self._note("error", str(error), page.url))
        page.on("dialog", lambda dialog: self._note("error", f"dialog {dialog.message}", page.url))
        press = page.keyboard.press

        def press_when_there(key: str, **options: Any) -> None:
            page.wait_for_load_state("domcontentloaded")  # before that no script hears of it
            press(key, **options)

        page.keyboard.press = press_when_there  # type: ignore[method-assign]

    def _note(self, kind: str, text: str, url: str) -> None:
        if kind in ("error", "warning"):
            self.problems.append(f"{url}: {text}")


@pytest.fixture
def visit(browser: Browser, live_server: Any) -> Iterator[Visitor]:
    requests = Requests()
    request_started.connect(requests.begin)
    request_finished.connect(requests.end)
    visitor = Visitor(browser, live_server.url, requests)
    yield visitor
    visitor.leave()
    request_started.disconnect(requests.begin)
    request_finished.disconnect(requests.end)
    assert visitor.unexpected() == []


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], None]:
    """Waits until a condition on the database holds; pages send on their own time, and again."""

    def wait(condition: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < end, "the condition never held"
            time.sleep(0.05)

    return wait
