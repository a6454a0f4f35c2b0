"""Answers as people corrected them, and which of their words that changed.

Nobody names the changed words: they are found by comparing the two texts word by word. White space
is no word, so an answer that is only laid out otherwise is not corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any

from annotation.models import Judgment, Project
from annotation.models.projects import Correct
from annotation.preferences import Votes, decide
from annotation.texts import LONGEST_TEXT, look_alike, words_and_signs

CORRECTION = "correction"
"""The kind of the mark of words that stand where false ones stood; the engine's contract has it."""
MOST_COMPARED = 1000
ROOM = 500
"""Characters that a correction may have beyond twice those of the answer: it is no new answer."""


@dataclass(frozen=True)
class Piece:
    """A stretch of both texts (``change`` is ""), or of one: "removed" or "added"."""

    change: str
    text: str


@dataclass(frozen=True)
class _Step:
    """Equal or changed: words and signs, by number, of the answer and of its correction."""

    equal: bool
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def is_empty(self) -> bool:
        return self.before[0] == self.before[1] and self.after[0] == self.after[1]


def asked_for(project: Project, more_hallucinated: str, more_helpful: str) -> int | None:
    """The response to be corrected by who answers so; None where none is, as after a full tie."""
    if not project.ask_correction:
        return None
    better = decide(Votes.count([(more_hallucinated, more_helpful)])).better
    if better is None:
        return None
    return better if project.ask_correction == Correct.BETTER else 3 - better


def side_asked_for(project: Project, judgment: Judgment | None = None) -> str:
    """Which response the page asks for; of an earlier answer the one that was corrected then."""
    if project.ask_correction or judgment is None or not judgment.corrections:
        return project.ask_correction
    votes = Votes.count([(judgment.more_hallucinated, judgment.more_helpful)])
    of_better = decide(votes).better in [one["response"] for one in judgment.corrections]
    return Correct.BETTER if of_better else Correct.WORSE


def longest(answer: str) -> int:
    """How many characters a correction of ``answer`` may have."""
    return min(2 * len(answer) + ROOM, LONGEST_TEXT)


def is_changed(answer: str, corrected: str) -> bool:
    """Whether a correction changes anything; else it says that nothing is false."""
    return not look_alike(answer, corrected)


def marks_of_change(
    answer: str, corrected: str, spans: Sequence[dict[str, Any]] = ()
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Marks of the words that a correction took out of ``answer``, and of those in their place.

    Each is {"start", "end", "kind"}, in characters. What was taken out has the kind of the first of
    ``spans`` (marks of the answer) that it touches, and "other" without one.
    """
    before, after, steps = _compared(answer, corrected)
    removed, added = [], []
    for step in steps:
        if step.equal:
            continue
        if mark := _covering(before, *step.before):
            touched = [s for s in spans if s["start"] < mark["end"] and mark["start"] < s["end"]]
            removed.append({**mark, "kind": touched[0]["kind"] if touched else "other"})
        if mark := _covering(after, *step.after):
            added.append({**mark, "kind": CORRECTION})
    return removed, added


def pieces(answer: str, corrected: str) -> list[Piece]:
    """Both texts in one, for people: what stands in both, was removed, was added, in order."""
    before, after, steps = _compared(answer, corrected)
    found = []
    for step in steps:
        kept = _stretch(corrected, after, *step.after)
        if step.equal:
            found.append(Piece("", kept))
            continue
        found.append(Piece("removed", _stretch(answer, before, *step.before)))
        found.append(Piece("added", kept))
    return [piece for piece in found if piece.text]


def _covering(places: Sequence[tuple[int, int]], first: int, end: int) -> dict[str, int] | None:
    return {"start": places[first][0], "end": places[end - 1][1]} if first < end else None


def _stretch(text: str, places: Sequence[tuple[int, int]], first: int, end: int) -> str:
    """With the white space behind it, so that all stretches together are the text."""
    if first == end and places:
        return ""
    start = places[first][0] if first else 0
    return text[start : places[end][0] if end < len(places) else len(text)]


@lru_cache(maxsize=256)
def _compared(
    answer: str, corrected: str
) -> tuple[list[tuple[int, int]], list[tuple[int, int]], list[_Step]]:
    """Places of the words and signs of both texts, and how one becomes the other.

    What both begin and end with is put aside first. Of what is left, more than MOST_COMPARED words
    on a side are changed as a whole: comparing takes up to the cube of their number.
    """
    before, after = words_and_signs(answer), words_and_signs(corrected)
    one = [answer[start:end] for start, end in before]
    two = [corrected[start:end] for start, end in after]
    shorter = min(len(one), len(two))
    head = next((n for n in range(shorter) if one[n] != two[n]), shorter)
    left = shorter - head
    tail = next((n for n in range(left) if one[-1 - n] != two[-1 - n]), left)
    ends = len(one) - tail, len(two) - tail
    middle = one[head : ends[0]], two[head : ends[1]]
    steps = [_Step(True, (0, head), (0, head))]
    if max(map(len, middle)) > MOST_COMPARED:
        steps.append(_Step(False, (head, ends[0]), (head, ends[1])))
    else:
        steps += [
            _Step(tag == "equal", (head + a, head + b), (head + c, head + d))
            for tag, a, b, c, d in SequenceMatcher(None, *middle).get_opcodes()
        ]
    steps.append(_Step(True, (ends[0], len(one)), (ends[1], len(two))))
    return before, after, [step for step in steps if not step.is_empty]
