"""A project of many people: no page holds them all, and none asks more often for it."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation.models import Invitation, Membership, Project, User, WorkDay
from annotation.models.figures import COUNTS
from annotation.quality import figures
from tests.factories import make_member, make_project

pytestmark = pytest.mark.django_db
MANY = 130
ON_A_PAGE = 50
PAGES = ["", "quality/", "members/", "quiz/"]


def crowded(number: int) -> Project:
    """A project in which so many annotators have answered, and as many links wait."""
    project = make_project()
    people = User.objects.bulk_create(User(username=f"{project.slug}-{n}") for n in range(number))
    Membership.objects.bulk_create(Membership(project=project, user=one) for one in people)
    counts = {**dict.fromkeys(COUNTS, 0), "answers": 3, "active_seconds": 9.0}
    WorkDay.objects.bulk_create(
        WorkDay(project=project, annotator=one, day=timezone.now().date(), **counts)
        for one in people
    )
    return project


@pytest.mark.parametrize("path", PAGES)
def test_no_page_lists_more_people_than_fit_on_it(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "_quick", lambda kept: False)
    asked, seen = [], set()
    for number in (3, MANY):
        project = crowded(number)
        manager = make_member(project, "manager")
        if path == "members/":
            for _ in range(number):
                Invitation.create(project, role="annotator", created_by=manager)
        client = Client()
        client.force_login(manager)
        address = f"{project.get_absolute_url()}{path}"
        with CaptureQueriesContext(connection) as caught:
            client.get(address)
        asked.append(len(caught))
        pages = range(1, number // ON_A_PAGE + 2)
        for page in pages:
            text = client.get(f"{address}?page={page}").content.decode()
            found = set(re.findall(rf"{project.slug}-\d+", text))
            assert len(found) <= ON_A_PAGE
            assert text.count("/withdraw/") <= ON_A_PAGE
            seen |= found
        if number > ON_A_PAGE:
            assert 'rel="next"' in client.get(address).content.decode()
    assert len(seen) == 3 + MANY
    assert asked[1] <= asked[0] + 1  # A page of several counts the rows.
