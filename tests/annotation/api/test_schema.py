"""The OpenAPI document describes every route of the API, without a warning."""

import io

import pytest
import yaml
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator

ANSWERED_BY_CLIENT_UUID = {"/api/v1/assignments/{token}/judgment"}
# Twenty answers, four drafts, and curves that are read behind a step.
BOUNDED = {
    "/api/v1/projects/{slug}/judgments",
    "/api/v1/projects/{slug}/comparisons/{id}/drafts",
    "/api/v1/runs/{id}/metrics",
}


def operations(method):
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return {path: one[method] for path, one in schema["paths"].items() if method in one}


def test_every_request_that_creates_takes_an_idempotency_key():
    creating = {path: one for path, one in operations("post").items() if "201" in one["responses"]}
    without = {
        path
        for path, one in creating.items()
        if "Idempotency-Key" not in {known["name"] for known in one.get("parameters", [])}
    }
    assert without == ANSWERED_BY_CLIENT_UUID
    assert len(creating) > 12


def test_every_list_that_can_grow_has_pages():
    """A bare array would grow with the data; a page says where the next one begins."""
    bare = set()
    for path, one in operations("get").items():
        content = one["responses"].get("200", {}).get("content", {})
        if content.get("application/json", {}).get("schema", {}).get("type") == "array":
            bare.add(path)
    assert bare == BOUNDED


@pytest.mark.django_db
def test_the_schema_is_complete_and_valid():
    output = io.StringIO()
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=output)
    schema = yaml.safe_load(output.getvalue())
    assert "/api/v1/projects/{slug}/assignments/next" in schema["paths"]
    assert schema["components"]["securitySchemes"]["token"] == {
        "type": "http",
        "scheme": "bearer",
    }
