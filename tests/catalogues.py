"""The catalogues of the languages: what is to be translated, and what is made of the translations.

    python -m tests.catalogues       # brings all of it up to date: make languages
    python -m tests.catalogues de    # begins a language (add it to LANGUAGES in the settings)

Texts are marked where they stand: ``{% translate %}`` and ``{% blocktranslate %}`` in templates,
``gettext`` and its like in Python, ``gettext`` and ``ngettext`` of texts.js in scripts. From there
they come into ``<language>/LC_MESSAGES/django.po`` and ``djangojs.po``, which people edit. Made of
these, and committed so that nobody needs a tool to run the site: ``django.mo`` beside them, and
``static/js/texts/<language>.js``.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "locale"
SCRIPTS = ROOT / "static" / "js"
PYTHON = ("annotation", "benchmark", "config", "demo", "training")
WITHOUT_WORDS = ("migrations", "management", "rlhf", "demo")
KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,  # of templates
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
PLURALS = {
    "ar": "nplurals=6; plural=n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : "
    "n%100>=11 && n%100<=99 ? 4 : 5;",
    "es": "nplurals=2; plural=(n != 1);",
    "pt_BR": "nplurals=2; plural=(n > 1);",
    "zh_Hans": "nplurals=1; plural=0;",
}
FORMULA = re.compile(r"[n0-9()?:%<>=!&| ]+")
NOTE = "Of FactLoop. Made by tests/catalogues.py of marked texts; translations are edited here."


class Plain(Catalog):
    """With a head that is the same on every day and for everybody."""

    def __init__(self, folder: str) -> None:
        super().__init__(header_comment=f"# {NOTE}", fuzzy=False)
        self.head = [
            ("Language", folder),
            ("Plural-Forms", PLURALS[folder]),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]
        Catalog.mime_headers.fset(self, self.head)

    mime_headers = property(lambda self: self.head)


def catalogues() -> list[Path]:
    """Every .po."""
    return sorted(FOLDER.glob("*/LC_MESSAGES/*.po"))


def language_of(path: Path) -> str:
    """As Django names it: "pt-br" of …/pt_BR/LC_MESSAGES/django.po."""
    return path.parents[1].name.lower().replace("_", "-")


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


def marked(domain: str) -> Catalog:
    """All texts that are marked now, each with the files in which it stands."""
    found = Catalog(domain=domain, fuzzy=False)
    for path, context, text in sorted(
        _in_scripts() if domain == "djangojs" else _in_pages(), key=lambda one: str(one)
    ):
        found.add(text, locations=[(path, 0)], context=context)
    return found


def _in_pages() -> Iterator[tuple[str, str | None, str | tuple[str, ...]]]:
    from django.utils.translation.template import templatize

    pages = [*(ROOT / "templates").rglob("*.html"), *(ROOT / "templates").rglob("*.svg")]
    for path in sorted([*pages, *(ROOT / "benchmark" / "protocols").rglob("*.html")]):
        # Within brackets a tokenizer asks for no indentation.
        text = f"({templatize(path.read_text(encoding='utf-8'))})"
        yield from _in_text(path, "python", text)
    for package in PYTHON:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not set(path.relative_to(ROOT).parts) & set(WITHOUT_WORDS):
                yield from _in_text(path, "python", path.read_text(encoding="utf-8"))


def _in_scripts() -> Iterator[tuple[str, str | None, str | tuple[str, ...]]]:
    for path in sorted(SCRIPTS.glob("*.js")):
        yield from _in_text(path, "javascript", path.read_text(encoding="utf-8"))


def _in_text(
    path: Path, kind: str, text: str
) -> Iterator[tuple[str, str | None, str | tuple[str, ...]]]:
    source = io.BytesIO(text.encode())
    options = {"encoding": "utf-8"}
    for _, message, _, context in extract(kind, source, keywords=KEYWORDS, options=options):
        yield path.relative_to(ROOT).as_posix(), context, message


def brought_up_to_date(path: Path) -> bytes:
    """The .po with the texts that are marked now: new ones untranslated, gone ones gone."""
    kept = read(path) if path.exists() else Catalog()
    new = Plain(path.parents[1].name)
    forms = new.num_plurals
    for message in marked(path.stem):
        if not message.id:
            continue
        had = kept.get(message.id, context=message.context)
        empty = ("",) * forms if message.pluralizable else ""
        told = had.string if had is not None and _fits(had, forms) else empty
        locations = sorted(set(message.locations))
        new.add(message.id, told, locations=locations, context=message.context)
    out = io.BytesIO()
    write_po(out, new, width=100, sort_output=True, include_lineno=False)
    return out.getvalue()


def _fits(had: Message, forms: int) -> bool:
    return not had.pluralizable or len(had.string) == forms


def compiled(path: Path) -> dict[Path, bytes]:
    """What is made of a .po: the file, and what is in it."""
    if path.stem == "djangojs":
        return {SCRIPTS / "texts" / f"{language_of(path)}.js": _script(path).encode()}
    out, told = io.BytesIO(), Plain(path.parents[1].name)
    for message in read(path):
        if message.id and _is_told(message):
            told.add(message.id, message.string, context=message.context)
    write_mo(out, told)
    return {path.with_suffix(".mo"): out.getvalue()}


def _script(path: Path) -> str:
    catalogue = read(path)
    formula = catalogue.plural_expr
    if not FORMULA.fullmatch(formula):  # It becomes a part of a script.
        raise ValueError(f"{path}: {formula!r} is no formula of plurals")
    texts = {
        message.id[0] if message.pluralizable else message.id: message.string
        for message in catalogue
        if message.id and _is_told(message)
    }
    told = json.dumps(texts, ensure_ascii=False, indent=1, sort_keys=True)
    return (
        f"// Made of {path.relative_to(ROOT)} by make languages.\n"
        f"globalThis.texts = {{ form: (n) => Number({formula}), told: {told} }};\n"
    )


def _is_told(message: Message) -> bool:
    return all(message.string) if message.pluralizable else bool(message.string)


def main(begun: list[str]) -> None:
    paths = {FOLDER / name / "LC_MESSAGES" / f"{domain}.po"
             for name in begun for domain in ("django", "djangojs")}  # fmt: skip
    for path in sorted({*catalogues(), *paths}):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(brought_up_to_date(path))
        for made, content in compiled(path).items():
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_bytes(content)
        empty = sum(not _is_told(message) for message in read(path) if message.id)
        print(f"{path.relative_to(ROOT)}: {len(read(path))} texts, {empty} in English")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    main(sys.argv[1:])
