"""The OpenAPI document describes every route of the API, without a warning."""

import io

import pytest
import yaml
from django.core.management import call_command


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
