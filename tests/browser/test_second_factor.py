"""A second factor from setting it up to logging in with it, in a real browser."""

from __future__ import annotations

from base64 import b32decode
from types import SimpleNamespace

import pytest
from django_otp import oath
from django_otp.plugins.otp_totp import models as totp
from playwright.sync_api import Page, expect

from annotation import second_factor
from tests import factories
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.django_db(transaction=True)


def log_in(page: Page, username: str) -> None:
    page.goto("/login/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(factories.PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_setting_it_up_and_logging_in_with_it(
    visit: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit.expect_problem("422")  # The wrong code.
    now = [1_700_000_000.0]
    monkeypatch.setattr(totp, "time", SimpleNamespace(time=lambda: now[0]))
    user = factories.make_user()
    page = visit.page(user, "/projects/")
    page.get_by_label("Account menu").click()
    page.get_by_role("link", name="Second factor").click()
    page.get_by_label("Your password").fill(factories.PASSWORD)
    page.get_by_role("button", name="Make a key").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    drawn = page.locator("img.qr").evaluate("image => image.naturalWidth")
    assert drawn > 100, "the policy lets the picture through"
    key = b32decode((page.locator("#second-factor-key").inner_text()).replace(" ", ""))
    page.get_by_label("Code").fill("x")
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_text(second_factor.WRONG)).to_be_visible()
    totp.TOTPDevice.objects.update(throttling_failure_timestamp=None)
    page.get_by_label("Code").fill(f"{oath.hotp(key, int(now[0]) // 30):06d}")
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_text("shown this once")).to_be_visible()
    recovery = page.locator("#recovery-codes").inner_text().split()
    assert len(recovery) == second_factor.RECOVERY_CODES

    for code in (f"{oath.hotp(key, int(now[0]) // 30 + 1):06d}", recovery[0]):
        now[0] += 30
        other = visit.page(None, "/login/")
        log_in(other, user.username)
        expect(other.get_by_role("heading", name="Your code")).to_be_visible()
        other.get_by_label("Code").fill(code)
        other.get_by_role("button", name="Go on").click()
        expect(other.get_by_role("heading", name="Projects", exact=True)).to_be_visible()
