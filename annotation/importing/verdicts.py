"""Which of two answers a text calls the better one, in the words of all tools and tables.

A word that is not known says nothing: it is never a tie, and whoever wrote it is told. So is 0,
which some files write for a tie and others for the first of two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from annotation.importing.record_image import is_absent

FIRST_AND_SECOND = (
    ("response_1", "response_2"),
    ("response1", "response2"),
    ("response_a", "response_b"),
    ("answer_1", "answer_2"),
    ("answer1", "answer2"),
    ("answer_a", "answer_b"),
)
FIRST, SECOND, TIE = "1", "2", "tie"
PREFERENCES = (
    *("preference", "judgement", "judgment", "label", "choice", "winner", "preferred", "best"),
    *("better_response", "better_answer", "preferred_response", "preferred_answer"),
    *("human_preference", "human_choice"),
)
"""Columns that name the better answer."""
_NO_SIDE = ("hallucination",)
"""In our own tables: whether honesty decided."""
_PREFERS = re.compile(
    r"prefer|better|best|winn|choice|chosen|judg|verdict|vote|accept|safer"
    r"|more[ _-]?(?:helpful|honest)"
)
_FAULT = "(?:hallucinat|fabricat|mistake|error|wrong|incorrect|unfaithful|misleading)"
_FAULTS = re.compile(_FAULT)
_WORSE = re.compile(
    rf"wors[et]|reject|disprefer|loser|(?:more|most)[ _-]?{_FAULT}"
    rf"|{_FAULT}[a-z]{{0,9}}[ _-]?(?:the[ _-])?(?:more|most)"
)
_FEWER = re.compile(
    r"(?<![a-z])(?:less|least|fewer|fewest|not?|non|without|free|lower|lowest)(?![a-z])"
)
_BETWEEN = r"[ _-]{0,3}"  # bounded: side by side, three that are not would take cubic time
_NOUN = (
    r"(?:(?:response|answer|output|model|assistant|option|text|caption|completion|candidate|generation|reply)s?"
    rf"{_BETWEEN})?"
)
_BETTER = (
    rf"{_BETWEEN}(?:is|wins?)?{_BETWEEN}(?:(?:very )?(?:slightly|much|clearly|far"
    rf"|significantly|strongly|definitely|marginally))?{_BETWEEN}(?:better|preferred)?"
)
_BEHIND = rf"(?:{_BETWEEN}(?:response|answer|output|option|model|one))?"
_SIDES = {
    FIRST: re.compile(
        r"a ?>{1,3} ?b|b ?<{1,3} ?a|"
        rf"{_NOUN}(?:1(?:\.0)?|a|one|(?:the )?(?:first|left){_BEHIND}){_BETTER}"
    ),
    SECOND: re.compile(
        r"b ?>{1,3} ?a|a ?<{1,3} ?b|"
        rf"{_NOUN}(?:2(?:\.0)?|b|two|(?:the )?(?:second|right){_BEHIND}){_BETTER}"
    ),
    TIE: re.compile(
        "a ?[=~] ?b|b ?[=~] ?a|tie[ds]?|draw|same|both|neither|none|"
        "(?:about |roughly )?(?:equal|similar)(?: quality)?|"
        rf"(?:tie{_BETWEEN})?\(?(?:both{_BETWEEN}(?:are )?(?:bad|good)|bothbad|bothgood)\)?|"
        "(?:about )?(?:the )?same|no (?:difference|preference)|equally (?:good|bad)"
    ),
}


def side_of(value: Any) -> str | None:
    """``FIRST``, ``SECOND`` or ``TIE``; None for what does not say one of them.

    A list of one says what that one does, as tools write a choice that could have been several.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    said = " ".join(str(value).split()).strip("[]\"'. ").lower()
    return next((side for side, words in _SIDES.items() if words.fullmatch(said)), None)


def may_prefer(name: str, value: Any) -> bool:
    """Whether a column of another name seems to name the better answer, or the worse one."""
    side, lowered = side_of(value), name.lower()
    prefers = side is not None or isinstance(value, bool)
    blames = side in (FIRST, SECOND) and lowered not in _NO_SIDE
    return bool(
        (prefers and _PREFERS.search(lowered))
        or (blames and (_WORSE.search(lowered) or _FAULTS.search(lowered)))
    )


def asks_for_worse(name: str) -> bool:
    """Whether what a question of this name selects is the worse answer: "hallucinates_more"."""
    lowered = name.lower()
    return _WORSE.search(lowered) is not None and _FEWER.search(lowered) is None


def counts_faults(name: str) -> bool:
    """Whether a question is about faults, so that the answer that it selects, or rates higher, may
    be the better or the worse one: "hallucination"."""
    lowered = name.lower()
    return _FAULTS.search(lowered) is not None and _FEWER.search(lowered) is None


def other_side(side: str) -> str:
    return {FIRST: SECOND, SECOND: FIRST}.get(side, side)


def is_said(value: Any) -> bool:
    """Whether a cell holds anything; tables write NaN, null and nothing for no answer."""
    return not is_absent(value) and str(value).strip().lower() not in ("nan", "null", "")


def one_of(row: Mapping[str, Any], columns: Iterable[str] = PREFERENCES) -> tuple[str, str | None]:
    """(column, side) of the better answer; ("", None) where no column holds anything.

    The side is None where no column has a known word, or two of them name different sides.
    """
    said = {name: side_of(row[name]) for name in columns if name in row and is_said(row[name])}
    known = {name: side for name, side in said.items() if side is not None}
    if len(set(known.values())) > 1:
        return " and ".join(known), None
    return next(iter(known.items()), (next(iter(said), ""), None))
