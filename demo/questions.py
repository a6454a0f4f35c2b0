"""Questions of MMHal-Bench's eight types about scenes, each with its one right answer.

Answers are as short as a small model can write; only the holistic question asks for a caption.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from benchmark.protocols.small_world import NUMBERS, POSITIONS, SHAPES, Scene
from demo.scenes import caption

DESCRIBE = "Describe the image."


@dataclass(frozen=True)
class Question:
    """A question about a scene; ``answer`` is how a person who sees it would put it."""

    type: str
    text: str
    answer: str


def _attribute(scene: Scene, rng: Random) -> Question | None:
    counts = Counter(thing.shape for thing in scene.things)
    unique = [thing for thing in scene.things if counts[thing.shape] == 1]
    if not unique:
        return None
    thing = rng.choice(unique)
    return Question("attribute", f"What color is the {thing.shape}?", f"{thing.color}.")


def _adversarial(scene: Scene, rng: Random) -> Question | None:
    absent = [s for s in SHAPES if all(thing.shape != s for thing in scene.things)]
    if not absent:
        return None
    shape = rng.choice(absent)
    return Question("adversarial", f"What color is the {shape}?", f"there is no {shape}.")


def _comparison(scene: Scene, rng: Random) -> Question | None:
    first, second = rng.sample(SHAPES, 2)
    counts = Counter(thing.shape for thing in scene.things)
    text = f"Are there more {first}s or {second}s?"
    if counts[first] == counts[second]:
        return Question("comparison", text, "the same.")
    more = first if counts[first] > counts[second] else second
    return Question("comparison", text, f"{more}s.")


def _counting(scene: Scene, rng: Random) -> Question | None:
    kind = rng.choice((*SHAPES, "object"))
    count = sum(kind in (thing.shape, "object") for thing in scene.things)
    return Question("counting", f"How many {kind}s are there?", f"{NUMBERS[count]}.")


def _relation(scene: Scene, rng: Random) -> Question | None:
    counts = Counter((thing.color, thing.shape) for thing in scene.things)
    unique = [thing for thing in scene.things if counts[thing.color, thing.shape] == 1]
    if not unique:
        return None
    thing = rng.choice(unique)
    return Question("relation", f"Where is the {thing.color} {thing.shape}?", f"{thing.position}.")


def _environment(scene: Scene, rng: Random) -> Question | None:
    return Question("environment", "What is the background like?", f"{scene.background}.")


def _holistic(scene: Scene, rng: Random) -> Question | None:
    return Question("holistic", DESCRIBE, caption(scene))


def _other(scene: Scene, rng: Random) -> Question | None:
    taken = [thing.position for thing in scene.things]
    position = rng.choice(taken if rng.random() < 0.7 else POSITIONS)
    thing = scene.at(position)
    answer = f"{thing.color} {thing.shape}." if thing else "nothing."
    return Question("other", f"What is at the {position}?", answer)


_ASK: dict[str, Callable[[Scene, Random], Question | None]] = {
    "attribute": _attribute,
    "adversarial": _adversarial,
    "comparison": _comparison,
    "counting": _counting,
    "relation": _relation,
    "environment": _environment,
    "holistic": _holistic,
    "other": _other,
}


def ask(scene: Scene, question_type: str, rng: Random) -> Question | None:
    """A question of a type about a scene; None where the scene has nothing to ask about."""
    return _ASK[question_type](scene, rng)
