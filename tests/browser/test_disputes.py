"""Ruling on disputes with the keys alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotation.models import Adjudication, Comparison, Project
from tests import factories
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.django_db(transaction=True)


def disputed(project: Project) -> Comparison:
    comparison = factories.make_comparison(project, open_slots=0)
    Comparison.objects.filter(pk=comparison.pk).update(outcome=Comparison.Outcome.DISPUTED)
    return comparison


def test_disputes_are_ruled_on_by_key(visit: Visitor) -> None:
    project = factories.make_project(k=1)
    reviewer = factories.make_member(project, "reviewer")
    first, second, third = (disputed(project) for _ in range(3))
    page = visit.page(reviewer, f"/projects/{project.slug}/disputes/")
    left = page.get_by_text("wait for a ruling").or_(page.get_by_text("waits for a ruling"))

    expect(left).to_contain_text("3 comparisons")
    page.keyboard.press("l")  # the first is left for later
    page.wait_for_url("**/disputes/?after=*")
    for key in "20":  # taken back, then judged equal, and the second question asked
        page.keyboard.press(key)
    page.keyboard.press("c")
    for key in "01":
        page.keyboard.press(key)
    page.keyboard.press("n")
    page.keyboard.type("1 and 2 are letters here")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(left).to_contain_text("2 comparisons")
    ruling = Adjudication.objects.get()
    assert ruling.comparison == second
    assert (ruling.more_hallucinated, ruling.more_helpful) == ("tie", "1")
    assert ruling.note == "1 and 2 are letters here"

    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(left).to_contain_text("1 comparison waits")
    assert {one.comparison for one in Adjudication.objects.all()} < {first, second, third}
