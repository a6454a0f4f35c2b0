"""What all views share: a repeated key does its work once, a body has an end."""

import pytest

from annotation.models import IdempotentAnswer, Release
from tests.annotation.api import Api
from tests.factories import (
    judge,
    make_comparison,
    make_member,
)

pytestmark = pytest.mark.django_db


def test_a_repeated_key_is_answered_without_doing_it_again(project, api):
    judge(make_comparison(project))
    path = f"projects/{project.slug}/releases"
    first = api.post(path, {"seed": 1}, **{"Idempotency-Key": "k1"})
    second = api.post(path, {"seed": 1}, **{"Idempotency-Key": "k1"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert Release.objects.count() == 1
    assert api.post(path, {"seed": 1}, **{"Idempotency-Key": "k2"}).json() != first.json()


def test_a_repeated_key_with_another_body_is_refused(project, api):
    judge(make_comparison(project))
    path = f"projects/{project.slug}/releases"
    api.post(path, {"seed": 1}, **{"Idempotency-Key": "k1"})
    assert api.post(path, {"seed": 2}, **{"Idempotency-Key": "k1"}).status_code == 422


def test_a_failed_request_leaves_its_key_free(project, api):
    path = f"projects/{project.slug}/releases"
    assert api.post(path, {}, **{"Idempotency-Key": "k1"}).status_code == 409
    assert not IdempotentAnswer.objects.exists()
    judge(make_comparison(project))
    assert api.post(path, {}, **{"Idempotency-Key": "k1"}).status_code == 201


def test_keys_of_different_people_do_not_meet(project, api):
    judge(make_comparison(project))
    other = Api(make_member(project, "manager"))
    path = f"projects/{project.slug}/releases"
    first = api.post(path, {}, **{"Idempotency-Key": "k1"}).json()
    second = other.post(path, {}, **{"Idempotency-Key": "k1"}).json()
    assert first["id"] != second["id"]


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k1"}])
def test_a_body_that_is_too_large_is_refused(project, api, settings, headers):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    path = f"projects/{project.slug}/comparisons"
    refused = api.post(path, {"comparisons": ["x" * 1000]}, **headers)
    assert refused.status_code == 413
    assert refused["Content-Type"] == "application/problem+json"
