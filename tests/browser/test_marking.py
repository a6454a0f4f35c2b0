"""Marking hallucinated words, confidence and notes in a real browser, checked in the database."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation import exporting, queue
from annotation.models import Assignment, Comparison, Judgment, Project, User
from tests import factories
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.django_db(transaction=True)
Eventually = Callable[[Callable[[], Any]], None]
# Characters of two UTF-16 units and a carriage return stand before the words that are marked.
TEXT = "Two 🐈🐈 sit here,\r\nbeside a well-known <b>red</b> mug."


@pytest.fixture
def project() -> Project:
    project = factories.make_project(k=1, mark_spans=True)
    prompt = factories.make_prompt(project)
    factories.make_comparison(project, prompt=prompt, response_1=TEXT, response_2=TEXT + " Yes.")
    return project


def in_order(project: Project) -> User:
    """Somebody to whom response 1 is shown as A: the page knows the two by their places."""
    person = factories.make_member(project)
    lease = queue.claim(project, person)
    assert lease is not None
    Assignment.objects.filter(pk=lease.pk).update(shown_first=1)
    return person


@pytest.fixture
def annotator(project: Project) -> User:
    return in_order(project)


@pytest.fixture
def page(visit: Visitor, project: Project, annotator: User) -> Page:
    return visit.page(annotator, f"/projects/{project.slug}/label/")


def drag_over(page: Page, response: int, words: str) -> None:
    """Moves the mouse over ``words``, its button held down."""
    page.bring_to_front()
    box = page.locator(f'[data-response="{response}"]').evaluate(
        """(element, words) => {
            const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
            for (let node = walker.nextNode(); node; node = walker.nextNode()) {
                const at = node.data.indexOf(words);
                if (at < 0) continue;
                const range = document.createRange();
                range.setStart(node, at);
                range.setEnd(node, at + words.length);
                const box = range.getBoundingClientRect();
                return [box.left + 2, box.right - 2, (box.top + box.bottom) / 2];
            }
        }""",
        words,
    )
    left, right, middle = box
    page.mouse.move(left, middle)
    page.mouse.down()
    page.mouse.move(right, middle, steps=4)
    page.mouse.up()


def select(page: Page, response: int, words: str) -> None:
    """The same, and the page has taken the selection up: a key sooner than that is an answer."""
    drag_over(page, response, words)
    expect(page.locator("#span-menu")).to_be_visible()


def stored(eventually: Eventually) -> Judgment:
    eventually(Judgment.objects.exists)
    return Judgment.objects.get()


def marked_words(judgment: Judgment) -> set[tuple[int, str, str]]:
    comparison = judgment.comparison
    texts = {1: comparison.response_1, 2: comparison.response_2}
    return {
        (one["response"], texts[one["response"]][one["start"] : one["end"]], one["kind"])
        for one in judgment.spans
    }


def test_words_are_marked_by_mouse(page: Page, eventually: Eventually) -> None:
    select(page, 2, "red")
    page.get_by_role("button", name="Attribute").click()
    expect(page.locator('[data-response="2"] mark')).to_have_text("red")
    expect(page.locator("#span-menu")).to_be_hidden()
    select(page, 1, "known")
    page.keyboard.press("7")
    assert not Judgment.objects.exists()
    page.get_by_role("button", name="Response A").click()
    judgment = stored(eventually)
    assert marked_words(judgment) == {(2, "red", "attribute"), (1, "known", "other")}


def test_words_are_marked_by_keys_alone(page: Page, eventually: Eventually) -> None:
    first, second = Assignment.objects.get().order
    page.keyboard.press("m")
    page.keyboard.press("3")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("5")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("3")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    judgment = stored(eventually)
    assert judgment.more_hallucinated == str(second)
    assert marked_words(judgment) == {
        (first, "Two", "number"),
        (first, "sit here", "action"),
        (second, "Two", "number"),
    }


def test_no_answer_is_given_while_words_are_selected(page: Page) -> None:
    page.keyboard.press("m")
    for key in ("0", "8", "ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator("legend", has_text="hallucinates more?")).to_be_visible()
    expect(page.locator("#span-menu")).to_be_visible()
    assert not Judgment.objects.exists()


def test_a_mark_is_changed_and_taken_away(page: Page, eventually: Eventually) -> None:
    select(page, 1, "red")
    page.keyboard.press("1")
    page.locator('[data-response="1"] mark').click()
    page.keyboard.press("2")
    expect(page.locator('[data-response="1"] mark')).to_have_attribute("data-kind", "attribute")
    select(page, 2, "mug")
    page.keyboard.press("1")
    page.locator('[data-response="1"] mark').click()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Response B").click()
    assert marked_words(stored(eventually)) == {(2, "mug", "object")}


def test_an_answer_is_changed_with_its_marks_confidence_and_note(
    visit: Visitor, project: Project, annotator: User, eventually: Eventually
) -> None:
    judgment = answer_with_everything(project, annotator)
    page = visit.page(annotator, f"/projects/{project.slug}/label/")
    page.keyboard.press("u")
    expect(page.locator("mark")).to_have_text("red")
    expect(page.get_by_role("textbox", name="Note")).to_have_value("Not\nsure")
    page.keyboard.press("2")
    expect(page.get_by_role("button", name="Fairly sure")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("5")
    eventually(lambda: Judgment.objects.get().version == 2)
    changed = Judgment.objects.get()
    assert changed.spans == judgment.spans
    assert (changed.confidence, changed.note) == (5, "Not\nsure")


def answer_with_everything(project: Project, annotator: User) -> Judgment:
    """An answer with everything that an answer can have."""
    assignment = queue.claim(project, annotator)
    assert assignment is not None
    start = TEXT.index("red")
    answer = queue.Answer(
        more_hallucinated="1",
        spans=[{"response": 1, "start": start, "end": start + 3, "kind": "attribute"}],
        confidence=3,
        note="Not\nsure",
    )
    return queue.submit(annotator, assignment.token, answer, client_uuid=uuid.uuid4()).judgment


def test_a_project_that_asks_for_no_marks_has_none(
    visit: Visitor, project: Project, annotator: User
) -> None:
    Project.objects.update(mark_spans=False)
    page = visit.page(annotator, f"/projects/{project.slug}/label/")
    expect(page.get_by_role("button", name="Mark words")).to_have_count(0)
    drag_over(page, 1, "red")
    page.keyboard.press("m")
    page.wait_for_timeout(400)
    expect(page.locator("#span-menu")).to_be_hidden()


def test_confidence_is_asked_after_the_answer(
    visit: Visitor, project: Project, annotator: User, eventually: Eventually
) -> None:
    Project.objects.update(ask_confidence=True)
    page = visit.page(annotator, f"/projects/{project.slug}/label/")
    page.keyboard.press("0")
    page.keyboard.press("1")
    expect(page.locator("legend", has_text="How sure are you?")).to_be_visible()
    page.keyboard.press("u")
    expect(page.locator("legend", has_text="hallucinates more?")).to_be_visible()
    page.keyboard.press("1")
    expect(page.locator("legend", has_text="How sure are you?")).to_be_visible()
    assert not Judgment.objects.exists()
    page.keyboard.press("4")
    judgment = stored(eventually)
    assert judgment.more_hallucinated == str(judgment.assignment.order[0])
    assert (judgment.more_helpful, judgment.confidence) == ("", 4)


def test_a_note_goes_with_the_answer(page: Page, eventually: Eventually) -> None:
    page.keyboard.press("n")
    page.keyboard.type("1 cat, not 2")
    assert not Judgment.objects.exists()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    assert stored(eventually).note == "1 cat, not 2"


def test_confidence_and_note_work_without_scripts(
    visit: Visitor, project: Project, annotator: User
) -> None:
    Project.objects.update(ask_confidence=True)
    address = f"/projects/{project.slug}/label/"
    page = visit.page(annotator, address, java_script_enabled=False)
    expect(page.get_by_role("button", name="Mark words")).to_have_count(0)
    page.locator("summary", has_text="Note").click()
    page.get_by_role("textbox", name="Note").fill("two\nlines")
    page.get_by_role("button", name="About the same").click()
    page.get_by_role("button", name="No difference").click()
    page.get_by_role("button", name="Certain").click()
    judgment = Judgment.objects.get()
    assert (judgment.more_hallucinated, judgment.more_helpful) == ("tie", "tie")
    assert (judgment.confidence, judgment.note) == (5, "two\nlines")


def test_the_menu_stays_on_a_narrow_screen(
    visit: Visitor, project: Project, annotator: User
) -> None:
    Comparison.objects.update(response_2="word " * 300)
    page = visit.page(annotator, f"/projects/{project.slug}/label/", width=360)
    page.keyboard.press("m")
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    menu = page.locator("#span-menu").bounding_box()
    assert menu is not None
    assert menu["x"] >= 0
    assert menu["x"] + menu["width"] <= 360
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_words_selected_by_mouse_are_marked_by_keys(page: Page, eventually: Eventually) -> None:
    select(page, 1, "beside")
    page.keyboard.press("m")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("4")
    page.keyboard.press("m")
    page.keyboard.press("1")
    assert marked_words(stored(eventually)) == {(1, "beside a", "position")}


def test_a_marked_word_reaches_the_gradient(
    page: Page, project: Project, eventually: Eventually, tmp_path: Path
) -> None:
    """From the mouse to the weights: with another word marked training takes another step."""
    select(page, 2, "mug")
    page.keyboard.press("1")
    page.keyboard.press(str(Assignment.objects.get().order.index(2) + 1))
    assert marked_words(stored(eventually)) == {(2, "mug", "object")}
    release = exporting.make_release(project, held_out_share=0)
    with_mark, *others = (tmp_path / name for name in ("as marked", "elsewhere", "again"))
    for directory in (with_mark, *others):
        exporting.write_training_data(release, directory)
    train = Path("data/train.jsonl")
    [record] = [json.loads(line) for line in (with_mark / train).read_text().splitlines()]
    [mark] = record["output_2"]["marks"]
    assert record["output_2"]["value"][mark["start"] : mark["end"]] == "mug"
    mark |= {"start": 0, "end": 3}
    for directory in others:
        (directory / train).write_text(json.dumps(record))
    steps = subprocess.run(
        [sys.executable, "-m", "tests.training.rlhf.dense_step", with_mark, *others],
        check=True,
        capture_output=True,
        text=True,
    )
    changed, same, again = json.loads(steps.stdout)
    assert changed != same == again
