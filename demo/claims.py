"""What an answer to any question of the small world claims, and how much of it is false.

The oracle of the benchmark (``benchmark.protocols.small_world``) reads captions and knows one
right answer to every other question. People who compare two answers see more: how many things in
each are not so.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.protocols.small_world import (
    BACKGROUNDS,
    NUMBERS,
    POSITIONS,
    Scene,
    Thing,
    claims,
    coverage,
    words,
)
from demo.questions import CHOICE, LETTERS, YES_NO, Question

Token = tuple[str, int, int]
"""A word in lower case, its first character in the answer, and the one after its last."""
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
    """How many parts of an answer are false (``false_parts``); ``UNREADABLE`` for what is none."""
    parts = false_parts(answer, question, scene)
    return UNREADABLE if parts is None else len(parts)


def false_parts(answer: str, question: Question, scene: Scene) -> list[tuple[int, int]] | None:
    """Where an answer is false: claims, an opening yes or no, a conclusion that does not follow.

    From a first character up to before an end, in order; None for what cannot be read. A claim
    that was made before is false, so repetition is never free. A conclusion is measured by the list
    before it, which has been looked at already. All of an answer is false that says nothing false
    and is not the answer: who is asked for the circle and tells of a square, or counts one of two,
    has misled. Else a policy learns to speak of whatever it sees best.
    """
    found = _placed(answer)
    if not found or found.pop()[0] != ".":
        return None
    if question.type == "holistic" and claims(answer) is None:
        return None
    false: list[tuple[int, int]] = []
    first = found[0][1] if found else 0
    if question.type == YES_NO:
        if not found or found[0][0] not in ("yes", "no"):
            return None
        word, start, end = found.pop(0)
        if word != words(question.answer)[0]:
            false.append((start, end))
    listed, conclusion = _before(found, "so")
    made: list[str] = []
    for part in _between(listed, "and"):
        claim = " ".join(word for word, _, _ in part)
        verdict = is_so(claim, scene)
        if verdict is None:
            return None
        if not verdict or claim in made:
            false.append((part[0][1], part[-1][2]))
        made.append(claim)
    if not _follows(" ".join(word for word, _, _ in conclusion), made, question):
        where = conclusion or found
        false.append((where[0][1], where[-1][2]))
    if not false and question.type != "holistic" and not right(answer, question):
        false.append((first, found[-1][2]))
    return false


def _placed(answer: str) -> list[Token]:
    lowered, place, found = answer.lower(), 0, []
    for word in words(answer):
        start = lowered.index(word, place)
        place = start + len(word)
        found.append((word, start, place))
    return found


def _before(found: Sequence[Token], word: str) -> tuple[Sequence[Token], Sequence[Token]]:
    """What stands before the first ``word``, and what stands after it."""
    for place, (one, _, _) in enumerate(found):
        if one == word:
            return found[:place], found[place + 1 :]
    return found, []


def _between(found: Sequence[Token], word: str) -> list[list[Token]]:
    """What stands between the ``word``s; empty where two meet."""
    parts: list[list[Token]] = [[]]
    for token in found:
        if token[0] == word:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


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
