"""Tokens: hashed, scoped, expiring, revocable, and in no log."""

import logging
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from annotation.models import ApiToken
from tests.annotation.api import Api
from tests.factories import make_member, make_project, make_token, make_user

pytestmark = pytest.mark.django_db


def status_with(header: str) -> int:
    return Client(headers={"Authorization": header}).get("/api/v1/projects").status_code


def test_a_token_speaks_for_its_person():
    project = make_project()
    assert Api(make_member(project), "read").get("projects").json()["results"]


def test_without_a_token_the_answer_says_how_to_log_in():
    refused = Api(None).get("projects")
    assert refused.status_code == 401
    assert refused["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer fl_unknown", "bearer \xff"])
def test_a_bad_header_is_refused(header):
    assert status_with(header) == 401


def test_expired_revoked_and_inactive_tokens_are_refused():
    user = make_user()
    raw = make_token(user)
    assert status_with(f"Bearer {raw}") == 200
    token = ApiToken.objects.get()
    token.expires_at = timezone.now() - timedelta(seconds=1)
    token.save()
    assert status_with(f"Bearer {raw}") == 401
    token.expires_at = None
    token.save()
    token.revoke()
    assert status_with(f"Bearer {raw}") == 401
    ApiToken.objects.update(revoked_at=None)
    user.is_active = False
    user.save()
    assert status_with(f"Bearer {raw}") == 401


@pytest.mark.parametrize(
    ("scope", "expected"), [("read", 200), ("annotate", 403), ("manage", 403), ("train", 403)]
)
def test_reading_needs_the_scope_read(scope, expected):
    assert Api(make_user(), scope).get("projects").status_code == expected


def test_annotating_needs_the_scope_annotate():
    project = make_project()
    member = make_member(project)
    path = f"projects/{project.slug}/assignments/next"
    assert Api(member, "read", "manage", "train").post(path).status_code == 403
    assert Api(member, "annotate").post(path).status_code == 204


def test_a_scope_gives_no_role():
    project = make_project()
    path = f"projects/{project.slug}/releases"
    assert Api(make_member(project), "manage").post(path).status_code == 403


def test_a_browser_session_may_use_the_api():
    user = make_user()
    client = Client()
    client.force_login(user)
    assert client.get("/api/v1/projects").status_code == 200


def test_only_the_digest_of_a_token_is_kept(caplog):
    caplog.set_level(logging.DEBUG)
    user = make_user()
    raw = make_token(user)
    assert status_with(f"Bearer {raw}") == 200
    assert raw not in caplog.text
    with connection.cursor() as cursor:
        cursor.execute("SELECT annotation_apitoken::text FROM annotation_apitoken")
        dumped = "".join(row[0] for row in cursor.fetchall())
    assert raw not in dumped
    assert raw[8:] not in dumped


def test_use_is_noted_once_a_minute():
    raw = make_token(make_user())
    status_with(f"Bearer {raw}")
    first = ApiToken.objects.get().last_used_at
    status_with(f"Bearer {raw}")
    assert first is not None
    assert ApiToken.objects.get().last_used_at == first


def test_unknown_scopes_are_refused():
    with pytest.raises(ValueError, match="root"):
        ApiToken.create(make_user(), name="x", scopes=["root"])
