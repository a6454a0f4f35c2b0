"""Hallucinated words of several people, laid over one text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Segment:
    """A stretch of text; ``kinds`` says how many marks of which kind cover it."""

    text: str
    kinds: tuple[tuple[str, int], ...] = ()

    @property
    def marks(self) -> int:
        return sum(number for _, number in self.kinds)

    @property
    def label(self) -> str:
        """ "number (2), object" of two marks as a number and one as an object."""
        return ", ".join(
            f"{kind} ({number})" if number > 1 else kind for kind, number in self.kinds
        )


def segments(text: str, number: int, spans: Iterable[dict[str, Any]]) -> list[Segment]:
    """The text of response ``number``, cut wherever a mark begins or ends.

    ``spans`` as in judgments: {"response", "start", "end", "kind"}, in code points; those of the
    other response are passed over.
    """
    mine = [span for span in spans if span["response"] == number]
    edges = sorted({0, len(text)} | {span[end] for span in mine for end in ("start", "end")})
    found = []
    for start, end in pairwise(edges):
        covering = Counter(
            span["kind"] for span in mine if span["start"] <= start and end <= span["end"]
        )
        found.append(Segment(text[start:end], tuple(sorted(covering.items()))))
    return found


def words(text: str, span: dict[str, Any]) -> str:
    """The words that a mark covers."""
    return text[span["start"] : span["end"]]
