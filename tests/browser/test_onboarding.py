"""Worked examples and the entry quiz in a real browser, by keyboard, checked by axe-core."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotation import gold_and_repeats
from annotation.models import Judgment, Membership, Project, WorkedExample
from annotation.onboarding import quiz
from tests import factories
from tests.browser.conftest import Visitor
from tests.browser.labelling import READY, Eventually, press_and_leave
from tests.browser.test_accessibility import SCHEMES, findings

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project() -> Project:
    project = factories.make_project(quiz_pass_mark=0.5, quiz_attempts=1)
    made = factories.make_comparisons(project, 2)
    for comparison in made:
        gold_and_repeats.make_gold(
            comparison, more_hallucinated="tie", explanation="Both are wrong."
        )
    quiz.choose(project, [one.pk for one in made])
    factories.make_comparisons(project, 2)
    return project


@SCHEMES
def test_the_quiz_is_taken_by_keyboard(visit: Visitor, project: Project, scheme: str) -> None:
    newcomer = factories.make_member(project)
    page = visit.page(newcomer, f"/projects/{project.slug}/label/", width=360, color_scheme=scheme)
    moments = {"before": findings(page)}
    page.keyboard.press("Enter")
    expect(page.get_by_text("question 1 of 2")).to_be_visible()
    moments["question"] = findings(page)
    for key in ("u", "s", "m", "n"):
        page.keyboard.press(key)
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.keyboard.press("1")
    expect(page.get_by_text("Not right.")).to_be_visible()
    expect(page.get_by_text("Both are wrong.")).to_be_visible()
    moments["wrong"] = findings(page)
    page.keyboard.press("Enter")
    expect(page.get_by_text("question 2 of 2")).to_be_visible()
    page.keyboard.press("0")
    expect(page.get_by_text("You passed: 1 of 2 right.")).to_be_visible()
    moments["passed"] = findings(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-task]")
    assert {name: found for name, found in moments.items() if found} == {}
    assert not Judgment.objects.exists()
    assert Membership.objects.get(user=newcomer).quiz_admitted_at is not None


def test_a_marked_example_is_written_and_read(visit: Visitor, project: Project) -> None:
    Project.objects.update(quiz_pass_mark=0)
    comparison = factories.make_comparison(project, response_2="A green star 🍎 shines.")
    manager = factories.make_member(project, "manager")
    inside = f"/projects/{project.slug}/"
    page = visit.page(manager, f"{inside}comparisons/{comparison.pk}/example/")
    for key in ("m", "ArrowDown", "ArrowRight", "Shift+ArrowRight", "1", "Escape"):
        page.keyboard.press(key)
    expect(page.locator("mark[data-kind=object]")).to_have_text("green star")
    page.get_by_role("radio", name="Response 2").check()
    page.get_by_label("Why").fill("No star is shown.")
    page.get_by_role("button", name="Add to the next version").click()
    page.get_by_role("button", name="Publish version 2").click()
    expect(page.get_by_role("button", name="Publish version 2")).to_have_count(0)
    example = WorkedExample.objects.get()
    assert example.spans == [{"response": 2, "start": 2, "end": 12, "kind": "object"}]
    assert findings(page) == []
    reader = visit.page(factories.make_member(project), f"{inside}label/", color_scheme="dark")
    dialog = reader.get_by_role("dialog")
    expect(dialog.get_by_text("No star is shown.")).to_be_visible()
    expect(dialog.locator("mark")).to_have_text("green star")
    assert findings(reader) == []
    reader.get_by_role("button", name="I have read them").click()
    reader.wait_for_load_state("networkidle")
    reader.keyboard.press("g")
    expect(dialog.get_by_text("No star is shown.")).to_be_visible()


def test_guidelines_that_change_meanwhile_are_shown_before_going_on(
    visit: Visitor, project: Project, eventually: Eventually
) -> None:
    Project.objects.update(quiz_pass_mark=0)
    factories.make_comparisons(project, 2)
    annotator = factories.make_member(project)
    page = visit.page(annotator, f"/projects/{project.slug}/label/")
    project.refresh_from_db()
    page.evaluate(READY, 2)  # or the answer is known before the next comparison is shown
    project.change_guidelines("Count the **stars** too.")
    press_and_leave(page, "1")
    page.wait_for_selector('#label-progress[data-guidelines="2"]')
    expect(page.locator("dialog[open]")).to_have_count(0)  # Whoever has begun is not disturbed.
    press_and_leave(page, "2")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("These guidelines have changed.")).to_be_visible()
    expect(dialog.locator("strong", has_text="stars")).to_be_visible()
    eventually(lambda: Judgment.objects.count() == 2)
    dialog.get_by_role("button", name="I have read them").click()
    page.wait_for_selector("[data-label-page]:not([data-show-guidelines])", state="attached")
    assert Membership.objects.get(user=annotator).guidelines_acknowledged == 2
