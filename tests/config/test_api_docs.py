"""The reference of the REST API says what the schema says."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator

from config import api_docs, schema
from tests import factories


def test_every_operation_of_the_schema_is_shown_once() -> None:
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    described = {(path, one) for path, methods in paths.items() for one in methods}
    shown = [(one.path, one.method) for _, operations in api_docs.groups() for one in operations]
    assert set(shown) == described
    assert len(shown) == len(described)


def test_the_body_of_a_judgment_names_its_members() -> None:
    operations = {(one.method, one.path): one for _, group in api_docs.groups() for one in group}
    submit = operations["post", "/api/v1/assignments/{token}/judgment"]
    body = {one.name: one for one in submit.body}
    assert body["more_hallucinated"].required
    assert body["more_hallucinated"].type == "1 | 2 | tie"
    assert [one.name for one in submit.parameters if one.required] == ["token"]


@pytest.mark.django_db
def test_the_page_is_for_people_who_are_logged_in(client: Client) -> None:
    path = reverse("api-docs")
    assert client.get(path).status_code == 302
    client.force_login(factories.make_user())
    text = client.get(path).content.decode()
    assert "/api/v1/assignments/{token}/judgment" in text


@pytest.mark.django_db
def test_the_page_is_sent_small_and_is_not_made_anew(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(factories.make_user())
    path = reverse("api-docs")
    whole = client.get(path).content
    monkeypatch.setattr(api_docs, "groups", None)  # would be called to make it anew
    sent = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert sent["Content-Encoding"] == "gzip"
    assert len(sent.content) < len(whole) / 8


@pytest.mark.django_db
def test_the_schema_is_made_once_for_each_form_and_for_everybody(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs two seconds of processor, which anybody may ask for."""
    made = []

    class Counting(SchemaGenerator):  # type: ignore[misc]
        def get_schema(self, *args: Any, **options: Any) -> Any:
            made.append(options)
            return {"openapi": "3.0.3", "paths": {}}

    schema._rendered.cache_clear()
    monkeypatch.setattr(schema, "SchemaGenerator", Counting)
    try:
        path = reverse("schema")
        shown = [client.get(path).content for _ in range(3)]
        client.force_login(factories.make_admin())
        shown.append(client.get(path).content)
        assert (len(made), len(set(shown))) == (1, 1)
        for query in ({}, {"lang": "de"}, {"version": "2"}):
            client.get(path, query, headers={"accept": "application/json"})
        assert len(made) == 2, "one for each form, whatever else is asked"
    finally:
        schema._rendered.cache_clear()


@pytest.mark.parametrize("needed", ["0", "1"])
def test_a_deployment_may_have_the_schema_need_a_log_in(needed: str) -> None:
    """The setting, as a process of the site reads it."""
    ask = (
        "import django; django.setup();"
        "from config.schema import Schema;"
        "print([one.__name__ for one in Schema.permission_classes])"
    )
    environment = {**os.environ, "API_SCHEMA_NEEDS_LOGIN": needed}
    environment["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    told = subprocess.run(
        [sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == ("['IsAuthenticated']" if needed == "1" else "['AllowAny']")
