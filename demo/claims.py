"""What an answer to any question of the small world claims, and how much of it is false.

The oracle of the benchmark (``benchmark.protocols.small_world``) reads captions and knows one
right answer to every other question. People who compare two answers see more: how many things in
each are not so.
"""

from __future__ import annotations

from benchmark.protocols.small_world import (
    BACKGROUNDS,
    NUMBERS,
    POSITIONS,
    Scene,
    Thing,
    coverage,
    false_claims,
    words,
)
from demo.questions import CHOICE, LETTERS, YES_NO, Question

UNREADABLE = len(POSITIONS)
"""More mistakes than any answer that can be read has."""


def right(answer: str, question: Question) -> bool:
    """Whether an answer is the right one, wholly; captions have a measure instead."""
    return words(answer) == words(question.answer)


def helpful(answer: str, question: Question, scene: Scene) -> float:
    """How much an answer tells: the coverage of a caption; 1 for a right answer, 0 for others."""
    if question.type == "holistic":
        return coverage(answer, scene)
    return float(right(answer, question))


def mistakes(answer: str, question: Question, scene: Scene) -> int:
    """How many parts of an answer are false: claims, an opening yes or no, a wrong conclusion.

    A conclusion is measured by the list before it, which has been counted already. What cannot
    be read is ``UNREADABLE``.
    """
    if question.type == "holistic":
        return false_claims(answer, scene)
    tokens = words(answer)
    if not tokens or tokens.pop() != ".":
        return UNREADABLE
    wrong = 0
    if question.type == YES_NO:
        if not tokens or tokens[0] not in ("yes", "no"):
            return UNREADABLE
        wrong += tokens.pop(0) != words(question.answer)[0]
    named, _, conclusion = " ".join(tokens).partition(" so ")
    claims = named.split(" and ")
    verdicts = [is_so(claim, scene) for claim in claims]
    if None in verdicts:
        return UNREADABLE
    repeated = len(claims) - len(set(claims))
    return wrong + verdicts.count(False) + repeated + (not _follows(conclusion, claims, question))


def is_so(claim: str, scene: Scene) -> bool | None:
    """Whether a single claim is true; None for what is no claim."""
    match claim.split():
        case ["background", background] if background in BACKGROUNDS:
            return background == scene.background
        case ["there", "is", "no", *look] if look:
            return not any(look in ([t.shape], [t.color, t.shape]) for t in scene.things)
        case [position, "nothing"] if position in POSITIONS:
            return scene.at(position) is None
        case [position, color, shape] if position in POSITIONS:
            return Thing(position, color, shape) in scene.things
    return None


def _follows(conclusion: str, claims: list[str], question: Question) -> bool:
    """Whether what comes after "so" follows from the claims before it."""
    shapes = [claim.split()[-1] for claim in claims if claim.split()[0] in POSITIONS]
    if question.type == "counting":
        return conclusion == NUMBERS[min(len(shapes), len(NUMBERS) - 1)]
    if question.type == "comparison":
        first, second = question.about
        more = shapes.count(first) - shapes.count(second)
        return conclusion == ("the same" if not more else f"more {first if more > 0 else second}s")
    if question.type == CHOICE:
        look = claims[0].split(maxsplit=1)[-1]
        options = question.about[1:]
        letter = LETTERS[options.index(look)] if look in options else ""
        return conclusion == f"correct option is {letter.lower()}"
    return not conclusion
