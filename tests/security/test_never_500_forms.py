"""JSON in a field of a page's form, and marks and corrections with a wrong type in each member."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.test import Client, RequestFactory
from django.urls import reverse

from annotation import queue
from annotation.answers import Answer, InvalidAnswer
from annotation.models import Judgment
from config.json_fields import JSONField
from tests import factories

UNREADABLE = {
    "nested": "[" * 50_000,
    "nested and closed": "[" * 50_000 + "]" * 50_000,
    "digits": f"[{'9' * 5_000}]",
    "beyond all numbers": "[1e400]",
    "NaN": "[NaN]",
    "NUL": '["a\\u0000"]',
    "half a character": '["\\ud800"]',
    "a name twice": '{"a": 1, "a": 2}',
}
WRONG = [None, True, False, 0, 3, -1, 1.0, 2.0, 0.5, 2**63, "1", "", "x" * 5_000, [], [1], {}]
SPAN = {"response": 1, "start": 0, "end": 3, "kind": "object"}
CORRECTION = {"response": 1, "text": "A cat."}
RIGHT = {("start", 0), ("end", 3), ("text", "x" * 5_000), ("text", ""), ("text", "1")}


def all_forms(kind: type = forms.BaseForm) -> Iterator[type]:
    for one in kind.__subclasses__():
        yield one
        yield from all_forms(one)


def json_fields() -> list[tuple[str, forms.JSONField]]:
    """Of each form of the project, and of what administrators may change."""
    request = RequestFactory().get("/")
    request.user = factories.make_admin()
    asked = [one for one in all_forms() if not one.__module__.startswith(("django.", "allauth."))]
    asked += [
        one.get_form(request)
        for one in admin.site._registry.values()
        if one.has_add_permission(request) or one.has_change_permission(request)
    ]
    return [
        (f"{form.__name__}.{name}", field)
        for form in asked
        for name, field in getattr(form, "base_fields", {}).items()
        if isinstance(field, forms.JSONField)
    ]


@pytest.mark.django_db
def test_every_json_field_refuses_in_words_what_cannot_be_kept() -> None:
    found = json_fields()
    assert len(found) >= 3
    assert [name for name, field in found if not isinstance(field, JSONField)] == []
    for (name, field), said in product(found, UNREADABLE.values()):
        with pytest.raises(ValidationError, match="no JSON that can be kept"):
            field.clean(said)
        assert field.has_changed([], said), name
        field.prepare_value(field.bound_data(said, []))


@pytest.mark.parametrize("said", [*UNREADABLE, "an unhashable kind", "a fraction of a response"])
@pytest.mark.django_db
def test_pages_that_take_json_answer_with_422(said: str) -> None:
    project = factories.make_project(k=1)
    other = factories.make_comparison(project)
    person = factories.make_member(project, "manager")
    client = Client(raise_request_exception=False, headers={"hx-request": "true"})
    client.force_login(person)
    lease = queue.claim(project, person)
    assert lease is not None
    spans = {
        "an unhashable kind": json.dumps([{**SPAN, "kind": []}]),
        "a fraction of a response": json.dumps([{**SPAN, "response": 1.0}]),
        **UNREADABLE,
    }[said]
    answer = {"client_uuid": str(uuid.uuid4()), "more_hallucinated": "1", "spans": spans}
    sent = client.post(reverse("annotation:answer", args=[lease.token]), answer)
    assert sent.status_code == 422
    assert not Judgment.objects.exists()
    example = {"more_hallucinated": "1", "why": "w", "spans": spans}
    page = reverse("annotation:example", args=[project.slug, other.pk])
    assert client.post(page, example).status_code == 422


@pytest.mark.django_db
def test_each_member_of_a_mark_or_correction_has_its_very_type() -> None:
    """What compares equal to a right value passes by whoever turns sides, and lands on the other
    response."""
    comparison = factories.make_comparison(factories.make_project())
    cases = [
        (name, member, wrong, {**right, member: wrong})
        for name, right in (("spans", SPAN), ("corrections", CORRECTION))
        for member, wrong in product(right, WRONG)
        if (member, wrong)
        not in [(one, value) for one, value in RIGHT if type(value) is type(wrong)]
    ]
    for name, member, wrong, part in cases:
        answer = Answer(more_hallucinated="1", **{name: [part]})
        with pytest.raises(InvalidAnswer):
            answer.check(comparison.project, comparison)
            pytest.fail(f"{name} takes {wrong!r} for {member}")
    for part in WRONG[:-3]:
        wrongs: list[Any] = [part]
        with pytest.raises(InvalidAnswer):
            Answer(more_hallucinated="1", spans=wrongs).check(comparison.project, comparison)
