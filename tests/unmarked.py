"""Words in templates that no catalogue knows: between tags, and in attributes that people read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

TOKEN = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
TAG = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)
READ = re.compile(
    r'(?<![\w-])(?:title|aria-label|placeholder|alt|data-confirm|data-heading)="([^"]*)"'
)
WORD = re.compile(r"[A-Za-z]{2,}")
MARKED = re.compile(r"\{%\s*blocktranslate\b.*?endblocktranslate\s*%\}", re.DOTALL)
NOT_READ = re.compile(
    r"\{%\s*comment\b.*?endcomment\s*%\}|\{% block page_class %\}.*?\{% endblock %\}|"
    r"<(script|style|code|pre|kbd)\b.*?</\1>",
    re.DOTALL,
)
ALIKE = {"FactLoop", "Slack", "min", "px", "csv", "json", "SHA", "KL", "GiB", "MiB", "GPU"}
"""Names and units, which are the same in all languages."""


def words(path: Path) -> Iterator[str]:
    """The words of a template that are not marked for translation."""
    source = path.read_text(encoding="utf-8")
    # What stands in tokens may hold signs of HTML; a placeholder keeps text from running together.
    source = NOT_READ.sub(" ", MARKED.sub("\0", source))
    html = TOKEN.sub("\0", source)
    for attribute in READ.findall(html):
        yield from _unknown(attribute)
    yield from _unknown(TAG.sub("\0", html))


def _unknown(text: str) -> Iterator[str]:
    for piece in re.sub(r"&\w+;", " ", text).split("\0"):
        if any(word not in ALIKE for word in WORD.findall(piece)):
            yield " ".join(piece.split())
