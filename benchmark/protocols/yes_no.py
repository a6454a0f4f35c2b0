"""Reads yes or no out of an answer in words, or nothing where it says neither or both."""

from __future__ import annotations

import re
from typing import Literal

from benchmark.plain import fold
from benchmark.protocols.protocol import Mode

Answer = Literal["yes", "no"]

_YES = re.compile(r"\b(?:yes|yeah|yep|yup)\b")
_NO = re.compile(r"\b(?:no|nope|nah)\b")
_LEADING = re.compile(r"\W*(?:(?:the\s+)?answer\s*(?:is|:)\s*)?\W*(?P<word>yes|no)\b")
_HEDGED = re.compile(r"\W*(?:yes|no)\s*(?:/|\bor\b|\band\b)\s*(?:yes|no)\b")
_THERE_IS = re.compile(r"\bthere(?:\s+(?:is|are)|'s|'re)\b")
_THERE_IS_NOT = re.compile(
    r"\bthere\s+(?:is|are)\s+(?:no|not|none)\b|\bthere\s+(?:isn't|aren't)\b|\bthere's\s+(?:no|not)\b"
)
_UNSURE = re.compile(
    r"\b(?:cannot|can't|can\s+not|unable|unsure|uncertain|unclear|whether|if|maybe|perhaps|might"
    r"|sorry|not\s+(?:sure|clear|certain|possible))\b"
)


def parse_answer(text: str, *, mode: Mode = "careful") -> Answer | None:
    """Yes or no, or None where a text says neither or both (``careful`` only).

    ``reference`` is the published rule: the first sentence without its commas says no if one of
    its words is "No", "no" or "not", and yes in every other case, the empty text included.
    """
    if mode == "reference":
        words = text.split(".")[0].replace(",", "").split(" ")
        return "no" if {"No", "no", "not"} & set(words) else "yes"
    if mode != "careful":
        raise ValueError(f"mode is {mode!r}, not 'careful' or 'reference'")
    plain = fold(text)
    if _HEDGED.match(plain):
        return None
    leading = _LEADING.match(plain)
    if leading:
        return "yes" if leading["word"] == "yes" else "no"
    said = {"yes"} if _YES.search(plain) else set()
    if _NO.search(_THERE_IS_NOT.sub(" ", plain)):
        said.add("no")
    if not said:
        said = _stated(plain)
    only = said.pop() if len(said) == 1 else None
    return "yes" if only == "yes" else "no" if only == "no" else None


def _stated(plain: str) -> set[str]:
    """What a plain sentence such as "There is a dog on the grass" says."""
    first = re.split(r"[.!?\n]", plain, maxsplit=1)[0]
    if _UNSURE.search(first):
        return set()
    if _THERE_IS_NOT.search(first):
        return {"no"}
    return {"yes"} if _THERE_IS.search(first) else set()
