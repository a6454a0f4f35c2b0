"""A double click answers one comparison: with a real mouse and a finger, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Judgment, Project
from tests import factories
from tests.browser.conftest import Visitor
from tests.browser.labelling import READY, Eventually, on_screen

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project() -> Project:
    project = factories.make_project(k=1, guidelines="", allow_tie=True)
    factories.make_comparisons(project, 6)
    return project


@pytest.fixture
def page(visit: Visitor, project: Project) -> Page:
    context = visit.context(
        factories.make_member(project), viewport={"width": 1280, "height": 800}, has_touch=True
    )
    page = context.new_page()
    page.goto(f"/projects/{project.slug}/label/")
    page.evaluate(READY, 2)
    return page


def middle(page: Page, name: str) -> tuple[float, float]:
    box = page.get_by_role("button", name=name).bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.parametrize("clicks", [2, 3])
def test_a_multi_click_answers_the_one_that_was_seen(
    page: Page, eventually: Eventually, clicks: int
) -> None:
    seen = on_screen(page)
    page.mouse.click(*middle(page, "Response A"), click_count=clicks)
    expect(page.locator(f'[data-task="{seen.token}"]')).to_have_count(0)
    unseen = on_screen(page)
    # The next answer is sent after whatever the rest of the click has sent.
    page.keyboard.press("2")
    eventually(lambda: Judgment.objects.filter(assignment=unseen).exists())
    given = Judgment.objects.order_by("pk").values_list("assignment", "more_hallucinated")
    assert list(given) == [(seen.pk, str(seen.order[0])), (unseen.pk, str(unseen.order[1]))]


@pytest.mark.parametrize("clicks", [2, 3])
def test_a_multi_click_on_a_tie_leaves_helpfulness_open(
    page: Page, eventually: Eventually, clicks: int
) -> None:
    seen = on_screen(page)
    page.mouse.click(*middle(page, "About the same"), click_count=clicks)
    expect(page.locator("legend", has_text="Which is more helpful?")).to_be_visible()
    expect(page.locator("#label-status")).to_have_text(
        "That click came too early and answered nothing."
    )
    assert on_screen(page).pk == seen.pk
    page.keyboard.press("2")
    eventually(Judgment.objects.exists)
    only = Judgment.objects.get()
    assert (only.more_hallucinated, only.more_helpful) == ("tie", str(seen.order[1]))


def test_two_taps_of_a_finger_answer_one(page: Page, eventually: Eventually) -> None:
    seen = on_screen(page)
    place = middle(page, "Response B")
    page.touchscreen.tap(*place)
    page.touchscreen.tap(*place)
    expect(page.locator(f'[data-task="{seen.token}"]')).to_have_count(0)
    unseen = on_screen(page)
    page.keyboard.press("1")
    eventually(lambda: Judgment.objects.filter(assignment=unseen).exists())
    assert set(Judgment.objects.values_list("assignment", flat=True)) == {seen.pk, unseen.pk}


def test_a_press_that_began_on_another_comparison_answers_nothing(
    page: Page, eventually: Eventually
) -> None:
    first = on_screen(page)
    page.mouse.move(*middle(page, "Response A"))
    page.mouse.down()
    page.keyboard.press("2")  # the next one comes while the button is held
    expect(page.locator(f'[data-task="{first.token}"]')).to_have_count(0)
    second = on_screen(page)
    page.mouse.up()
    page.keyboard.press("2")
    eventually(lambda: Judgment.objects.filter(assignment=second).exists())
    assert Judgment.objects.get(assignment=second).more_hallucinated == str(second.order[1])
    assert Judgment.objects.count() == 2


def test_a_held_enter_presses_its_button_once(page: Page, eventually: Eventually) -> None:
    seen = on_screen(page)
    page.get_by_role("button", name="About the same").focus()
    page.keyboard.down("Enter")
    for _ in range(4):
        page.keyboard.down("Enter")  # repeats, as the system sends them
    page.keyboard.up("Enter")
    expect(page.locator("legend", has_text="Which is more helpful?")).to_be_visible()
    assert on_screen(page).pk == seen.pk
    assert not Judgment.objects.exists()


def test_single_clicks_after_each_other_all_answer(page: Page, eventually: Eventually) -> None:
    for name in ("Response A", "Response B", "Response A"):
        before = on_screen(page)
        page.wait_for_timeout(600)  # past the time of a double click
        page.mouse.click(*middle(page, name))
        expect(page.locator(f'[data-task="{before.token}"]')).to_have_count(0)
    eventually(lambda: Judgment.objects.count() == 3)
