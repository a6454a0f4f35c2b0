"""A second factor: nobody is logged in by the password alone, and a code counts once."""

from __future__ import annotations

import re
from base64 import b32decode
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_otp import oath
from django_otp.plugins.otp_totp import models as totp

from annotation import second_factor
from annotation.models import RecoveryCode, User
from tests import factories

pytestmark = pytest.mark.django_db

PAGE = "/account/second-factor/"


class Clock:
    """The time that codes are made of; a test moves it."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def time(self) -> float:
        return self.now

    def next_code(self) -> None:
        self.now += 30


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(totp, "time", SimpleNamespace(time=made.time))
    return made


def code_of(key: bytes, clock: Clock) -> str:
    return f"{oath.hotp(key, int(clock.now) // 30):06d}"


def wrong_code(key: bytes, clock: Clock) -> str:
    step = int(clock.now) // 30
    near = {oath.hotp(key, step + away) for away in (-1, 0, 1)}
    return next(f"{guess:06d}" for guess in range(4) if guess not in near)


def recovery_codes_on(page: bytes) -> list[str]:
    """Those shown, and not the pseudonym of the reader, which may look like one."""
    shown = re.search(r'id="recovery-codes">([^<]*)<', page.decode())
    assert shown is not None
    return shown[1].split()


def patient(user: User) -> None:
    """As if the wait after a wrong code were over."""
    totp.TOTPDevice.objects.filter(user=user).update(throttling_failure_timestamp=None)


@pytest.fixture
def armed(clock: Clock) -> tuple[User, bytes, list[str]]:
    """Somebody with a second factor: the person, the key and the recovery codes."""
    user = factories.make_user()
    device = second_factor.begin(user)
    # A key of every day, so that no guess below is right by chance.
    device.key = "31" * 20
    device.save()
    codes, problem = second_factor.confirm(user, code_of(device.bin_key, clock))
    assert problem == ""
    clock.next_code()
    return user, device.bin_key, codes


def give_password(client: Client, user: User, next_page: str = "") -> Any:
    sent = {"username": user.username, "password": factories.PASSWORD, "next": next_page}
    return client.post(reverse("login"), sent)


def is_logged_in(client: Client) -> bool:
    return client.get("/projects/").status_code == 200


def test_without_a_second_factor_the_password_logs_in() -> None:
    client = Client()
    assert give_password(client, factories.make_user())["Location"] == "/projects/"
    assert is_logged_in(client)


def test_the_password_alone_logs_nobody_in_who_has_one(
    armed: tuple[User, bytes, list[str]], clock: Clock
) -> None:
    user, key, _ = armed
    client = Client()
    assert give_password(client, user, "/account/tokens/")["Location"] == reverse("login-code")
    for path in ("/projects/", PAGE, "/admin/", "/api/v1/projects"):
        assert client.get(path).status_code in (302, 401), path
    answer = client.post(reverse("login-code"), {"code": code_of(key, clock)})
    assert answer["Location"] == "/account/tokens/"
    assert is_logged_in(client)
    assert client.session[second_factor.SESSION_MARK] is True


def test_the_session_has_another_key_after_each_step(
    armed: tuple[User, bytes, list[str]], clock: Clock
) -> None:
    user, key, _ = armed
    client = Client()
    client.get(reverse("login"))
    session = client.session
    session["planted"] = True
    session.save()
    keys = [session.session_key]
    client.cookies[settings.SESSION_COOKIE_NAME] = keys[0]
    give_password(client, user)
    keys.append(client.cookies[settings.SESSION_COOKIE_NAME].value)
    client.post(reverse("login-code"), {"code": code_of(key, clock)})
    keys.append(client.cookies[settings.SESSION_COOKIE_NAME].value)
    assert len(set(keys)) == 3


def test_the_log_in_of_administrators_asks_for_it_too(armed: tuple[User, bytes, list[str]]) -> None:
    user, _, _ = armed
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    client = Client()
    sent = {"username": user.username, "password": factories.PASSWORD, "next": "/admin/"}
    assert client.post("/admin/login/", sent)["Location"] == "/login/"
    assert client.get("/admin/", follow=True).request["PATH_INFO"] == "/login/"


def test_next_never_leads_to_another_site(
    armed: tuple[User, bytes, list[str]], clock: Clock
) -> None:
    user, key, _ = armed
    client = Client()
    give_password(client, user, "https://elsewhere.example/")
    answer = client.post(reverse("login-code"), {"code": code_of(key, clock)})
    assert answer["Location"] == "/projects/"


def test_a_code_counts_once(armed: tuple[User, bytes, list[str]], clock: Clock) -> None:
    user, key, _ = armed
    code = code_of(key, clock)
    assert second_factor.check(user, code) == ""
    assert second_factor.check(user, code) == second_factor.WRONG
    patient(user)
    clock.next_code()
    assert second_factor.check(user, code_of(key, clock)) == ""


@pytest.mark.parametrize("wrong", ["", "12345", "1234567", "abcdef", "9" * 39, "\uff11" * 6])
def test_what_is_no_code_opens_nothing(armed: tuple[User, bytes, list[str]], wrong: str) -> None:
    user, _, _ = armed
    client = Client()
    give_password(client, user)
    assert client.post(reverse("login-code"), {"code": wrong}).status_code == 422
    assert not is_logged_in(client)


def test_wrong_codes_are_slowed_down_wherever_they_come_from(
    armed: tuple[User, bytes, list[str]], clock: Clock
) -> None:
    user, key, recovery = armed
    assert second_factor.check(user, wrong_code(key, clock)) == second_factor.WRONG
    # The right one at once after it is not even looked at, and neither is a recovery code.
    totp.TOTPDevice.objects.filter(user=user).update(throttling_failure_count=20)
    assert second_factor.check(user, code_of(key, clock)) == second_factor.PATIENCE
    assert second_factor.check(user, recovery[0]) == second_factor.PATIENCE
    patient(user)
    assert second_factor.check(user, code_of(key, clock)) == ""


def test_too_many_wrong_codes_lock_the_log_in(
    armed: tuple[User, bytes, list[str]], clock: Clock
) -> None:
    user, key, _ = armed
    client = Client(headers={"user-agent": "test"})
    give_password(client, user)
    for _ in range(settings.AXES_FAILURE_LIMIT):
        patient(user)
        last = client.post(reverse("login-code"), {"code": wrong_code(key, clock)})
    assert last.status_code == 429
    patient(user)
    right = client.post(reverse("login-code"), {"code": code_of(key, clock)})
    assert right.status_code == 429
    assert give_password(Client(), user).status_code == 429


def test_a_recovery_code_counts_once_and_is_kept_as_a_hash(
    armed: tuple[User, bytes, list[str]],
) -> None:
    user, _, recovery = armed
    assert len(set(recovery)) == second_factor.RECOVERY_CODES
    stored = " ".join(RecoveryCode.objects.values_list("digest", flat=True))
    assert not any(code in stored or code.replace("-", "") in stored for code in recovery)
    client = Client()
    give_password(client, user)
    client.post(reverse("login-code"), {"code": recovery[3].upper().replace("-", " ")})
    assert is_logged_in(client)
    assert second_factor.check(user, recovery[3]) == second_factor.WRONG
    patient(user)
    assert second_factor.check(user, recovery[4]) == ""


def test_nobody_elses_code_opens_an_account(
    armed: tuple[User, bytes, list[str]], clock: Clock
) -> None:
    user, key, recovery = armed
    other = factories.make_user()
    device = second_factor.begin(other)
    second_factor.confirm(other, code_of(device.bin_key, clock))
    clock.next_code()
    for code in (code_of(key, clock), recovery[0]):
        assert second_factor.check(other, code) == second_factor.WRONG
        patient(other)
    assert second_factor.check(user, recovery[0]) == ""


@pytest.mark.parametrize("change", ["password", "inactive", "late"])
def test_a_right_password_is_forgotten(
    armed: tuple[User, bytes, list[str]],
    clock: Clock,
    change: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user, key, _ = armed
    client = Client()
    give_password(client, user)
    if change == "password":
        user.set_password("another long phrase")
        user.save()
    elif change == "inactive":
        User.objects.filter(pk=user.pk).update(is_active=False)
    else:
        session = client.session
        session["password_was_right"] = {**session["password_was_right"], "until": 1.0}
        session.save()
    answer = client.post(reverse("login-code"), {"code": code_of(key, clock)})
    assert answer["Location"] == reverse("login")
    assert not is_logged_in(client)


def test_setting_one_up_on_the_page(clock: Clock) -> None:
    user, client = factories.make_user(), Client()
    client.force_login(user)
    assert b"No second factor yet" in client.get(PAGE).content
    refused = client.post(PAGE + "begin/", {"password": "wrong"})
    assert refused.status_code == 422
    assert second_factor.begun(user) is None
    client.post(PAGE + "begin/", {"password": factories.PASSWORD})
    text = client.get(PAGE).content.decode()
    shown = re.search(r'id="second-factor-key">([A-Z2-7 ]+)<', text)
    assert shown is not None
    key = b32decode(shown[1].replace(" ", ""))
    assert "data:image/svg+xml" in text
    assert second_factor.device_of(user) is None, "not before a code confirmed it"
    missed = client.post(PAGE + "confirm/", {"code": wrong_code(key, clock)})
    assert missed.status_code == 422
    patient(user)
    done = client.post(PAGE + "confirm/", {"code": code_of(key, clock)})
    codes = recovery_codes_on(done.content)
    assert len(codes) == second_factor.RECOVERY_CODES
    later = client.get(PAGE).content.decode()
    assert shown[1] not in later
    assert not any(code in later for code in codes)
    assert "10 recovery codes left" in later


def test_it_is_changed_and_turned_off_with_the_password_only(
    armed: tuple[User, bytes, list[str]],
) -> None:
    user, _, recovery = armed
    client = Client()
    client.force_login(user)
    for action in ("codes/", "off/"):
        assert client.post(PAGE + action, {"password": "wrong"}).status_code == 422
    assert second_factor.device_of(user) is not None
    again = client.post(PAGE + "codes/", {"password": factories.PASSWORD}).content
    assert second_factor.check(user, recovery[0]) == second_factor.WRONG
    patient(user)
    new = recovery_codes_on(again)
    assert second_factor.check(user, new[0]) == ""
    # A key cannot be replaced by somebody who finds the page open.
    client.post(PAGE + "begin/", {"password": factories.PASSWORD})
    assert second_factor.begun(user) is None
    client.post(PAGE + "off/", {"password": factories.PASSWORD})
    assert not totp.TOTPDevice.objects.filter(user=user).exists()
    assert not user.recovery_codes.exists()


def test_guessing_the_password_on_the_page_locks_like_the_log_in() -> None:
    user, client = factories.make_user(), Client()
    client.force_login(user)
    for _ in range(settings.AXES_FAILURE_LIMIT):
        last = client.post(PAGE + "begin/", {"password": "wrong"})
    assert last.status_code == 429


def test_api_tokens_work_as_before(armed: tuple[User, bytes, list[str]]) -> None:
    token = factories.make_token(armed[0])
    client = Client(headers={"Authorization": f"Bearer {token}"})
    assert client.get("/api/v1/projects").status_code == 200


def test_an_administrator_turns_it_off_for_somebody(armed: tuple[User, bytes, list[str]]) -> None:
    user, _, _ = armed
    client = Client()
    client.force_login(factories.make_admin())
    people = reverse("admin:annotation_user_changelist")
    client.post(people, {"action": "turn_off_second_factor", "_selected_action": [user.pk]})
    assert second_factor.device_of(user) is None
    assert not admin_shows_keys(client)


def admin_shows_keys(client: Client) -> bool:
    return client.get("/admin/otp_totp/totpdevice/").status_code != 404


def test_staff_cannot_turn_it_off(armed: tuple[User, bytes, list[str]]) -> None:
    user, _, _ = armed
    staff = factories.make_user(is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(content_type__model="user"))
    client = Client()
    client.force_login(staff)
    people = reverse("admin:annotation_user_changelist")
    client.post(people, {"action": "turn_off_second_factor", "_selected_action": [user.pk]})
    assert second_factor.device_of(user) is not None


def test_the_command_turns_it_off(armed: tuple[User, bytes, list[str]]) -> None:
    call_command("turn_off_second_factor", armed[0].username)
    assert second_factor.device_of(armed[0]) is None


@override_settings(SECOND_FACTOR_FOR_ADMINISTRATORS=True)
def test_where_it_is_demanded_administrators_get_to_nothing_else(clock: Clock) -> None:
    admin = factories.make_admin()
    client = Client()
    give_password(client, admin)
    for path in ("/projects/", "/admin/", "/training/health/"):
        assert client.get(path)["Location"] == PAGE
    assert client.get("/api/v1/projects").status_code == 403
    assert b"Administrators of this site need one" in client.get(PAGE).content
    client.post(PAGE + "begin/", {"password": factories.PASSWORD})
    device = second_factor.begun(admin)
    assert device is not None
    client.post(PAGE + "confirm/", {"code": code_of(device.bin_key, clock)})
    assert is_logged_in(client)
    client.post(PAGE + "off/", {"password": factories.PASSWORD})
    assert not is_logged_in(client)


@override_settings(SECOND_FACTOR_FOR_ADMINISTRATORS=True)
def test_where_it_is_demanded_a_session_without_it_ends(
    armed: tuple[User, bytes, list[str]],
) -> None:
    user, _, _ = armed
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    client = Client()
    client.force_login(user)
    assert client.get("/projects/")["Location"] == "/login/"
    assert "_auth_user_id" not in client.session


@override_settings(SECOND_FACTOR_FOR_ADMINISTRATORS=True)
def test_where_it_is_demanded_others_and_tokens_need_none() -> None:
    client = Client()
    client.force_login(factories.make_user())
    assert is_logged_in(client)
    token = factories.make_token(factories.make_admin())
    headers = {"Authorization": f"Bearer {token}"}
    assert Client(headers=headers).get("/api/v1/projects").status_code == 200


def test_it_costs_later_requests_nothing(armed: tuple[User, bytes, list[str]]) -> None:
    def cost(user: User) -> int:
        client = Client()
        client.force_login(user)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get("/projects/")
        return len(queries)

    assert cost(armed[0]) == cost(factories.make_user())
