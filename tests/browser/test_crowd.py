"""A study from its link to the pay: a manager's pages and a participant's, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import APIResponse, Route, expect

from annotation import gold_and_repeats
from annotation.models import Judgment, Participant, Project
from annotation.onboarding import quiz
from tests import factories
from tests.browser.conftest import PAINTED, Visitor
from tests.browser.labelling import press_and_leave
from tests.browser.test_accessibility import SCHEMES, findings
from tests.browser.test_run_end import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project() -> Project:
    project = factories.make_project(
        k=2, quiz_pass_mark=1, quiz_attempts=1, guidelines="Count the **stars**."
    )
    gold = factories.make_comparison(project)
    gold_and_repeats.make_gold(gold, more_hallucinated="tie", explanation="Both are wrong.")
    quiz.choose(project, [gold.pk])
    factories.make_comparisons(project, 4)
    return project


@SCHEMES
def test_a_study_from_the_link_to_the_pay(visit: Visitor, project: Project, scheme: str) -> None:
    manager = factories.make_member(project, "manager")
    desk = visit.page(manager, f"/projects/{project.slug}/members/", color_scheme=scheme)
    desk.get_by_role("link", name="Studies").click()
    moments = {"no studies": findings(desk)}
    desk.get_by_label("Name").fill("Pilot")
    desk.get_by_label("Answers of each participant").fill("2")
    desk.get_by_label("Participants", exact=True).fill("5")
    desk.get_by_label("Completion code").fill("C0DE42")
    desk.get_by_label("Address to lead back to").fill("https://app.prolific.com/x?cc=C0DE42")
    desk.get_by_role("button", name="Make the study and its link").click()
    link = desk.locator("#study-link").inner_text()
    moments["a new study"] = findings(desk)
    link = link.replace("{{%PROLIFIC_PID%}}", "pid-7").replace("{{%STUDY_ID%}}", "st")
    path = "/study/" + link.partition("/study/")[2]
    first = path.replace("{{%SESSION_ID%}}", "session-1")

    page = visit.page(None, first, width=360, color_scheme=scheme)
    moments["arrival"] = findings(page)
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name="Please read this before you begin")).to_be_visible()
    moments["guidelines"] = findings(page)
    page.get_by_role("button", name="I have read them").click()
    page.get_by_role("button", name="Begin the quiz").click()
    expect(page.get_by_text("question 1 of 1")).to_be_visible()
    page.evaluate(PAINTED)
    page.keyboard.press("0")
    expect(page.get_by_text("You passed: 1 of 1 right.")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-task]")
    expect(page.get_by_text("0 of 2 answered")).to_be_visible()
    expect(page.get_by_label("Account menu")).to_have_count(0)
    press_and_leave(page, "1")
    expect(page.get_by_text("1 of 2 answered")).to_be_visible()
    moments["work"] = findings(page)
    press_and_leave(page, "2")
    expect(page.get_by_role("heading", name="You have answered all 2")).to_be_visible()
    moments["all answered"] = findings(page)
    page.get_by_role("link", name="Finish").click()
    expect(page.locator("#completion-code")).to_have_text("C0DE42")
    back = page.get_by_role("link", name="Back to Prolific")
    expect(back).to_have_attribute("href", "https://app.prolific.com/x?cc=C0DE42")
    moments["code"] = findings(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert Judgment.objects.count() == 2

    visit.expect_problem("409")
    second = visit.page(None, path.replace("{{%SESSION_ID%}}", "session-2"), color_scheme=scheme)
    second.get_by_role("button", name="Begin").click()
    expect(second.get_by_text("Everybody takes part once")).to_be_visible()
    moments["refused"] = findings(second)
    assert Participant.objects.count() == 1

    desk.goto(desk.url.rstrip("/") + f"/{Participant.objects.get().study_id}/")
    row = desk.get_by_role("row").filter(has_text="pid-7")
    expect(row.get_by_text("finished")).to_be_visible()
    expect(row.get_by_text("2 of 2")).to_be_visible()
    moments["report"] = findings(desk)
    with desk.expect_download() as download:
        desk.get_by_role("link", name="Download CSV").click()
    assert "pid-7" in download.value.path().read_text()
    assert {name: found for name, found in moments.items() if found} == {}


def test_what_was_asked_for_before_the_last_answer_does_not_have_the_last_word(
    visit: Visitor,
) -> None:
    """The page asks for the next comparison beforehand; that there is none may be out of date."""
    project = factories.make_project(k=2)
    factories.make_comparisons(project, 4)
    study, raw = factories.make_study(project, answers=1)
    page = visit.page(None, f"/study/{raw}/?PROLIFIC_PID=p&STUDY_ID=s&SESSION_ID=t")
    held: list[tuple[Route, APIResponse]] = []
    page.route("**/label/next/", lambda route: held.append((route, route.fetch())), times=1)
    page.get_by_role("button", name="Begin").click()
    page.wait_for_selector("[data-task]")
    until(page, lambda: bool(held), milliseconds=0)
    page.keyboard.press("1")
    until(page, Judgment.objects.exists, milliseconds=0)
    route, stale = held[0]
    route.fulfill(response=stale)
    expect(page.get_by_role("heading", name="You have answered all 1")).to_be_visible()
    assert study.answers == 1
