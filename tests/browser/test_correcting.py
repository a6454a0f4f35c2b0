"""The third question, in a real browser: an answer is corrected, kept while written, and stored."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from annotation import exporting, queue
from annotation.models import Assignment, Comparison, Judgment, Project, User
from tests import factories
from tests.browser.conftest import Visitor
from tests.browser.labelling import press_and_leave

pytestmark = pytest.mark.django_db(transaction=True)
Eventually = Callable[[Callable[[], Any]], None]
# Characters of two UTF-16 units and a carriage return stand before the words that are corrected.
TEXT = "Two 🐈🐈 sit here,\r\nbeside a red mug."
AS_WRITTEN = TEXT.replace("\r\n", "\n")


@pytest.fixture
def project() -> Project:
    project = factories.make_project(k=1, mark_spans=True, ask_correction="better")
    for _ in range(2):
        factories.make_comparison(project, response_1=TEXT, response_2=TEXT + " Yes.")
    return project


@pytest.fixture
def annotator(project: Project) -> User:
    """Somebody to whom response 1 is shown as A: the page knows the two by their places."""
    person = factories.make_member(project)
    lease = queue.claim(project, person)
    assert lease is not None
    Assignment.objects.filter(pk=lease.pk).update(shown_first=1)
    return person


@pytest.fixture
def page(visit: Visitor, project: Project, annotator: User) -> Page:
    return visit.page(annotator, f"/projects/{project.slug}/label/")


def editor(page: Page) -> Locator:
    return page.get_by_role("textbox", name="The corrected response")


def stored(eventually: Eventually) -> Judgment:
    eventually(Judgment.objects.exists)
    return Judgment.objects.get()


def test_the_better_answer_is_corrected_by_keys_alone(page: Page, eventually: Eventually) -> None:
    page.keyboard.press("m")
    for _ in range(5):  # Two, sit, here, beside, a
        page.keyboard.press("ArrowRight")
    page.keyboard.press("2")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(page.locator("legend", has_text="Correct response A")).to_be_visible()
    expect(editor(page)).to_have_value(AS_WRITTEN)
    expect(page.locator("[data-correction-marks] mark")).to_have_text("red")
    expect(page.get_by_role("button", name="Nothing is false in it")).to_be_visible()
    page.keyboard.type("blue")  # the first marked word is selected
    expect(page.locator("[data-correction-marks] mark")).to_have_count(0)
    expect(page.get_by_role("button", name="Save the correction")).to_be_visible()
    page.keyboard.press("Control+Enter")
    judgment = stored(eventually)
    right = AS_WRITTEN.replace("red", "blue")
    assert judgment.corrections == [{"response": 1, "text": right}]
    assert [span["response"] for span in judgment.spans] == [1]


def test_what_is_written_outlives_the_page_and_a_step_back(
    page: Page, eventually: Eventually
) -> None:
    page.keyboard.press("2")
    editor(page).fill("Two cats.")
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    expect(page.locator("legend", has_text="hallucinates more?")).to_be_visible()
    page.keyboard.press("1")  # the other one is the better one: it has no draft
    expect(editor(page)).to_have_value(AS_WRITTEN + " Yes.")
    page.reload()
    page.keyboard.press("2")
    expect(editor(page)).to_have_value("Two cats.")
    assert not Judgment.objects.exists()
    page.get_by_role("button", name="Save the correction").click()
    assert stored(eventually).corrections == [{"response": 1, "text": "Two cats."}]
    eventually(lambda: page.evaluate("Object.keys(localStorage).length") == 0)


def test_a_correction_is_changed_with_its_answer(page: Page, eventually: Eventually) -> None:
    page.keyboard.press("2")
    editor(page).fill("Two cats.")
    press_and_leave(page, "Control+Enter")
    stored(eventually)
    page.keyboard.press("u")
    expect(page.get_by_role("button", name="Keep it")).to_be_visible()
    page.keyboard.press("2")
    expect(editor(page)).to_have_value("Two cats.")
    editor(page).fill("Two cats sit.")
    page.keyboard.press("Control+Enter")
    eventually(lambda: Judgment.objects.get().version == 2)
    assert Judgment.objects.get().corrections == [{"response": 1, "text": "Two cats sit."}]


def test_nothing_false_is_an_answer_and_none_is_one_unless_it_is_required(
    page: Page, eventually: Eventually
) -> None:
    press_and_leave(page, "2", "Control+Enter")
    assert stored(eventually).corrections == [{"response": 1, "text": AS_WRITTEN}]
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    page.keyboard.press("0")
    eventually(lambda: Judgment.objects.count() == 2)
    assert Judgment.objects.order_by("pk").last().corrections == []  # type: ignore[union-attr]


def test_a_key_held_down_writes_nothing_and_an_empty_text_is_no_correction(
    visit: Visitor, project: Project, annotator: User
) -> None:
    Project.objects.update(correction_required=True)
    page = visit.page(annotator, f"/projects/{project.slug}/label/")
    page.keyboard.down("2")
    page.keyboard.down("2")
    page.keyboard.down("2")
    page.keyboard.up("2")
    expect(editor(page)).to_have_value(AS_WRITTEN)
    expect(page.get_by_role("button", name="No correction")).to_have_count(0)
    editor(page).fill("")
    page.keyboard.press("Control+Enter")
    expect(editor(page)).to_be_focused()
    assert not Judgment.objects.exists()


def test_none_is_asked_where_neither_is_better(page: Page, eventually: Eventually) -> None:
    page.keyboard.press("0")
    page.keyboard.press("0")
    judgment = stored(eventually)
    assert (judgment.more_helpful, judgment.corrections) == ("tie", [])


def test_corrections_work_without_scripts(
    visit: Visitor, project: Project, annotator: User
) -> None:
    Project.objects.update(ask_confidence=True)
    page = visit.page(annotator, f"/projects/{project.slug}/label/", java_script_enabled=False)
    page.get_by_role("button", name="Response B").click()
    expect(editor(page)).to_have_value(AS_WRITTEN)
    editor(page).fill("Two cats,\none mug.")
    page.get_by_role("button", name="Corrected, or nothing").click()
    page.get_by_role("button", name="Certain").click()
    judgment = Judgment.objects.get()
    assert judgment.corrections == [{"response": 1, "text": "Two cats,\none mug."}]
    assert judgment.confidence == 5


def test_long_corrections_are_sent(page: Page, project: Project, eventually: Eventually) -> None:
    """Browsers refuse a request of 64 KiB that is to outlive its page."""
    long = "猫" * 20_000
    Comparison.objects.update(response_1=long, response_2="No.")
    page.reload()
    page.keyboard.press("2")
    expect(editor(page)).to_have_value(long)
    page.keyboard.press("Control+Enter")
    assert stored(eventually).corrections == [{"response": 1, "text": long}]


def test_a_reviewer_sees_what_was_changed(
    page: Page, visit: Visitor, project: Project, eventually: Eventually
) -> None:
    page.keyboard.press("2")
    editor(page).fill(AS_WRITTEN.replace("a red", "a blue <b>"))
    page.keyboard.press("Control+Enter")
    comparison = stored(eventually).comparison
    manager = factories.make_member(project, "manager")
    seen = visit.page(manager, f"/projects/{project.slug}/comparisons/{comparison.pk}/")
    expect(seen.locator(".corrected del")).to_have_text("red ")
    expect(seen.locator(".corrected ins")).to_have_text("blue <b> ")
    seen.goto(seen.url.split("/comparisons/")[0] + "/")
    expect(seen.get_by_text("1 of 1 with a correction")).to_be_visible()


def test_a_correction_reaches_the_gradient(
    page: Page, project: Project, eventually: Eventually, tmp_path: Path
) -> None:
    """From the keyboard to the weights: without the correction, or with another word of it marked
    as changed, the same training takes another step."""
    page.keyboard.press("2")
    editor(page).fill(AS_WRITTEN.replace("red", "blue"))
    page.keyboard.press("Control+Enter")
    stored(eventually)
    release = exporting.make_release(project, held_out_share=0)
    assert release.counts["with_corrections"] == 1
    names = ("corrected", "elsewhere", "without", "again")
    directories = [tmp_path / name for name in names]
    for directory in directories:
        exporting.write_training_data(release, directory)
    train = [directory / "data" / "train.jsonl" for directory in directories]
    [record] = [json.loads(line) for line in train[0].read_text().splitlines()]
    [correction] = record["corrections"]
    [mark], [gone] = correction["marks"], correction["replaced"]
    assert correction["value"][mark["start"] : mark["end"]] == "blue"
    assert record["output_1"]["value"][gone["start"] : gone["end"]] == "red"
    elsewhere = {**correction, "marks": [{**mark, "start": 0, "end": 3}]}
    train[1].write_text(json.dumps({**record, "corrections": [elsewhere]}))
    worse = {**record["output_2"], "marks": [{**gone, "kind": "object"}]}
    for path in train[2:]:
        path.write_text(json.dumps({**record, "output_2": worse, "corrections": []}))
    steps = subprocess.run(
        [sys.executable, "-m", "tests.training.rlhf.dense_step", *directories],
        check=True,
        capture_output=True,
        text=True,
    )
    corrected, elsewhere, without, again = json.loads(steps.stdout)
    assert without == again
    assert len({corrected, elsewhere, without}) == 3
