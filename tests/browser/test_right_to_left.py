"""Labelling in Arabic, from the log-in to the stored answer: the page runs from right to left."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotation.models import Judgment
from tests import factories
from tests.browser.conftest import Visitor
from tests.browser.labelling import READY, Eventually, press_and_leave

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "a long enough password"


def test_the_answer_that_is_seen_on_the_right_is_the_first(
    visit: Visitor, eventually: Eventually
) -> None:
    project = factories.make_project(k=1, guidelines="", mark_spans=True)
    factories.make_comparisons(project, 3)
    person = factories.make_member(project)
    person.set_password(PASSWORD)
    person.save()
    page = visit.page(None, f"/login/?next=/projects/{project.slug}/label/", locale="ar")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    page.get_by_label("اسم المستخدم").fill(person.username)
    page.get_by_label("كلمة المرور").fill(PASSWORD)
    page.get_by_role("button", name="تسجيل الدخول").click()
    page.evaluate(READY, 2)

    first, second = (page.get_by_role("button", name=f"الإجابة {letter}") for letter in "AB")
    places = [one.bounding_box() for one in (first, second)]
    assert places[0] and places[1] and places[0]["x"] > places[1]["x"]
    # Words of scripts, and an answer in English within the page.
    page.keyboard.press("m")
    expect(page.locator("#label-status")).to_contain_text("الإجابة A")
    page.keyboard.press("1")
    expect(page.locator("mark[data-kind=object]")).to_have_attribute("data-words", "شيء")
    page.keyboard.press("Escape")
    assert (
        page.locator(".response-text").first.evaluate("(one) => getComputedStyle(one).direction")
        == "ltr"
    )

    right = press_and_leave(page, "ArrowRight")
    left = press_and_leave(page, "ArrowLeft")
    eventually(lambda: Judgment.objects.count() == 2)
    assert Judgment.objects.get(assignment=right).more_hallucinated == str(right.order[0])
    assert Judgment.objects.get(assignment=left).more_hallucinated == str(left.order[1])
    expect(page.locator("#label-progress")).to_contain_text("2")
