"""A right response made wrong in one thing: an object, a number, a colour or a position.

Rules over words, so that a person can foresee them; they know nothing of the image. What they
propose is a draft that a manager reads beside the image before it measures anybody.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    OBJECT = "object"
    COUNT = "count"
    COLOUR = "colour"
    POSITION = "position"


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """``text`` is the whole response with ``before`` replaced by ``after``."""

    kind: Kind
    text: str
    before: str
    after: str

    @property
    def explanation(self) -> str:
        return f"It says “{self.after}” where the verified response says “{self.before}”."


NUMBERS = [
    *("two", "three", "four", "five", "six", "seven"),
    *("eight", "nine", "ten", "eleven", "twelve"),
]
COLOURS = (
    *("red", "blue", "green", "yellow", "orange", "purple", "pink"),
    *("brown", "black", "white", "grey", "gray"),
)
LIKE_COLOURS = ({"grey", "gray", "white", "black"}, {"red", "pink", "orange", "purple"})
"""Colours that one person may call by the name of another are not exchanged for each other."""

OBJECTS = (
    ("car", "bus", "truck", "motorcycle", "bicycle", "train", "boat", "airplane"),
    ("dog", "cat", "horse", "cow", "sheep", "bird", "elephant", "bear", "zebra", "giraffe"),
    ("chair", "sofa", "table", "bench", "bed", "shelf", "lamp", "desk"),
    ("apple", "banana", "sandwich", "pizza", "cake", "carrot", "donut", "tomato"),
    ("cup", "bowl", "bottle", "plate", "fork", "knife", "spoon", "mug", "vase"),
    ("laptop", "phone", "television", "keyboard", "camera", "clock", "book"),
    ("hat", "shirt", "jacket", "tie", "scarf", "backpack", "umbrella", "handbag"),
    ("tree", "flower", "rock", "fence", "bridge", "tower"),
    ("ball", "kite", "skateboard", "surfboard", "racket", "frisbee"),
)
PLURALS = {"bus": "buses", "sheep": "sheep", "knife": "knives", "shelf": "shelves"} | {
    word: f"{word}es" for word in ("bench", "tomato")
}

SIDES = r"(?P<word>left|right)(?=\s+(?:side|hand|corner|edge|part|half|of)\b|[.,;]|$)"
POSITIONS: tuple[tuple[str, dict[str, str]], ...] = (
    (rf"(?<=the ){SIDES}", {"left": "right", "right": "left"}),
    (r"(?P<word>in front of|behind)\b", {"in front of": "behind", "behind": "in front of"}),
    (r"(?P<word>above|below)\b", {"above": "below", "below": "above"}),
    (
        r"(?P<word>on top of|underneath|under)\b",
        {"on top of": "under", "underneath": "on top of", "under": "on top of"},
    ),
    (
        r"(?<=in the )(?P<word>foreground|background)\b",
        {"foreground": "background", "background": "foreground"},
    ),
)


def corruptions(text: str, *, facts: Sequence[str] = (), seed: int = 0) -> list[Corruption]:
    """At most one draft of each kind, the same for the same seed.

    ``facts`` are texts known to be true of the image: what they name is never put in.
    """
    draw = random.Random(seed)
    known = " ".join((text, *facts)).lower()
    found = []
    for kind, rule in RULES.items():
        drafts = list(rule(text, known, draw))
        if drafts:
            before, after, changed = draw.choice(drafts)
            found.append(Corruption(kind=kind, text=changed, before=before, after=after))
    return found


Draft = tuple[str, str, str]


def _objects(text: str, known: str, draw: random.Random) -> Iterator[Draft]:
    """Every mention of the thing is exchanged, or the response would contradict itself."""
    for family in OBJECTS:
        present = [word for word in family if _mentions(known, word)]
        free = [word for word in family if word not in present]
        for word in present:
            if _mentions(text.lower(), word) and free:
                other = draw.choice(free)
                yield word, other, _exchange(_exchange(text, word, other), *_plurals(word, other))


def _plurals(word: str, other: str) -> tuple[str, str]:
    return PLURALS.get(word, f"{word}s"), PLURALS.get(other, f"{other}s")


def _mentions(text: str, word: str) -> bool:
    plural = PLURALS.get(word, f"{word}s")
    return re.search(rf"\b(?:{word}|{plural})\b", text) is not None


def _exchange(text: str, word: str, other: str) -> str:
    pattern = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    for match in reversed(list(pattern.finditer(text))):
        text = _replace(text, match.start(), match.end(), other)
    return text


def _counts(text: str, known: str, draw: random.Random) -> Iterator[Draft]:
    for match in re.finditer(rf"\b(?:{'|'.join(NUMBERS)})\b(?=\s+[a-z])", text, re.IGNORECASE):
        place = NUMBERS.index(match.group().lower())
        near = [NUMBERS[i] for i in range(place - 2, place + 3) if 0 <= i < len(NUMBERS)]
        yield _draft(text, match, draw.choice([one for one in near if one != NUMBERS[place]]))
    for match in re.finditer(r"(?<![\d.,:/-])\b(?:[2-9]|1\d|20)\b(?=\s+[a-z])", text):
        number = int(match.group())
        others = [one for one in (number - 1, number + 1, number + 2) if one > 1]
        yield _draft(text, match, str(draw.choice(others)))


def _colours(text: str, known: str, draw: random.Random) -> Iterator[Draft]:
    for match in re.finditer(rf"\b(?:{'|'.join(COLOURS)})\b", text, re.IGNORECASE):
        word = match.group().lower()
        alike = set().union(*(group for group in LIKE_COLOURS if word in group))
        free = [
            one
            for one in COLOURS
            if one not in alike and one != "gray" and not re.search(rf"\b{one}\b", known)
        ]
        if free:
            yield _draft(text, match, draw.choice(free))


def _positions(text: str, known: str, draw: random.Random) -> Iterator[Draft]:
    for pattern, opposite in POSITIONS:
        for match in re.finditer(pattern, text, re.IGNORECASE):
            yield _draft(text, match, opposite[match.group("word").lower()])


def _draft(text: str, match: re.Match[str], other: str) -> Draft:
    return match.group(), other, _replace(text, match.start(), match.end(), other)


def _replace(text: str, start: int, end: int, other: str) -> str:
    """With the capital of what it replaces, and the article that the new word needs."""
    if text[start].isupper():
        other = other[0].upper() + other[1:]
    before = text[:start]
    article = re.search(r"\b(an?)(\s+)$", before, re.IGNORECASE)
    if article and other[0].lower() not in "0123456789":
        a = article.group(1)[0] + ("n" if other[0].lower() in "aeiou" else "")
        before = before[: article.start()] + a + article.group(2)
    return before + other + text[end:]


RULES: dict[Kind, Callable[[str, str, random.Random], Iterator[Draft]]] = {
    Kind.OBJECT: _objects,
    Kind.COUNT: _counts,
    Kind.COLOUR: _colours,
    Kind.POSITION: _positions,
}
