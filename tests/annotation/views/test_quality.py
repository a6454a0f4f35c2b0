"""Wherever agreement is shown, it has its interval and of how many comparisons it is."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils.html import strip_tags

from annotation import exporting
from tests.factories import judge, make_comparison, make_member, make_project

pytestmark = pytest.mark.django_db


def test_agreement_has_one_figure_interval_and_number_wherever_it_stands() -> None:
    project = make_project(k=2)
    for said in (("1", "1"), ("2", "2"), ("1", "2"), ("1", "1"), ("2", "2")):
        comparison = make_comparison(project)
        last = [judge(comparison, one) for one in said][-1]
    release = exporting.make_release(project, seed=3, policy={"accept_chance_agreement": True})
    client = Client()
    client.force_login(make_member(project, "manager"))
    inside = project.get_absolute_url()
    shown = []
    for path in (inside, f"{inside}quality/", release.get_absolute_url()):
        text = re.sub(r"\s+", " ", strip_tags(client.get(path).content.decode()))
        found = re.findall(r"(-?\d\.\d\d)(-?\d\.\d\d to -?\d\.\d\d)(\d+ comparisons?)", text)
        assert len(found) == 1, path
        shown += found
    assert len(set(shown)) == 1
    assert shown[0][2] == "5 comparisons"
    person = f"{inside}people/{last.assignment.annotator_id}/"
    assert "100 % of 1 votes of others say the same" in client.get(person).content.decode()
