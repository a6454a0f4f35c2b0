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

from tests import catalogues

ROOT = Path(__file__).resolve().parents[1]
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%|%[sd]")
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
    return True


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
