"""What an annotator and a phone see: no empty places, and the figures that matter."""

from __future__ import annotations

import re

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


def test_guidelines_begin_with_a_template_and_are_previewed(visit: Visitor) -> None:
    project = make_project(guidelines="")
    page = visit.page(make_member(project, "manager"), f"/projects/{project.slug}/settings/")
    page.get_by_role("button", name="Put in a template").click()
    page.get_by_role("button", name="Preview").click()
    preview = page.get_by_role("region", name="The guidelines as annotators would read them")
    expect(preview.locator("table tr")).to_have_count(6)
    expect(page.locator("#id_guidelines")).to_have_value(re.compile("What does not count"))
    project.refresh_from_db()
    assert (project.guidelines, project.guidelines_version) == ("", 1)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Settings saved.")).to_be_visible()
    project.refresh_from_db()
    assert "## What counts" in project.guidelines
