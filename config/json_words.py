"""What is wrong with text that is no JSON, in words and with its place.

Python's decoder says "Expecting ',' delimiter", which is about its own grammar: what people did is
said here. The engine, which cannot import this, has the same file; a test compares the two.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

_LONGEST_NAME = 40
_SINGLE = "names and texts stand in double quotes, not in single ones"
_WORDS = (
    ("Expecting property name", "a name in double quotes is expected"),
    ("Expecting ':'", "a colon is missing"),
    ("Expecting ','", "a comma is missing, or a quote within a text has no backslash before it"),
    ("Expecting value", "a value is expected"),
    ("Illegal trailing comma", "a comma is too many"),
    ("Unterminated string", "the text that begins there is not closed"),
    ("Invalid control character", "a text holds a line break or a tab as it is, not \\n or \\t"),
    ("Invalid \\", "a backslash that is meant is written twice"),
    ("Extra data", "more follows where it should end"),
)
_BY_NEXT = {
    ("Expecting property name", "}"): "a comma is too many",
    ("Expecting property name", "'"): _SINGLE,
    ("Expecting value", "]"): "a comma is too many",
    ("Expecting value", ","): "a comma stands where a value is expected",
    ("Expecting value", "}"): "a value is missing",
    ("Expecting value", "'"): _SINGLE,
    ("Expecting value", "T"): "true, false and null are written small",
    ("Expecting value", "F"): "true, false and null are written small",
    ("Expecting value", "N"): "true, false and null are written small",
    ("Expecting ','", "]"): "a closing bracket is of the wrong kind",
    ("Expecting ','", "}"): "a closing bracket is of the wrong kind",
}


def not_json(error: json.JSONDecodeError, place: str = "") -> str:
    """ "is not JSON (a colon is missing at line 3, column 9)". The line is left away where the text
    is one alone, as its number is known to whoever reads a file by lines."""
    if not place:
        alone = "\n" not in error.doc.strip()
        place = "" if alone else f"line {error.lineno}, "
        place += f"column {error.colno}"
    return f"is not JSON ({_said(error)} at {place})"


def _said(error: json.JSONDecodeError) -> str:
    following = error.doc[error.pos :].lstrip()[:1]
    if not following:
        return "it ends too early"
    for start, words in _WORDS:
        if error.msg.startswith(start):
            return _BY_NEXT.get((start, following), words)
    return "it cannot be read"


def named_twice(members: list[tuple[str, Any]]) -> str:
    """What an object is refused for that has a member twice, of which readers take either; empty
    where each is there once."""
    if len(dict(members)) == len(members):
        return ""
    [(twice, _)] = Counter(name for name, _ in members).most_common(1)
    return f"has {twice[:_LONGEST_NAME]!r} twice"
