"""Answers in Markdown and from right to left are laid out, and guidelines are read first."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Comparison, Judgment, Membership, Project
from tests import factories
from tests.browser.conftest import Visitor
from tests.browser.labelling import Eventually
from tests.browser.test_marking import in_order, marked_words, select, stored

pytestmark = pytest.mark.django_db(transaction=True)
MARKDOWN = (
    "# What I see\n\nTwo **red 🐈 cats** and *one* dog:\n\n"
    "- a `collar`\n- [a ball](https://x.example)\n\n"
    "| animal | colour |\n|---|---|\n| cat | **red** |\n"
)
ARABIC = "أرى سيارة Toyota, STOP.\nوكلبًا **أحمر** صغيرًا."  # noqa: RUF001


@pytest.fixture
def project() -> Project:
    return factories.make_project(k=1, mark_spans=True, guidelines="")


def label(
    visit: Visitor, project: Project, text: str, other: str = "没有猫,只有一只狗。", **options: int
) -> Page:
    comparison = factories.make_comparison(project, response_1=text, response_2=other)
    assert comparison.outcome == Comparison.Outcome.WAITING
    return visit.page(in_order(project), f"/projects/{project.slug}/label/", **options)


def test_markdown_is_laid_out_and_marks_lie_in_the_source(
    visit: Visitor, project: Project, eventually: Eventually
) -> None:
    page = label(visit, project, MARKDOWN)
    response = page.locator('[data-response="1"]')
    assert response.text_content() == MARKDOWN
    shown = response.inner_text()
    assert "**" not in shown and "https" not in shown and "# What" not in shown
    assert response.locator("a, img").count() == 0
    select(page, 1, "cats")
    page.keyboard.press("1")
    expect(response.locator("mark")).to_have_text("cats")
    select(page, 1, "Two ")
    page.keyboard.press("Shift+ArrowRight")  # over the signs of bold
    page.keyboard.press("3")
    page.keyboard.press("Escape")
    expect(response.locator("mark[data-kind=number]")).to_have_count(3)
    expect(response.locator("mark[data-kind=number]:not([data-more])")).to_have_text("red")
    page.get_by_role("button", name="As written").click()
    assert "**red" in response.inner_text() and "# What I see" in response.inner_text()
    page.wait_for_timeout(600)  # past the time of a double click
    page.keyboard.press("v")
    assert "**red" not in response.inner_text()
    page.keyboard.press("1")
    assert marked_words(stored(eventually)) == {(1, "cats", "object"), (1, "Two **red", "number")}


def test_marks_of_an_answer_that_is_taken_back_can_be_removed(
    visit: Visitor, project: Project, eventually: Eventually
) -> None:
    page = label(visit, project, MARKDOWN)
    visit.expect_problem("ERR_INTERNET_DISCONNECTED")
    response = page.locator('[data-response="1"]')
    assert response.text_content() == MARKDOWN
    select(page, 1, "cats")
    page.keyboard.press("1")
    page.context.set_offline(True)
    page.keyboard.press("1")
    expect(response).to_have_count(0)
    page.keyboard.press("u")
    expect(response.locator("mark")).to_have_text("cats")
    response.locator("mark").click()
    page.keyboard.press("Delete")
    expect(response.locator("mark")).to_have_count(0)
    assert response.text_content() == MARKDOWN
    page.context.set_offline(False)
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    assert marked_words(stored(eventually)) == set()


def test_words_are_counted_in_any_script(visit: Visitor, project: Project) -> None:
    page = label(visit, project, "Two cats.")
    heads = page.locator(".response-head").all_inner_texts()
    assert sorted(head.split()[-2] for head in heads) == ["2", "8"]
    expect(page.get_by_role("button", name="As written")).to_have_count(0)


def test_right_to_left_stands_at_the_right(
    visit: Visitor, project: Project, eventually: Eventually
) -> None:
    page = label(visit, project, ARABIC, "هناك قطة.", width=390)
    response = page.locator('[data-response="1"]')
    assert response.evaluate("(one) => getComputedStyle(one).direction") == "rtl"
    edges = response.evaluate(
        """(one) => [...one.querySelectorAll(".md-line")].map((line) => {
            const range = document.createRange();
            range.selectNodeContents(line);
            return line.getBoundingClientRect().right - range.getBoundingClientRect().right;
        })"""
    )
    assert all(abs(edge) < 2 for edge in edges), edges
    page.keyboard.press("m")
    page.keyboard.press("ArrowLeft")  # the next word, which stands to the left
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    [(_, word, _)] = marked_words(stored(eventually))
    comparison = Judgment.objects.get().comparison
    assert word in [text.split()[1].rstrip(".") for text in (ARABIC, comparison.response_2)]


@pytest.mark.parametrize("role", ["annotator", "reviewer", "manager"])
def test_guidelines_are_left_by_having_read_them(visit: Visitor, role: str) -> None:
    project = factories.make_project(k=1, guidelines="# Read me\n\nCount wrong objects.")
    factories.make_comparison(project)
    person = factories.make_member(project, role=role)
    page = visit.page(person, f"/projects/{project.slug}/label/")
    dialog = page.locator("#guidelines-dialog")
    expect(dialog).to_be_visible()
    for _ in range(3):
        page.keyboard.press("Escape")
    page.mouse.click(5, 5)  # beside it
    page.keyboard.press("g")
    page.keyboard.press("1")
    expect(dialog).to_be_visible()
    assert not Judgment.objects.exists()
    dialog.get_by_role("button", name="I have read them").click()
    expect(dialog).to_be_hidden()
    assert Membership.objects.get(user=person).guidelines_acknowledged == 1
    page.keyboard.press("g")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
