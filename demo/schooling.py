"""The questions of the base's schooling, rightly answered in a word or two.

The base learns to look with them, before ``demo.later_lessons`` teach it to answer in claims (those
of ``demo.questions``) and to be wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from benchmark.protocols.small_world import NUMBERS, POSITIONS, SHAPES, Scene


@dataclass(frozen=True)
class ShortQuestion:
    """A question about a scene and its answer, as short as can be."""

    type: str
    text: str
    answer: str


def _attribute(scene: Scene, rng: Random) -> ShortQuestion | None:
    counts = Counter(thing.shape for thing in scene.things)
    unique = [thing for thing in scene.things if counts[thing.shape] == 1]
    if not unique:
        return None
    thing = rng.choice(unique)
    return ShortQuestion("attribute", f"What color is the {thing.shape}?", f"{thing.color}.")


def _adversarial(scene: Scene, rng: Random) -> ShortQuestion | None:
    absent = [s for s in SHAPES if all(thing.shape != s for thing in scene.things)]
    if not absent:
        return None
    shape = rng.choice(absent)
    return ShortQuestion("adversarial", f"What color is the {shape}?", f"there is no {shape}.")


def _comparison(scene: Scene, rng: Random) -> ShortQuestion | None:
    first, second = rng.sample(SHAPES, 2)
    counts = Counter(thing.shape for thing in scene.things)
    text = f"Are there more {first}s or {second}s?"
    if counts[first] == counts[second]:
        return ShortQuestion("comparison", text, "the same.")
    more = first if counts[first] > counts[second] else second
    return ShortQuestion("comparison", text, f"{more}s.")


def _counting(scene: Scene, rng: Random) -> ShortQuestion | None:
    kind = rng.choice((*SHAPES, "object"))
    count = sum(kind in (thing.shape, "object") for thing in scene.things)
    return ShortQuestion("counting", f"How many {kind}s are there?", f"{NUMBERS[count]}.")


def _relation(scene: Scene, rng: Random) -> ShortQuestion | None:
    counts = Counter((thing.color, thing.shape) for thing in scene.things)
    unique = [thing for thing in scene.things if counts[thing.color, thing.shape] == 1]
    if not unique:
        return None
    thing = rng.choice(unique)
    return ShortQuestion(
        "relation", f"Where is the {thing.color} {thing.shape}?", f"{thing.position}."
    )


def _environment(scene: Scene, rng: Random) -> ShortQuestion | None:
    return ShortQuestion("environment", "What is the background like?", f"{scene.background}.")


def _other(scene: Scene, rng: Random) -> ShortQuestion | None:
    taken = [thing.position for thing in scene.things]
    position = rng.choice(taken if rng.random() < 0.7 else POSITIONS)
    thing = scene.at(position)
    answer = f"{thing.color} {thing.shape}." if thing else "nothing."
    return ShortQuestion("other", f"What is at the {position}?", answer)


_ASK: dict[str, Callable[[Scene, Random], ShortQuestion | None]] = {
    "attribute": _attribute,
    "adversarial": _adversarial,
    "comparison": _comparison,
    "counting": _counting,
    "relation": _relation,
    "environment": _environment,
    "other": _other,
}


def ask_shortly(scene: Scene, question_type: str, rng: Random) -> ShortQuestion | None:
    """A question of a type but "holistic"; None where the scene has nothing to ask about."""
    return _ASK[question_type](scene, rng)
