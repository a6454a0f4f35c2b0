"""Labelling in a real browser, checked in the database."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Assignment, Judgment, Project, User
from tests import factories
from tests.browser.conftest import Visitor
from tests.browser.labelling import READY, Eventually, kept, on_screen, press_and_leave

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project() -> Project:
    project = factories.make_project(k=1, guidelines="")
    factories.make_comparisons(project, 4)
    return project


@pytest.fixture
def annotator(project: Project) -> User:
    return factories.make_member(project)


@pytest.fixture
def page(visit: Visitor, project: Project, annotator: User) -> Page:
    """The labelling page with the next comparison loaded ahead."""
    context = visit.context(annotator, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(f"/projects/{project.slug}/label/")
    page.evaluate(READY, 2)
    return page


def test_mouse_labels_the_response_that_stood_there(page: Page, eventually: Eventually) -> None:
    assignment = on_screen(page)
    second = {1: assignment.comparison.response_1, 2: assignment.comparison.response_2}
    expect(page.locator(".response").nth(1)).to_contain_text(second[assignment.order[1]])
    page.get_by_role("button", name="Response B").click()
    eventually(lambda: Judgment.objects.filter(assignment=assignment).exists())
    judgment = Judgment.objects.get(assignment=assignment)
    assert judgment.more_hallucinated == str(assignment.order[1])
    assert judgment.more_helpful == ""
    assert not judgment.surplus
    expect(page.locator("#label-progress")).to_contain_text("1 by you")


def test_keyboard_labels_left_and_right(page: Page, eventually: Eventually) -> None:
    left = press_and_leave(page, "1")
    right = press_and_leave(page, "ArrowRight")
    eventually(lambda: Judgment.objects.count() == 2)
    assert Judgment.objects.get(assignment=left).more_hallucinated == str(left.order[0])
    assert Judgment.objects.get(assignment=right).more_hallucinated == str(right.order[1])


def test_helpfulness_is_asked_after_a_tie_only(page: Page, eventually: Eventually) -> None:
    expect(page.locator("legend", has_text="Which is more helpful?")).to_be_hidden()
    page.keyboard.press("0")
    expect(page.locator("legend", has_text="Which is more helpful?")).to_be_visible()
    expect(page.locator("legend", has_text="hallucinates more?")).to_be_hidden()
    assert not Judgment.objects.exists()
    tied = press_and_leave(page, "2")
    eventually(lambda: Judgment.objects.exists())
    judgment = Judgment.objects.get(assignment=tied)
    assert (judgment.more_hallucinated, judgment.more_helpful) == ("tie", str(tied.order[1]))


def test_skip_needs_a_reason(page: Page, eventually: Eventually) -> None:
    assignment = on_screen(page)
    page.keyboard.press("s")
    page.keyboard.press("Escape")
    expect(page.locator("[data-task]")).to_have_attribute("data-task", str(assignment.token))
    press_and_leave(page, "s", "4")
    eventually(lambda: Assignment.objects.get(pk=assignment.pk).state == "skipped")
    assert Assignment.objects.get(pk=assignment.pk).skip_reason == "cannot_tell"
    assert not Judgment.objects.exists()


def test_undo_changes_the_last_answer_and_keeps_both_versions(
    page: Page, eventually: Eventually
) -> None:
    answered = press_and_leave(page, "1")
    eventually(lambda: Judgment.objects.exists())
    waiting = on_screen(page)
    page.keyboard.press("u")
    expect(page.locator("[data-editing]")).to_have_attribute("data-task", str(answered.token))
    expect(page.get_by_role("button", name="Response A")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("2")
    expect(page.locator("[data-task]")).to_have_attribute("data-task", str(waiting.token))
    eventually(lambda: Judgment.objects.get(assignment=answered).version == 2)
    judgment = Judgment.objects.get(assignment=answered)
    assert judgment.more_hallucinated == str(answered.order[1])
    first, second = judgment.versions.order_by("version")
    assert first.more_hallucinated == str(answered.order[0])
    assert second.more_hallucinated == str(answered.order[1])


def test_undo_can_be_left_without_a_change(page: Page, eventually: Eventually) -> None:
    answered = press_and_leave(page, "1")
    eventually(lambda: Judgment.objects.exists())
    page.keyboard.press("u")
    expect(page.locator("[data-editing]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("[data-editing]")).to_have_count(0)
    assert Judgment.objects.get(assignment=answered).version == 1


def test_an_earlier_answer_is_chosen_from_the_list_and_changed(
    page: Page, eventually: Eventually
) -> None:
    first = press_and_leave(page, "1")
    press_and_leave(page, "1")
    eventually(lambda: Judgment.objects.count() == 2)
    page.keyboard.press("l")
    page.get_by_role("link", name="Change answer 2").click()
    expect(page.locator("[data-editing]")).to_have_attribute("data-task", str(first.token))
    press_and_leave(page, "2")
    eventually(lambda: Judgment.objects.get(assignment=first).version == 2)
    assert Judgment.objects.get(assignment=first).more_hallucinated == str(first.order[1])
    expect(page.locator("[data-task]:not([data-editing])")).to_have_count(1)


def test_next_comparison_appears_without_the_server(page: Page, visit: Visitor) -> None:
    visit.expect_problem("ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    press_and_leave(page, "1")
    picture = page.locator("[data-viewer] img")
    assert picture.evaluate("(image) => image.complete && image.naturalWidth") > 0
    expect(page.get_by_text("1 answer is waiting to be sent")).to_be_visible()


def test_answers_wait_for_the_network_and_arrive_once(
    page: Page, visit: Visitor, eventually: Eventually
) -> None:
    visit.expect_problem("ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    answered = press_and_leave(page, "1")
    expect(page.get_by_text("waiting to be sent")).to_be_visible()
    assert not Judgment.objects.exists()
    page.context.set_offline(False)
    eventually(lambda: Judgment.objects.filter(assignment=answered).exists())
    expect(page.get_by_text("waiting to be sent")).to_be_hidden()
    assert Judgment.objects.get(assignment=answered).versions.count() == 1


def test_an_answer_outlives_its_tab(page: Page, visit: Visitor, eventually: Eventually) -> None:
    visit.expect_problem("ERR_INTERNET_DISCONNECTED")
    address = page.url
    page.context.set_offline(True)
    answered = press_and_leave(page, "2")
    expect(page.get_by_text("waiting to be sent")).to_be_visible()
    page.close()
    page.context.set_offline(False)
    page.context.new_page().goto(address)
    eventually(lambda: Judgment.objects.filter(assignment=answered).exists())


def test_undo_takes_back_an_answer_that_was_not_sent(page: Page, visit: Visitor) -> None:
    visit.expect_problem("ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    answered = press_and_leave(page, "1")
    expect(page.get_by_text("waiting to be sent")).to_be_visible()
    page.keyboard.press("u")
    expect(page.locator("[data-task]")).to_have_attribute("data-task", str(answered.token))
    expect(page.get_by_text("waiting to be sent")).to_be_hidden()


def test_a_key_held_down_answers_once(page: Page, eventually: Eventually) -> None:
    before = on_screen(page)
    for _ in range(4):
        page.keyboard.down("1")
    page.keyboard.up("1")
    expect(page.locator(f'[data-task="{before.token}"]')).to_have_count(0)
    eventually(lambda: Judgment.objects.exists())
    eventually(lambda: kept(page) == [])
    assert Judgment.objects.count() == 1


def test_nothing_is_answered_twice_while_the_next_one_is_awaited(
    page: Page, project: Project, eventually: Eventually
) -> None:
    for _ in range(3):
        press_and_leave(page, "1")
    last = on_screen(page)
    eventually(lambda: Judgment.objects.count() == 3)
    page.context.route("**/label/next/", lambda route: None)
    page.keyboard.press("1")
    page.keyboard.press("2")
    eventually(lambda: Judgment.objects.filter(assignment=last).exists())
    eventually(lambda: kept(page) == [])
    assert Judgment.objects.get(assignment=last).more_hallucinated == str(last.order[0])


def test_the_end_of_the_work_says_so_and_still_lets_undo(
    page: Page, project: Project, eventually: Eventually
) -> None:
    for _ in range(4):
        press_and_leave(page, "1")
        page.wait_for_selector("[data-task], [data-nothing]")
    expect(page.get_by_text("There is no work for you right now")).to_be_visible()
    eventually(lambda: Judgment.objects.count() == 4)
    page.keyboard.press("u")
    expect(page.locator("[data-editing]")).to_have_count(1)


def test_models_and_facts_are_not_in_the_page(
    visit: Visitor, project: Project, annotator: User
) -> None:
    project.comparisons.update(model_1="secret-model-7b", model_2="secret-model-13b")
    project.prompts.update(captions=["a secret fact"])
    page = visit.page(annotator, f"/projects/{project.slug}/label/")
    assert "secret" not in page.content()


def test_zoom_by_key_and_wheel_keeps_the_picture_in_its_frame(page: Page) -> None:
    level = page.locator("[data-zoom-level]")
    expect(level).to_have_text("Fit")
    page.keyboard.press("z")
    expect(level).to_have_text("250 %")
    page.keyboard.press("z")
    expect(level).to_have_text("Fit")
    page.locator("[data-viewer]").hover()
    page.mouse.wheel(0, -500)
    expect(level).not_to_have_text("Fit")
    frame = page.locator("[data-viewer]").bounding_box()
    image = page.locator("[data-viewer] img").bounding_box()
    assert frame is not None
    assert image is not None
    assert image["width"] > frame["width"]
    assert image["x"] <= frame["x"] + 2


def test_small_scenes_are_enlarged_without_blur(page: Page) -> None:
    picture = page.locator("[data-viewer] img")
    assert picture.evaluate("(image) => getComputedStyle(image).imageRendering") == "pixelated"
    assert picture.evaluate("(image) => image.clientWidth") > 300


def test_guidelines_are_read_before_the_first_answer(visit: Visitor, project: Project) -> None:
    project.change_guidelines("# Count objects\n\n**Colours** count.")
    annotator = factories.make_member(project)
    page = visit.page(annotator, f"/projects/{project.slug}/label/")
    expect(page.get_by_role("heading", name="Count objects")).to_be_visible()
    page.keyboard.press("1")
    assert not Judgment.objects.exists()
    page.get_by_role("button", name="I have read them").click()
    expect(page.locator("#guidelines-dialog")).to_be_hidden()
    page.keyboard.press("g")
    expect(page.get_by_role("heading", name="Count objects")).to_be_visible()


def test_labelling_works_without_scripts(
    visit: Visitor, project: Project, annotator: User, eventually: Eventually
) -> None:
    address = f"/projects/{project.slug}/label/"
    page = visit.page(annotator, address, java_script_enabled=False)
    first = Assignment.objects.get()
    page.get_by_role("button", name="About the same").click()
    page.get_by_role("button", name="Response A").click()
    eventually(lambda: Judgment.objects.exists())
    judgment = Judgment.objects.get()
    assert judgment.assignment == first
    assert (judgment.more_hallucinated, judgment.more_helpful) == ("tie", str(first.order[0]))
    page.get_by_role("button", name="Response B").click()
    eventually(lambda: Judgment.objects.count() == 2)


def test_focus_and_words_for_screen_readers(page: Page) -> None:
    press_and_leave(page, "1")
    focused = "document.activeElement.matches('[data-task]')"
    assert page.evaluate(focused)
    expect(page.locator("#label-status")).to_have_text("Answer recorded.")
    expect(page.get_by_role("region", name="Response A")).to_be_visible()
    expect(page.get_by_role("group", name="Which response hallucinates more?")).to_be_visible()


def test_an_answer_waits_while_logged_out(
    page: Page, visit: Visitor, eventually: Eventually
) -> None:
    visit.expect_problem("401")
    cookies = page.context.cookies()
    page.context.clear_cookies(name="sessionid")
    answered = press_and_leave(page, "1")
    expect(page.get_by_text("Log in again in another tab")).to_be_visible()
    assert not Judgment.objects.exists()
    page.context.add_cookies(cookies)
    eventually(lambda: Judgment.objects.filter(assignment=answered).exists())
    expect(page.get_by_text("Log in again in another tab")).to_be_hidden()


def test_an_answer_given_in_another_tab_is_said_and_not_overwritten(
    page: Page, visit: Visitor, eventually: Eventually
) -> None:
    visit.expect_problem("409")
    assignment = on_screen(page)
    other = page.context.new_page()
    other.goto(page.url)
    assert on_screen(other) == assignment
    press_and_leave(other, "1")
    eventually(lambda: Judgment.objects.filter(assignment=assignment).exists())
    press_and_leave(page, "2")
    expect(page.get_by_text("An answer was not accepted")).to_be_visible()
    assert Judgment.objects.get(assignment=assignment).more_hallucinated == str(assignment.order[0])


def test_at_200_percent_zoom_nothing_covers_the_responses(
    visit: Visitor, project: Project, annotator: User, eventually: Eventually
) -> None:
    """1280 x 800 at 200 % is 640 x 400 CSS pixels."""
    project.comparisons.update(response_1="A long sentence about it. " * 60)
    context = visit.context(
        annotator, viewport={"width": 640, "height": 400}, device_scale_factor=2
    )
    page = context.new_page()
    page.goto(f"/projects/{project.slug}/label/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 640
    page.locator(".response-text").first.scroll_into_view_if_needed()
    page.mouse.wheel(0, 300)
    covered = """() => [...document.querySelectorAll(".task-picture, .answer-bar")]
      .filter((one) => getComputedStyle(one).position === "sticky").length"""
    assert page.evaluate(covered) == 0
    answered = press_and_leave(page, "1")
    eventually(lambda: Judgment.objects.filter(assignment=answered).exists())
