"""The catalogues of the languages are whole, and what is made of them is of what stands in them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Message
from django.conf import settings
from django.utils.translation import to_locale

from tests import catalogues, unmarked

ROOT = Path(__file__).resolve().parents[1]
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%|%[sd]")
OF_ANNOTATORS = {
    "500.html",
    "annotation/_choice.html",
    "annotation/_confidence.html",
    "annotation/_correct.html",
    "annotation/_corrections.html",
    "annotation/_example.html",
    "annotation/_guidelines.html",
    "annotation/_label_progress.html",
    "annotation/_mark_list.html",
    "annotation/_nothing.html",
    "annotation/_question.html",
    "annotation/_quiz_feedback.html",
    "annotation/_quiz_start.html",
    "annotation/_span_menu.html",
    "annotation/_tabs.html",
    "annotation/_task.html",
    "annotation/_viewer.html",
    "annotation/_as_of.html",
    "annotation/_plot.html",
    "annotation/_share_stat.html",
    "annotation/annotator.html",
    "annotation/crowd/_guidelines_first.html",
    "annotation/crowd/begin.html",
    "annotation/crowd/finished.html",
    "annotation/guide.html",
    "annotation/guidelines.html",
    "annotation/join.html",
    "annotation/label.html",
    "annotation/language.html",
    "annotation/my_answers.html",
    "annotation/notices/choices.html",
    "annotation/notices/inbox.html",
    "annotation/password.html",
    "annotation/project.html",
    "annotation/project_base.html",
    "annotation/projects.html",
    "annotation/second_factor.html",
    "annotation/single_sign_on.html",
    "base.html",
    "components/_languages.html",
    "components/_messages.html",
    "components/_pagination.html",
    "components/_pending.html",
    "components/_provider_button.html",
    "components/_topbar.html",
    "components/field.html",
    "error.html",
    "locked_out.html",
    "login.html",
    "login_code.html",
    "solo.html",
    "to_provider.html",
}
each = pytest.mark.parametrize(
    "path",
    catalogues.catalogues(),
    ids=lambda path: f"{path.parents[1].name}-{path.stem}",
)


def test_every_language_but_english_has_both_catalogues() -> None:
    expected = {
        ROOT / "locale" / to_locale(code) / "LC_MESSAGES" / f"{domain}.po"
        for code, _ in settings.LANGUAGES
        if code != settings.LANGUAGE_CODE
        for domain in ("django", "djangojs")
    }
    assert set(catalogues.catalogues()) == expected


@pytest.fixture(scope="module")
def marked() -> dict[str, Any]:
    return {domain: catalogues.marked(domain) for domain in ("django", "djangojs")}


@each
def test_catalogues_hold_what_is_marked_and_nothing_else(
    path: Path, marked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogues, "marked", marked.__getitem__)
    assert catalogues.brought_up_to_date(path) == path.read_bytes(), "run: make languages"


@each
def test_what_is_made_of_a_catalogue_is_of_this_one(path: Path) -> None:
    for made, content in catalogues.compiled(path).items():
        assert made.read_bytes() == content, "run: make languages"


@each
def test_translations_are_whole(path: Path) -> None:
    """Every text of annotators' pages has one; none is a guess; each fills in as its text."""
    wrong = []
    for message in catalogues.read(path):
        if not message.id:
            continue
        told = message.string if message.pluralizable else (message.string,)
        if not any(told) and not is_of_annotators(message):
            continue
        if (
            message.fuzzy
            or not all(told)
            or not all(fills_in_the_same(message, one) for one in told)
        ):
            wrong.append(message.id)
    assert wrong == []


def is_of_annotators(message: Message) -> bool:
    """What managers alone read may be in English still."""
    return any(
        not path.startswith("templates/") or path.removeprefix("templates/") in OF_ANNOTATORS
        for path, _ in message.locations
    )


def fills_in_the_same(message: Message, told: str) -> bool:
    """A plural form may say the number in a word; it names nothing that the text does not."""
    texts = message.id if message.pluralizable else (message.id,)
    known = set(PLACEHOLDER.findall(texts[-1]))
    named = set(PLACEHOLDER.findall(told))
    return named <= known if message.pluralizable else named == known


def test_the_wheel_brings_the_translations() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    (pattern,) = [one for one in setup["package-data"]["config"] if one.startswith("locale/")]
    assert {one.name for one in (ROOT / "config").glob(pattern)} == {"django.mo"}


# --- What is not marked -------------------------------------------------------------------------

IN_ENGLISH = {
    "templates/benchmark/shared",
    "templates/benchmark/summary.html",
    "templates/api_docs.html",
    "templates/components/_api_fields.html",
    "templates/components/_api_operations.html",
}
"""Cards that everybody reads alike, and what is rendered once for all."""


def test_texts_of_pages_are_marked() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): said
        for path in sorted((ROOT / "templates").rglob("*.html"))
        if not any(path.is_relative_to(ROOT / folder) for folder in IN_ENGLISH)
        and (said := list(unmarked.words(path)))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>Here is a text</p>", ["Here is a text"]),
        ('<p>{% translate "Here is a text" %} · FactLoop</p>', []),
        ('<a title="Go there" href="{% url "x" %}">{{ name }} → 3 px</a>', ["Go there"]),
        ("{% blocktranslate %}Here is {{ name }}{% endblocktranslate %} and more", ["and more"]),
        ("{% if a > b %}yes indeed{% endif %}", ["yes indeed"]),
        ("{# a comment #}<script>let words = 1;</script><kbd>Enter</kbd>", []),
    ],
)
def test_a_text_that_is_not_marked_is_found(tmp_path: Path, source: str, found: list[str]) -> None:
    page = tmp_path / "page.html"
    page.write_text(source)
    assert list(unmarked.words(page)) == found


SPOKEN = re.compile(
    r"(?:toast|complain|say)\((?:event, )?[\"'`]\w|textContent = (?:\w+ \? )?[\"'`][A-Z]"
    r'|setAttribute\("(?:aria-label|title|placeholder)", ["\'`]'
)
OF_MANAGERS = {"charts.js", "line_charts.js", "svg_charts.js", "runs.js", "panels.js"}


def test_texts_of_scripts_are_marked() -> None:
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted((ROOT / "static" / "js").glob("*.js"))
        if path.name not in OF_MANAGERS
        for line in path.read_text().splitlines()
        if SPOKEN.search(line)
    ]
    assert found == []
