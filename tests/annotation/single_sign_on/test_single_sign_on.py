"""Logging in through a provider, against a real one: who gets in, as whom, and with which roles."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client, override_settings
from django_otp import oath

from annotation import second_factor
from annotation.models import Invitation, Membership, Project, User
from annotation.models.projects import Role
from annotation.onboarding import joining
from annotation.single_sign_on import views
from tests import factories
from tests.annotation.single_sign_on.provider import Provider

pytestmark = pytest.mark.django_db


@pytest.fixture
def name() -> str:
    """Of somebody new: the provider keeps its people for the whole module."""
    return f"p{uuid.uuid4().hex[:8]}"


@pytest.fixture
def site(provider: Provider) -> Iterator[Provider]:
    with provider.settings():
        yield provider


def invite(project: Project) -> str:
    """The text of an invitation's link."""
    maker = factories.make_member(project, "manager")
    return Invitation.create(project, role=Role.ANNOTATOR, created_by=maker)[1]


def me(browser: Client) -> User | None:
    return User.objects.filter(pk=browser.session.get("_auth_user_id")).first()


def test_a_newcomer_gets_an_account_without_a_password(site: Provider, name: str) -> None:
    browser = Client()
    assert b"Log in with The lab" in browser.get("/login/").content
    answer = site.log_in(browser, site.person(name))
    assert answer.status_code == 302
    assert answer["Location"] == "/projects/"
    person = me(browser)
    assert person is not None
    assert person.username == name
    assert not person.has_usable_password()
    assert not person.is_superuser
    # Canaille says nothing of whether an address is theirs, so it is not believed.
    assert person.email == ""
    kept = SocialAccount.objects.get(user=person)
    assert kept.extra_data == {}
    assert browser.session.get_expiry_age() <= 12 * 3600

    again = Client()
    site.log_in(again, site.server.backend.get(site.server.models.User, user_name=name))
    assert me(again) == person


def test_it_leads_to_the_page_that_was_asked_for_and_to_no_other_site(
    site: Provider, name: str
) -> None:
    person = site.person(name)
    assert site.log_in(Client(), person, next="/notices/")["Location"] == "/notices/"
    away = site.log_in(Client(), person, next="https://elsewhere.example/")
    assert away["Location"] == "/projects/"


def test_a_taken_name_is_not_taken_over(site: Provider, name: str) -> None:
    owner = factories.make_user(username=name)
    browser = Client()
    site.log_in(browser, site.person(name))
    person = me(browser)
    assert person is not None
    assert person != owner
    assert person.username != name


def test_groups_give_roles_and_take_them(provider: Provider, name: str) -> None:
    project, other = factories.make_project(), factories.make_project()
    by_hand = factories.make_project()
    given = {
        "heads": ["administrator"],
        "annotators": [f"{project.slug}:annotator", "no-such-project:annotator"],
        "reviewers": f"{project.slug}:reviewer",
        "others": f"{other.slug}:annotator",
    }
    person = provider.person(name, "annotators", "reviewers", "others", "heads")

    def roles() -> dict[str, str]:
        return dict(Membership.objects.filter(user=user).values_list("project__slug", "role"))

    with provider.settings(groups=given):
        provider.log_in(Client(), person)
        user = User.objects.get(username=name)
        assert user.is_superuser and user.is_staff
        assert roles() == {project.slug: "reviewer", other.slug: "annotator"}
        joining.add(by_hand, user, Role.REVIEWER)

        for group in ("reviewers", "others", "heads"):
            provider.leave(person, group)
        provider.log_in(Client(), person)
        user.refresh_from_db()
        assert not user.is_superuser and not user.is_staff
        assert roles() == {project.slug: "annotator", by_hand.slug: "reviewer"}
        with pytest.raises(joining.FollowsGroups):
            joining.remove(Membership.objects.get(user=user, project=project))


def test_a_projects_last_manager_stays_when_their_group_goes(
    provider: Provider, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    project = factories.make_project()
    Membership.objects.filter(project=project).delete()
    person = provider.person(name, "managers")
    with provider.settings(groups={"managers": f"{project.slug}:manager"}):
        provider.log_in(Client(), person)
        provider.leave(person, "managers")
        with caplog.at_level(logging.WARNING):
            provider.log_in(Client(), person)
    assert project.memberships.get().role == Role.MANAGER
    assert "nobody else manages" in caplog.text


def test_administrators_stay_where_no_group_speaks_of_them(site: Provider, name: str) -> None:
    person = site.person(name)
    site.log_in(Client(), person)
    User.objects.filter(username=name).update(is_superuser=True, is_staff=True)
    site.log_in(Client(), person)
    assert User.objects.get(username=name).is_superuser


def test_only_people_of_the_named_groups_enter(provider: Provider, name: str) -> None:
    person = provider.person(name)
    with provider.settings(OIDC_ENTRY_GROUPS=["lab"]):
        browser = Client()
        refused = provider.log_in(browser, person)
        assert refused.status_code == 403
        assert b"none of the groups" in refused.content
        assert not User.objects.filter(username=name).exists()
        provider.join(person, "lab")
        provider.log_in(browser, person)
        assert me(browser) is not None
        provider.leave(person, "lab")
        assert provider.log_in(Client(), person).status_code == 403


def test_a_closed_account_stays_closed(site: Provider, name: str) -> None:
    person = site.person(name)
    site.log_in(Client(), person)
    User.objects.filter(username=name).update(is_active=False)
    browser = Client()
    answer = site.log_in(browser, person)
    assert answer.status_code == 403
    assert b"This account is closed" in answer.content
    assert me(browser) is None


def test_somebody_connects_the_account_that_they_have(site: Provider, name: str) -> None:
    person, owner = site.person(name), factories.make_user()
    browser = Client()
    browser.force_login(owner)
    wrong = browser.post("/account/single-sign-on/connect/", {"password": "not mine"})
    assert wrong.status_code == 422
    page = browser.post("/account/single-sign-on/connect/", {"password": factories.PASSWORD})
    answer = browser.get(site.answer_to(page, person))
    assert answer["Location"] == "/account/single-sign-on/"
    assert b"logs you in as well" in browser.get(answer["Location"]).content

    there = Client()
    site.log_in(there, person)
    assert me(there) == owner

    stranger = factories.make_user()
    browser.force_login(stranger)
    page = browser.post("/account/single-sign-on/connect/", {"password": factories.PASSWORD})
    browser.get(site.answer_to(page, person))
    assert b"connected to somebody else" in browser.get("/account/single-sign-on/").content
    assert SocialAccount.objects.get(user=owner)
    assert not SocialAccount.objects.filter(user=stranger).exists()

    browser.force_login(owner)
    off = {"password": factories.PASSWORD}
    assert browser.post("/account/single-sign-on/disconnect/", off).status_code == 302
    assert not SocialAccount.objects.filter(user=owner).exists()


def test_what_one_person_began_connects_nobody_else(site: Provider, name: str) -> None:
    person, owner = site.person(name), factories.make_user()
    browser = Client()
    browser.force_login(owner)
    page = browser.post("/account/single-sign-on/connect/", {"password": factories.PASSWORD})
    back = site.answer_to(page, person)
    session = browser.session
    session["_auth_user_id"] = str(factories.make_user().pk)
    session.save()
    browser.get(back)
    assert not SocialAccount.objects.exists()


def test_an_address_that_an_account_has_makes_no_second_one(
    site: Provider, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.make_user(email=f"{name}@lab.example")
    verified = {"email": f"{name.upper()}@lab.example", "email_verified": True}
    _say_also(monkeypatch, verified)
    browser = Client()
    answer = site.log_in(browser, site.person(name))
    assert answer.status_code == 409
    assert b"an account with your address" in answer.content
    assert me(browser) is None


@pytest.mark.parametrize("by_provider", [False, True])
def test_a_second_factor_is_asked_for_unless_the_provider_did(
    site: Provider, name: str, by_provider: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = site.person(name)
    site.log_in(Client(), person)
    user = User.objects.get(username=name)
    device = second_factor.begin(user)
    device.confirmed = True
    device.save()
    if by_provider:
        _say_also(monkeypatch, {"amr": ["pwd", "mfa"]})
    browser = Client()
    answer = site.log_in(browser, person, next="/notices/")
    if by_provider:
        assert me(browser) == user
        assert browser.session[second_factor.SESSION_MARK]
        return
    assert answer["Location"] == "/login/code/"
    assert me(browser) is None
    code = f"{oath.totp(device.bin_key):06d}"
    assert browser.post("/login/code/", {"code": code})["Location"] == "/notices/"
    assert me(browser) == user
    assert browser.session.get_expiry_age() <= 12 * 3600


def test_somebody_without_a_password_sets_up_and_ends_a_second_factor(
    site: Provider, name: str
) -> None:
    browser = Client()
    site.log_in(browser, site.person(name))
    user = me(browser)
    assert user is not None
    assert browser.post("/account/second-factor/begin/").status_code == 302
    device = second_factor.begun(user)
    assert device is not None
    code = f"{oath.totp(device.bin_key):06d}"
    shown = browser.post("/account/second-factor/confirm/", {"code": code}).content
    assert b"shown this once" in shown
    assert browser.post("/account/second-factor/off/").status_code == 422
    assert browser.post("/account/second-factor/off/", {"code": "nothing"}).status_code == 422
    assert second_factor.device_of(user) is not None
    assert browser.get("/account/password/").status_code == 409


def test_passwords_can_be_switched_off(provider: Provider) -> None:
    user, project = factories.make_user(), factories.make_project()
    invitation = invite(project)
    browser = Client()
    with provider.settings(LOCAL_LOGIN=False):
        assert b'name="password"' not in browser.get("/login/").content
        sent = {"username": user.username, "password": factories.PASSWORD}
        assert browser.post("/login/", sent).status_code == 403
        page = browser.get(f"/join/{invitation}/").content
        assert b"Log in with The lab" in page
        assert b'name="password1"' not in page
        made = {"username": "new", "password1": factories.PASSWORD}
        assert browser.post(f"/join/{invitation}/", made).status_code == 302
        assert not User.objects.filter(username="new").exists()
    assert me(browser) is None


def test_an_invitation_is_taken_by_who_logs_in_through_the_provider(
    site: Provider, name: str
) -> None:
    project = factories.make_project()
    invitation = invite(project)
    browser = Client()
    answer = site.log_in(browser, site.person(name), next=f"/join/{invitation}/")
    browser.post(answer["Location"])
    assert project.memberships.filter(user__username=name).exists()


def test_a_provider_that_is_away_is_said_so(site: Provider) -> None:
    nowhere = {
        "openid_connect": {
            "APPS": [
                site_app(site) | {"settings": {"server_url": "http://127.0.0.1:9/"}},
            ]
        }
    }
    with override_settings(SOCIALACCOUNT_PROVIDERS=nowhere):
        answer = Client().post("/login/sso/")
    assert answer.status_code == 503
    assert b"The lab does not answer" in answer.content


def test_nobody_begins_without_end(site: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "BEGINNINGS_OF_AN_ADDRESS", 1)
    stranger = {"REMOTE_ADDR": "203.0.113.7"}
    statuses = {Client().post("/login/sso/", **stranger).status_code for _ in range(5)}
    assert statuses == {200, 429}


@pytest.mark.parametrize(
    "query", ["", "?state=guess&code=guess", "?error=server_error", "?code=%00&state=%00"]
)
def test_who_comes_back_without_having_gone_is_told_to_begin_again(
    site: Provider, query: str
) -> None:
    answer = Client().get(f"/login/sso/callback/{query}")
    assert answer.status_code == 400
    assert b"Something in the address" in answer.content or b"Begin again" in answer.content


def test_a_token_for_another_request_logs_nobody_in(
    site: Provider, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _say_also(monkeypatch, {"nonce": "of another request"})
    browser = Client()
    assert site.log_in(browser, site.person(name)).status_code == 400
    assert me(browser) is None


def test_a_state_counts_once(site: Provider, name: str) -> None:
    browser = Client()
    back = site.answer_to(browser.post("/login/sso/"), site.person(name))
    browser.get(back)
    browser.logout()
    assert browser.get(back).status_code == 400
    # Nor does it count in another browser, to which somebody sent the address.
    assert Client().get(back).status_code == 400


def test_nothing_of_it_is_there_until_it_is_set_up() -> None:
    browser = Client()
    assert b"Log in with" not in browser.get("/login/").content
    assert browser.post("/login/sso/").status_code == 404
    assert browser.get("/login/sso/callback/").status_code == 404
    browser.force_login(factories.make_user())
    assert browser.get("/account/single-sign-on/").status_code == 404
    assert b"Single sign-on" not in browser.get("/projects/").content


def site_app(site: Provider) -> dict[str, Any]:
    from django.conf import settings

    app: dict[str, Any] = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
    return app


def _say_also(monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]) -> None:
    """As if the provider said ``more`` in its token: what Canaille has no setting for."""
    from annotation.single_sign_on import claims

    read = claims.read

    def with_more(data: dict[str, Any]) -> claims.Claims:
        said = {**data, "id_token": {**data.get("id_token", {}), **more}}
        return read({**said, "userinfo": {**data.get("userinfo", {}), **more}})

    monkeypatch.setattr(claims, "read", with_more)
