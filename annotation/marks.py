"""Hallucinated words that people marked; annotation.markup draws them into the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext, gettext_noop

KIND_NAMES = {
    "object": gettext_noop("object"),
    "attribute": gettext_noop("attribute"),
    "number": gettext_noop("number"),
    "position": gettext_noop("position"),
    "action": gettext_noop("action"),
    "text": gettext_noop("text"),
    "other": gettext_noop("other"),
}
"""SPAN_KINDS (annotation.answers), as people read them."""


def kind_name(kind: str) -> str:
    """What a mark of that kind says is wrong, for people; others are called as they are."""
    return gettext(KIND_NAMES[kind]) if kind in KIND_NAMES else kind


def agreed(number: int, people: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Marks of response ``number`` that at least half of ``people`` made: start, end and kind.

    ``people`` are the spans of each person who marked words of either response; who marked none may
    not have looked. The kind is the one that most named there, of equally many the first by name.
    """
    mine = [[span for span in spans if span["response"] == number] for spans in people]
    edges = sorted({span[end] for spans in mine for span in spans for end in ("start", "end")})
    found: list[dict[str, Any]] = []
    for start, end in pairwise(edges):
        named = [
            {span["kind"] for span in spans if span["start"] <= start and end <= span["end"]}
            for spans in mine
        ]
        markers = sum(map(bool, named))
        if not markers or 2 * markers < len(people):
            continue
        counts = Counter(kind for kinds in named for kind in kinds)
        kind = min(counts, key=lambda kind: (-counts[kind], kind))
        if found and (found[-1]["end"], found[-1]["kind"]) == (start, kind):
            start = found.pop()["start"]
        found.append({"start": start, "end": end, "kind": kind})
    return found


def words(text: str, span: dict[str, Any]) -> str:
    """The words that a mark covers."""
    return text[span["start"] : span["end"]]
