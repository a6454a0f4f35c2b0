"""Pages speak the language and the time zone of who reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from annotation.models import Invitation, User
from tests import factories

pytestmark = pytest.mark.django_db
LOG_IN = {
    "en": "Log in",
    "ar": "تسجيل الدخول",
    "es": "Iniciar sesión",
    "pt-br": "Entrar",
    "zh-hans": "登录",
}


def logged_in(person: User, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(person)
    return client


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ("pt", "pt-br"),
        ("pt-PT,pt;q=0.9", "pt-br"),
        ("es-MX", "es"),
        ("zh-CN", "zh-hans"),
        ("ar-EG,en;q=0.5", "ar"),
        ("sv", "en"),
        ("", "en"),
        ("x" * 5000, "en"),
    ],
)
def test_strangers_are_spoken_to_as_their_browser_asks(asked: str, spoken: str) -> None:
    answer = Client(headers={"accept-language": asked}).get(reverse("login"))
    page = answer.content.decode()
    right_to_left = ' dir="rtl"' if spoken == "ar" else ""
    assert f'<html lang="{spoken}"{right_to_left}>' in page
    assert LOG_IN[spoken] in page
    assert answer["Content-Language"] == spoken
    assert "Accept-Language" in answer["Vary"]


def test_the_switch_below_the_log_in_leads_back_in_the_other_language() -> None:
    client, page = Client(), reverse("login") + "?next=/projects/"
    sent = {"language": "es", "next": page}
    answer = client.post(reverse("annotation:language-choose"), sent)
    assert (answer.status_code, answer["Location"]) == (302, page)
    assert LOG_IN["es"] in client.get(page).content.decode()


@pytest.mark.parametrize("sent", [{}, {"language": "tlh"}, {"language": "es", "next": "//evil"}])
def test_the_switch_leads_nowhere_else_and_takes_no_other_language(sent: dict[str, str]) -> None:
    client = Client()
    answer = client.post(reverse("annotation:language-choose"), sent)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    kept = client.cookies.get(settings.LANGUAGE_COOKIE_NAME)
    assert (kept.value if kept else None) == ("es" if sent.get("next") else None)


def test_an_account_speaks_before_the_browser_and_in_every_browser() -> None:
    person = factories.make_user()
    answer = logged_in(person).post(
        reverse("annotation:language"), {"language": "ar", "time_zone": "Asia/Riyadh"}
    )
    assert answer.status_code == 302
    elsewhere = logged_in(person, headers={"accept-language": "es"})
    answer = elsewhere.get(reverse("annotation:projects"))
    assert '<html lang="ar" dir="rtl">' in answer.content.decode()
    assert "Accept-Language" not in answer.get("Vary", "")
    elsewhere.post(reverse("annotation:language-choose"), {"language": "pt-br"})
    person.refresh_from_db()
    assert (person.language, person.time_zone) == ("pt-br", "Asia/Riyadh")


@pytest.mark.parametrize(("field", "wrong"), [("language", "tlh"), ("time_zone", "Mars/Olympus")])
def test_what_no_page_speaks_is_refused(field: str, wrong: str) -> None:
    person = factories.make_user()
    sent = {"language": "", "time_zone": "", field: wrong}
    answer = logged_in(person).post(reverse("annotation:language"), sent)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    person.refresh_from_db()
    assert getattr(person, field) == ""


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("America/Sao_Paulo", "31 Dec 2025"),
        ("Asia/Shanghai", "1 Jan 2026"),
        ("", "1 Jan 2026"),
        ("Mars/Olympus", "1 Jan 2026"),  # the system knew it once
    ],
)
def test_days_are_those_of_the_person(settings: Any, zone: str, shown: str) -> None:
    settings.TIME_ZONE = "UTC"
    person = factories.make_user()
    User.objects.filter(pk=person.pk).update(time_zone=zone)
    at = datetime(2026, 1, 1, 1, 30, tzinfo=UTC)
    person.api_tokens.create(name="n", prefix="p", digest="d", scopes=[], expires_at=at)
    assert shown in logged_in(person).get(reverse("annotation:tokens")).content.decode()


def test_programs_are_spoken_to_in_english() -> None:
    person = factories.make_user()
    User.objects.filter(pk=person.pk).update(language="ar")
    answer = logged_in(person, headers={"accept-language": "ar"}).get("/api/v1/nothing-here/")
    assert answer.json()["title"] == "Nothing is here"
    assert "Accept-Language" not in answer.get("Vary", "")


def test_who_joins_is_written_to_in_the_language_of_the_invitation_page() -> None:
    project = factories.make_project()
    manager = factories.make_member(project, "manager")
    _, raw = Invitation.create(project, role="annotator", created_by=manager)
    password = "a long enough password"
    Client(headers={"accept-language": "zh-CN"}).post(
        reverse("annotation:join", args=[raw]),
        {"username": "wei", "password1": password, "password2": password},
    )
    assert User.objects.get(username="wei").language == "zh-hans"
