"""The reference of the REST API says what the schema says."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator

from config import api_docs
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
