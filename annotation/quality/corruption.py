"""A right response made wrong in one thing: an object, a number, a colour or a position.

Rules over words, so that a person can foresee them; they know nothing of the image. What they
propose is a draft that a manager reads beside the image before it measures anybody.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
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

SIDES = r"(?P<word>left|right)(?=\s{1,9}(?:side|hand|corner|edge|part|half|of)\b|[.,;]|$)"
POSITIONS = tuple(
    (re.compile(pattern, re.IGNORECASE), opposite)
    for pattern, opposite in (
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
)


def plural(word: str) -> str:
    return PLURALS.get(word, f"{word}s")


def _any_of(words: Iterable[str]) -> str:
    """The longest first, so that "buses" is not read as "bus"."""
    return rf"\b(?:{'|'.join(sorted(words, key=len, reverse=True))})\b"


THINGS = [word for family in OBJECTS for word in family]
MENTION = re.compile(_any_of({*THINGS, *map(plural, THINGS)}), re.IGNORECASE)
NUMBER_WORD = re.compile(rf"{_any_of(NUMBERS)}(?=\s{{1,9}}[a-z])", re.IGNORECASE)
NUMBER = re.compile(r"(?<![\d.,:/-])\b(?:[2-9]|1\d|20)\b(?=\s{1,9}[a-z])")
COLOUR = re.compile(_any_of(COLOURS), re.IGNORECASE)
ARTICLE = re.compile(r"\b(an?)(\s{1,9})\Z", re.IGNORECASE)
LONGEST_ARTICLE = 12


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
            drawn = draw.choice(drafts)
            changed = drawn.applied(text)
            found.append(
                Corruption(kind=kind, text=changed, before=drawn.before, after=drawn.after)
            )
    return found


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What may be exchanged; the text is made of the one that is drawn, not of each."""

    before: str
    after: str
    places: Sequence[tuple[int, int, str]]
    """Start, end and the new word, in order."""

    def applied(self, text: str) -> str:
        """With the capital of what is replaced, and the article that the new word needs."""
        parts, done = [], 0
        for start, end, other in self.places:
            if text[start].isupper():
                other = other[0].upper() + other[1:]
            before = text[done:start]
            article = ARTICLE.search(before[-LONGEST_ARTICLE:])
            if article and other[0].lower() not in "0123456789":
                a = article[1][0] + ("n" if other[0].lower() in "aeiou" else "")
                before = before.removesuffix(article[0]) + a + article[2]
            parts += [before, other]
            done = end
        return "".join((*parts, text[done:]))


def _objects(text: str, known: str, draw: random.Random) -> Iterator[Draft]:
    """Every mention of the thing is exchanged, or the response would contradict itself."""
    there, here = set(MENTION.findall(known)), set(MENTION.findall(text.lower()))
    for family in OBJECTS:
        present = [word for word in family if {word, plural(word)} & there]
        free = [word for word in family if word not in present]
        for word in present:
            if {word, plural(word)} & here and free:
                other = draw.choice(free)
                new = {plural(word): plural(other), word: other}
                places = [
                    (*match.span(), new[match[0].lower()])
                    for match in MENTION.finditer(text)
                    if match[0].lower() in new
                ]
                yield Draft(before=word, after=other, places=places)


def _counts(text: str, known: str, draw: random.Random) -> Iterator[Draft]:
    for match in NUMBER_WORD.finditer(text):
        place = NUMBERS.index(match.group().lower())
        near = [NUMBERS[i] for i in range(place - 2, place + 3) if 0 <= i < len(NUMBERS)]
        yield _draft(match, draw.choice([one for one in near if one != NUMBERS[place]]))
    for match in NUMBER.finditer(text):
        number = int(match.group())
        others = [one for one in (number - 1, number + 1, number + 2) if one > 1]
        yield _draft(match, str(draw.choice(others)))


def _colours(text: str, known: str, draw: random.Random) -> Iterator[Draft]:
    there = {match.group().lower() for match in COLOUR.finditer(known)}
    for match in COLOUR.finditer(text):
        word = match.group().lower()
        alike = set().union(*(group for group in LIKE_COLOURS if word in group))
        free = [one for one in COLOURS if one not in alike | there and one != "gray"]
        if free:
            yield _draft(match, draw.choice(free))


def _positions(text: str, known: str, draw: random.Random) -> Iterator[Draft]:
    for pattern, opposite in POSITIONS:
        for match in pattern.finditer(text):
            yield _draft(match, opposite[match.group("word").lower()])


def _draft(match: re.Match[str], other: str) -> Draft:
    return Draft(before=match.group(), after=other, places=[(*match.span(), other)])


RULES: dict[Kind, Callable[[str, str, random.Random], Iterator[Draft]]] = {
    Kind.OBJECT: _objects,
    Kind.COUNT: _counts,
    Kind.COLOUR: _colours,
    Kind.POSITION: _positions,
}
