"""What an annotator and a phone see: no empty places, and the figures that matter."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.benchmark.factories import make_evaluation, make_question_set
from tests.browser.conftest import Visitor
from tests.factories import make_member, make_project

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("role", "seen"), [("annotator", False), ("reviewer", True)])
def test_annotators_are_not_led_to_empty_pages(visit: Visitor, role: str, seen: bool) -> None:
    page = visit.page(make_member(make_project(), role), "/projects/")
    nav = page.get_by_role("navigation", name="Main")
    expect(nav.get_by_role("link", name="Projects")).to_be_visible()
    for name in ("Training", "Benchmarks"):
        expect(nav.get_by_role("link", name=name)).to_have_count(int(seen))


def test_a_phone_shows_the_hallucination_rate(visit: Visitor) -> None:
    project = make_project()
    make_evaluation(
        [6, 1, 5, 0], question_set=make_question_set(count=4), project=project, model_name="Model"
    )
    page = visit.page(make_member(project, "reviewer"), "/benchmarks/", width=390)
    shown = page.locator(".on-phones", has_text="Hallucination rate").first
    expect(shown).to_contain_text("50 %")
    box = shown.bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
