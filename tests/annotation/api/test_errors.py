"""What is refused comes as problem details, whatever was sent."""

import uuid

import pytest
from rest_framework import exceptions

from annotation.api.errors import problem_details
from tests.annotation.api import Api
from tests.factories import (
    make_comparison,
    make_member,
    make_project,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project(k=2)


@pytest.fixture
def api(project):
    return Api(make_member(project))


def test_unknown_parameters_are_refused(project, api):
    refused = api.get("projects", created_by__password__startswith="a")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "created_by__password__startswith"


@pytest.mark.parametrize("body", ["{", "[1, 2", "\ufeff", '{"a": NaN}'])
def test_a_body_that_is_not_json_is_a_problem(project, api, body):
    refused = api.post(f"projects/{project.slug}/assignments/next", body)
    assert refused.status_code == 400
    assert refused["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("body", ["[]", "7", '"text"', "null"])
def test_a_body_of_another_type_is_a_problem(project, api, body):
    make_comparison(project)
    given = api.post(f"projects/{project.slug}/assignments/next").json()
    refused = api.post(f"assignments/{given['token']}/judgment", body)
    assert refused.status_code == 400


def test_what_does_not_exist_is_a_problem(api):
    missing = api.get(f"assignments/{uuid.uuid4()}")
    assert missing.status_code == 404
    assert missing.json()["title"] == "Not found"


@pytest.mark.parametrize(
    "error",
    [exceptions.UnsupportedMediaType("a/b"), exceptions.MethodNotAllowed("PUT")],
)
def test_a_title_is_no_pattern_that_nobody_filled_in(error: exceptions.APIException) -> None:
    answer = problem_details(error, {})
    assert answer is not None
    assert "{" not in answer.data["title"] + answer.data["detail"]
