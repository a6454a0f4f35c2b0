"""Pages speak the language and the time zone of who reads them."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy, to_locale

from annotation import queue
from annotation.models import Invitation, Notice, Project, User
from annotation.notices.writing import tell
from tests import catalogues, factories

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
    assert all(
        f'lang="{code}"' in page and f">{name}<" in page for code, name in settings.LANGUAGES
    )
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


# --- Every page of an annotator, in every language ------------------------------------------------

OTHERS = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
PLAIN = re.compile(r"[^%<>&\"']{12,}")


def english_of(language: str) -> list[str]:
    """Texts that ``language`` says in other words, long enough to be found in a page by chance
    nowhere."""
    path = catalogues.FOLDER / to_locale(language) / "LC_MESSAGES" / "django.po"
    return [
        message.id
        for message in catalogues.read(path)
        if isinstance(message.id, str)
        and PLAIN.fullmatch(message.id)
        and " " in message.id
        and message.string not in ("", message.id)
    ]


def queue_answer(project: Project, person: User) -> None:
    factories.make_member(project, user=person)
    assignment = queue.claim(project, person)
    assert assignment is not None
    answer = queue.Answer(more_hallucinated="1", active_seconds=9.0)
    queue.submit(person, assignment.token, answer, client_uuid=uuid.uuid4())


@pytest.fixture(scope="module")
def project(rows_of_the_module: None) -> Project:
    project = factories.make_project(
        k=1, mark_spans=True, ask_confidence=True, ask_correction="better", guidelines=""
    )
    factories.make_comparisons(project, 3)
    return project


@pytest.mark.parametrize("language", OTHERS)
def test_annotators_pages_say_nothing_in_english(project: Project, language: str) -> None:
    person = factories.make_member(project)
    User.objects.filter(pk=person.pk).update(language=language)
    client = logged_in(person)
    inside = {
        name: reverse(f"annotation:{name}", args=[project.slug])
        for name in ("label", "my-answers", "project", "guidelines")
    }
    alone = {
        name: reverse(f"annotation:{name}")
        for name in ("guide", "notices", "notice-choices", "password", "second-factor", "language")
    }
    answered = factories.make_project(k=1)
    factories.make_comparison(answered)
    queue_answer(answered, person)
    inside["own figures"] = reverse("annotation:annotator", args=[answered.slug, person.pk])
    shown = {**inside, **alone, "projects": "/projects/", "forbidden": "/new-project/",
             "none": "/nowhere/", "method": "/account/second-factor/off/"}  # fmt: skip
    english = english_of(language)
    assert len(english) > 200
    for name, path in shown.items():
        page = client.get(path).content.decode()
        assert [text for text in english if f">{text}<" in page or f'"{text}"' in page] == [], name
    assert f"js/texts/{language}" in client.get(inside["label"]).content.decode()


@pytest.mark.parametrize("language", OTHERS)
def test_strangers_pages_say_nothing_in_english(project: Project, language: str) -> None:
    _, study = factories.make_study(project)
    manager = factories.make_member(project, "manager")
    _, invitation = Invitation.create(project, role="annotator", created_by=manager)
    client = Client(headers={"accept-language": language})
    who = "?PROLIFIC_PID=a&STUDY_ID=b&SESSION_ID=c"
    english = english_of(language)
    for path in ("/login/", f"/join/{invitation}/", "/join/none/", f"/study/{study}/{who}",
                 f"/study/{study}/", "/study/none/", "/nowhere/"):  # fmt: skip
        page = client.get(path).content.decode()
        assert [text for text in english if f">{text}<" in page] == [], path


@pytest.mark.parametrize("language", OTHERS)
def test_what_an_answer_is_refused_for_is_said_in_the_persons_language(
    project: Project, language: str
) -> None:
    person = factories.make_member(project)
    User.objects.filter(pk=person.pk).update(language=language)
    client = logged_in(person)
    project.memberships.filter(user=person).update(paused=True)
    said = client.post(
        reverse("annotation:label-next", args=[project.slug]), headers={"hx-request": "true"}
    ).content.decode()
    assert said and not said.isascii()


def test_mails_are_in_the_language_of_whom_they_reach(settings: Any, mailoutbox: Any) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    project = factories.make_project(name="Streets")
    people = {code: factories.make_member(project, "manager") for code in ("", "ar", "zh-hans")}
    for code, person in people.items():
        User.objects.filter(pk=person.pk).update(language=code, email=f"{code or 'en'}@example.org")
    title = format_lazy(gettext_lazy("{name} is paused in {project}: {reason}"),
                        name="jun", project=project.name, reason="")  # fmt: skip
    with translation.override("es"):  # of whoever caused it
        tell("annotator_paused", list(User.objects.filter(memberships__project=project)),
             event="e", title=title, link="/")  # fmt: skip
    told = {one.person.language: one.title for one in Notice.objects.filter(event="e")}
    assert told[""] == "jun is paused in Streets: "
    assert told["ar"].startswith("أُوقف jun") and "已被暂停" in told["zh-hans"]
