"""Ratings that people gave to each of two answers, as what they say of which one is better.

The answer that a person rated higher is the better one to them, and two that they rated alike are a
tie. Numbers of faults and ranks decide nothing: of hallucination, 5 may be much or none, and rank 1
is the best. Which answer a rating is for, its question or the control of its task says: "rating_1",
"answer2". Ratings that name no answer, or only one of the two, decide nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from annotation.importing.verdicts import FIRST, SECOND, TIE, asks_for_worse, counts_faults

UNTOLD = "ratings that do not say of which answer"
OF_FAULTS = "numbers of faults or ranks, of which the lower may be the better"
_RANKS = re.compile(r"(?<![a-z])rank|(?<![a-z])(?:place|position|order)(?![a-z])")
_SIDES = {"1": FIRST, "a": FIRST, "first": FIRST, "left": FIRST}
_SIDE = re.compile(
    r"(?<=[a-z])[ _-]?(?P<number>[12])(?![0-9])"
    r"|(?:^|[ _-])(?P<word>a|b|first|second|left|right)(?=$|[ _-])"
)


@dataclass(frozen=True)
class Rating:
    """One number of one person; ``names`` may say which answer it is for, the first that does."""

    person: object
    names: tuple[str, ...]
    value: float


def preferences(ratings: Iterable[Rating]) -> list[tuple[str, str]]:
    """(question, side) of each person who rated both answers, as answers to what was rated.

    Where some ratings cannot be told, each of them says ``UNTOLD``.
    """
    found: dict[tuple[object, str], dict[str, float]] = defaultdict(dict)
    untold = []
    for rating in ratings:
        about, side = _side_of(rating.names)
        if any(map(_may_be_turned, rating.names)):
            untold.append((about, OF_FAULTS))
            continue
        sides = found[rating.person, about]
        if not side or side in sides:
            untold.append((about, UNTOLD))
        else:
            sides[side] = rating.value
    told = [
        (about, _better(sides[FIRST], sides[SECOND]))
        for (_, about), sides in found.items()
        if len(sides) == 2
    ]
    return told or untold or [(about, UNTOLD) for (_, about), sides in found.items() if sides]


def _may_be_turned(name: str) -> bool:
    ranks = _RANKS.search(name.lower()) is not None
    return ranks or asks_for_worse(name) or counts_faults(name)


def _better(one: float, two: float) -> str:
    return TIE if one == two else FIRST if one > two else SECOND


def _side_of(names: Iterable[str]) -> tuple[str, str]:
    """What was asked, without the answer that it was asked of, and that answer's side."""
    about = ""
    for name in names:
        lowered = name.lower()
        sides = {_SIDES.get(m["number"] or m["word"], SECOND) for m in _SIDE.finditer(lowered)}
        about = about or _SIDE.sub("", lowered)
        if len(sides) == 1:
            return about, sides.pop()
    return about, ""
