"""docs/tutorial.md, followed word for word: what it says to press, write and give is what is done.

With TUTORIAL_PICTURES=docs/images the pictures of the page are made anew.
"""

from __future__ import annotations

import os
import re
import shlex
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from playwright.sync_api import Page, expect

from annotation.models import Judgment, Release
from benchmark.models import Evaluation
from config import celery_app, wakeup
from tests import factories
from tests.browser.conftest import Visitor
from tests.browser.labelling import press_and_leave
from tests.browser.still_life import StillLife

pytestmark = pytest.mark.django_db(transaction=True)
TUTORIAL = Path(settings.BASE_DIR) / "docs" / "tutorial.md"
STEP = re.compile(
    r"`(?P<value>[^`]+)` (?P<how>into|to) \*(?P<field>[^*]+)\*"
    r"|\*\*(?P<pressed>[^*]+)\*\*"
    r"|the key `(?P<key>.)`"
    r"|!\[[^\]]*\]\(images/(?P<picture>[\w-]+)\.png\)"
)
MANAGE = ".venv/bin/python manage.py "
DONE_ELSEWHERE = {"createsuperuser"}  # by make_admin: it asks for a password


@pytest.fixture(autouse=True)
def tasks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker would do is done by whoever asks for it."""

    def carry_out(task: str, ids: Iterable[int], **_: Any) -> None:
        for pk in ids if task.startswith("annotation.") else ():  # judges are waited for
            celery_app.tasks[task](pk)

    celery_app.loader.import_default_modules()
    monkeypatch.setattr(wakeup, "announce_aside", carry_out)


def sections() -> list[str]:
    return re.split(r"^## ", TUTORIAL.read_text(), flags=re.MULTILINE)[2:]


def write_files(section: str, folder: Path) -> None:
    for name, text in re.findall(r'```json title="([\w.]+)"\n(.*?)```', section, re.DOTALL):
        (folder / name).write_text(text)


def run_commands(section: str) -> None:
    for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line.removeprefix(MANAGE))
            if line.startswith(MANAGE) and words[0] not in DONE_ELSEWHERE:
                call_command(words[0], *words[1:])


def follow(page: Page, section: str, folder: Path) -> None:
    prose = re.sub(r"```.*?```", "", section, flags=re.DOTALL)
    for line in prose.splitlines():
        for step in STEP.finditer(line) if line.startswith(("-", "  ", "!")) else ():
            take(page, step, folder)


def take(page: Page, step: re.Match[str], folder: Path) -> None:
    if step["field"]:
        # A label may go on: "… (optional)".
        field = page.get_by_label(re.compile("^" + re.escape(step["field"])))
        if step["how"] == "to":
            field.set_input_files(folder / step["value"])
        else:
            field.fill(step["value"])
    elif step["pressed"]:
        press(page, step["pressed"])
    elif step["key"]:
        while page.locator("[data-task]").count():
            press_and_leave(page, step["key"])
    elif pictures := os.environ.get("TUTORIAL_PICTURES"):
        page.wait_for_timeout(500)
        page.screenshot(path=settings.BASE_DIR / pictures / f"{step['picture']}.png")


def press(page: Page, name: str) -> None:
    folded = page.locator("summary", has_text=name)
    button = page.get_by_role("button", name=name, exact=True)
    found = button.or_(page.get_by_role("link", name=name, exact=True)).or_(folded).first
    found.wait_for()
    if folded.count():
        found.click()
        return
    with page.expect_navigation():
        found.click()


def test_whoever_follows_the_tutorial_has_labels_a_release_and_a_score(
    visit: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    life = StillLife(mug="red", books=2, apples=2, lamp=True, wall="#dfe3d3")
    (tmp_path / "table.png").write_bytes(life.png())
    with zipfile.ZipFile("pictures.zip", "w") as packed:
        packed.write("table.png")
    visit.expect_problem("favicon")
    page = visit.page(factories.make_admin("ada"), "/projects/", width=1100)
    for section in sections():
        write_files(section, tmp_path)
        run_commands(section)
        follow(page, section, tmp_path)
    assert Judgment.objects.count() == 2
    assert Release.objects.get().state == Release.State.READY
    expect(page.get_by_text("My model").first).to_be_visible()
    assert Evaluation.objects.get().state == Evaluation.State.COMPLETE


def test_every_picture_of_the_documents_is_there() -> None:
    docs = TUTORIAL.parent
    for path in [*docs.glob("*.md"), *docs.glob("guides/*.md")]:
        for name in re.findall(r"!\[[^\]]*\]\(((?:\.\./)?images/[\w.-]+)\)", path.read_text()):
            assert (path.parent / name).exists(), f"{path.name}: {name}"
