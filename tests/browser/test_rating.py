"""Rating answers in a real browser: one keystroke each, one to take the last one back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from benchmark import evaluating
from benchmark.models import Evaluation
from tests.benchmark.factories import make_judge, make_question_set
from tests.browser.conftest import Visitor
from tests.factories import make_image, make_member, make_project

pytestmark = pytest.mark.django_db(transaction=True)


def test_keys_rate_and_take_back(visit: Visitor) -> None:
    project = make_project()
    question_set = make_question_set(count=2)
    question_set.questions.update(image=make_image())
    judge = make_judge("people", kind="person", base_url="", model="")
    evaluation = evaluating.start(
        question_set=question_set, judge=judge, model_name="A model", project=project
    )
    said = {q: evaluating.Said(f"text {q.number}") for q in question_set.questions.all()}
    evaluating.store_answers(evaluation, said)

    page = visit.page(make_member(project, "reviewer"), f"/benchmarks/rate/{judge.pk}/", width=390)
    expect(page.get_by_text("0 of 2 rated").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#rating [data-key='5']").dblclick()  # the second click is for nobody
    expect(page.get_by_text("1 of 2 rated").first).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text("0 of 2 rated").first).to_be_visible()
    page.keyboard.press("9")
    page.keyboard.press("4")
    expect(page.get_by_text("1 of 2 rated").first).to_be_visible()
    page.keyboard.press("1")
    expect(page.get_by_text("Nothing waits for a rating")).to_be_visible()
    evaluation.refresh_from_db()
    assert evaluation.state == Evaluation.State.COMPLETE
    assert evaluation.summary["score"]["value"] == 2.5
