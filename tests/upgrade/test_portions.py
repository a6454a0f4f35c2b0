"""Migrations that go over many rows in portions come to all of them, and may be done again."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.db import connection

from annotation.models import Comparison
from tests import factories

pytestmark = pytest.mark.django_db
EQUALS = import_module("annotation.migrations.0016_identical_responses_are_equal")


def test_equal_responses_are_settled_in_every_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EQUALS, "PORTION", EQUALS.PORTION.replace("10000", "2"))
    project = factories.make_project(k=2)
    made = factories.make_comparisons(project, 5)
    equal = {made[0].pk, made[3].pk, made[4].pk}
    for one in made:
        if one.pk in equal:
            Comparison.objects.filter(pk=one.pk).update(response_2=f" {one.response_1}\n")
    for _ in range(2):
        EQUALS.settle(None, SimpleNamespace(connection=connection))
        settled = set(Comparison.objects.filter(outcome="undecided").values_list("pk", flat=True))
        assert settled == equal
    for one in Comparison.objects.all():
        assert one.open_slots == (0 if one.pk in equal else 2)
