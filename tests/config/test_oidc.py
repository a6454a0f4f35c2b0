"""The settings of single sign-on: what they mean, and which are refused at the start."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from annotation.models.projects import Role
from config import oidc


def test_the_highest_role_of_all_groups_counts() -> None:
    given = {"a": "p:annotator", "b": ["p:manager", "q:reviewer"], "c": ["p:reviewer"]}
    grants = oidc.grants(given | {"d": "administrator"})
    assert grants.roles(frozenset({"a", "b", "c", "unknown"})) == {"p": "manager", "q": "reviewer"}
    assert grants.administrators == {"d"}
    assert grants.roles(frozenset()) == {}


@pytest.mark.parametrize(
    "value",
    [[], "administrator", {"a": "p:owner"}, {"a": ":annotator"}, {"a": 1}, {"a": ["p"]}, {"a": {}}],
)
def test_groups_that_say_nothing_known_are_refused_by_name(value: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="OIDC_GROUPS"):
        oidc.grants(value)


@pytest.mark.parametrize("issuer", ["http://login.example.org", "login.example.org", "ftp://a"])
def test_an_issuer_over_plain_http_is_refused(issuer: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="https"):
        oidc.provider(issuer, client="a", secret="b", name="c", scopes=[])


def test_an_issuer_needs_a_client_and_a_secret() -> None:
    with pytest.raises(ImproperlyConfigured, match="OIDC_CLIENT_SECRET"):
        oidc.provider("https://a.example", client="a", secret="", name="c", scopes=[])


def test_subjects_of_another_issuer_are_other_people() -> None:
    assert oidc.provider_id("https://a.example/") == oidc.provider_id("https://a.example")
    assert oidc.provider_id("https://a.example") != oidc.provider_id("https://b.example")


@pytest.mark.parametrize("text", ["{", "[]", "lab:annotator"])
def test_groups_that_are_no_object_are_refused(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="OIDC_GROUPS"):
        oidc.read_grants(text)


def test_the_roles_are_those_of_projects_in_their_order() -> None:
    assert tuple(Role.values) == oidc.ROLES


def test_no_groups_give_nothing() -> None:
    assert oidc.read_grants("").projects == {}
