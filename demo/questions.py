"""Questions about scenes, each with its one right answer, put as claims that can be checked.

Of the eight types of MMHal-Bench, and two more that the paper trains on: yes or no, and multiple
choice. "top red circle." rather than "red.": an answer that says what it speaks of can be held
against captions by whoever has only these, as a reward model that is shown facts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from benchmark.protocols.mmhal import TYPES
from benchmark.protocols.small_world import COLORS, NUMBERS, POSITIONS, SHAPES, Scene, Thing
from demo.scenes import caption, sentence

DESCRIBE = "Describe the image."
YES_NO, CHOICE = "yes_no", "choice"
KINDS = (*TYPES, YES_NO, CHOICE)
LETTERS = ("A", "B", "C", "D")
TRUTH_IS_NO, TRUTH_IS_YES = 6, 7
FIRST_CHOICE = 2
EMPTY_ASKED = 0.5
ABSENT_COUNTED = 0.15


@dataclass(frozen=True)
class Question:
    """A question about a scene; ``answer`` is how a person who sees it would put it."""

    type: str
    text: str
    answer: str
    about: tuple[str, ...] = ()
    """What is asked for: a shape, two shapes, a look, a place, or a place and four options."""

    @property
    def caption_type(self) -> int:
        """As in the paper's records: 1, or the right letter (2 to 5), or No (6) or Yes (7)."""
        if self.type == YES_NO:
            return TRUTH_IS_NO if self.answer.startswith("no") else TRUTH_IS_YES
        if self.type == CHOICE:
            return FIRST_CHOICE + LETTERS.index(self.answer[-2])
        return 1


def answer_of(kind: str, about: tuple[str, ...], things: Sequence[Thing], background: str) -> str:
    """What somebody answers who believes to see ``things``, in reading order, on ``background``."""
    if kind == "environment":
        return f"background {background}."
    if kind == "holistic":
        return sentence(tuple(things))
    if kind in ("comparison", "counting"):
        return _listed(kind, about, things)
    if kind in ("other", CHOICE):
        return _at_place(about, things)
    subject = about[0]
    found = next((t for t in things if subject in (t.shape, f"{t.color} {t.shape}")), None)
    denial = f"there is no {subject}"
    if kind == YES_NO:
        return f"yes {found}." if found else f"no {denial}."
    return f"{found}." if found else f"{denial}."


def _listed(kind: str, about: tuple[str, ...], things: Sequence[Thing]) -> str:
    """The things that count, then what follows from them: "left red circle so one."."""
    named = [t for t in things if t.shape in about or about == ("object",)]
    said = sentence(tuple(named))[:-1] if named else " and ".join(f"there is no {a}" for a in about)
    if kind == "counting":
        return f"{said} so {NUMBERS[min(len(named), len(NUMBERS) - 1)]}."
    counts = [sum(t.shape == shape for t in named) for shape in about]
    if counts[0] == counts[1]:
        return f"{said} so the same."
    return f"{said} so more {about[counts.index(max(counts))]}s."


def _at_place(about: tuple[str, ...], things: Sequence[Thing]) -> str:
    """What is at a place; after it the letter of the option that says so, where there are any."""
    place, options = about[0], about[1:]
    thing = next((t for t in things if t.position == place), None)
    look = f"{thing.color} {thing.shape}" if thing else "nothing"
    if not options:
        return f"{place} {look}."
    return f"{place} {look} so correct option is {LETTERS[options.index(look)]}."


# --------------------------------------------------------------------------------------------
# What can be asked about a scene
# --------------------------------------------------------------------------------------------

_Asked = tuple[str, tuple[str, ...]]
"""The text of a question and what it is about."""


def _attribute(scene: Scene, rng: Random) -> _Asked | None:
    counts = Counter(thing.shape for thing in scene.things)
    unique = [thing.shape for thing in scene.things if counts[thing.shape] == 1]
    return _color_of(rng.choice(unique)) if unique else None


def _adversarial(scene: Scene, rng: Random) -> _Asked | None:
    absent = [s for s in SHAPES if all(thing.shape != s for thing in scene.things)]
    return _color_of(rng.choice(absent)) if absent else None


def _color_of(shape: str) -> _Asked:
    return f"What color is the {shape}?", (shape,)


def _comparison(scene: Scene, rng: Random) -> _Asked | None:
    first, second = rng.sample(SHAPES, 2)
    return f"Are there more {first}s or {second}s?", (first, second)


def _counting(scene: Scene, rng: Random) -> _Asked | None:
    there = sorted({thing.shape for thing in scene.things})
    kinds = SHAPES if rng.random() < ABSENT_COUNTED else (*there, "object")
    kind = rng.choice(kinds)
    return f"How many {kind}s are there?", (kind,)


def _relation(scene: Scene, rng: Random) -> _Asked | None:
    counts = Counter((thing.color, thing.shape) for thing in scene.things)
    unique = [look for look, count in counts.items() if count == 1]
    if not unique:
        return None
    look = " ".join(rng.choice(unique))
    return f"Where is the {look}?", (look,)


def _environment(scene: Scene, rng: Random) -> _Asked | None:
    return "What is behind the objects?", ()


def _holistic(scene: Scene, rng: Random) -> _Asked | None:
    return DESCRIBE, ()


def _other(scene: Scene, rng: Random) -> _Asked | None:
    place = _some_place(scene, rng)
    return f"What is at the {place}?", (place,)


def _yes_no(scene: Scene, rng: Random) -> _Asked | None:
    """As often about something that is there as not; what is not is often like what is."""
    there = [f"{thing.color} {thing.shape}" for thing in scene.things]
    if rng.random() < 0.5:
        once = [look for look in there if there.count(look) == 1]
        if not once:
            return None
        look = rng.choice(once)
    else:
        absent = [f"{c} {s}" for c in COLORS for s in SHAPES if f"{c} {s}" not in there]
        like = [look for look in absent if set(look.split()) & set(" ".join(there).split())]
        look = rng.choice(like if like and rng.random() < 0.5 else absent)
    return f"Is the {look} there?", (look,)


def _choice(scene: Scene, rng: Random) -> _Asked | None:
    place = _some_place(scene, rng)
    thing = scene.at(place)
    truth = f"{thing.color} {thing.shape}" if thing else "nothing"
    others = [*(f"{c} {s}" for c in COLORS for s in SHAPES), "nothing"]
    others.remove(truth)
    options = [truth, *rng.sample(others, len(LETTERS) - 1)]
    if truth != "nothing" and "nothing" not in options:
        options[-1] = "nothing"
    rng.shuffle(options)
    return choice_text(place, options), (place, *options)


def choice_text(place: str, options: Sequence[str]) -> str:
    """The wording of a multiple-choice question."""
    listed = " ".join(f"{letter} {look}" for letter, look in zip(LETTERS, options, strict=True))
    return f"What is at the {place}: {listed}?"


def _some_place(scene: Scene, rng: Random) -> str:
    taken = [thing.position for thing in scene.things]
    if rng.random() >= EMPTY_ASKED:
        return rng.choice(taken)
    return rng.choice([place for place in POSITIONS if place not in taken])


_ASK: dict[str, Callable[[Scene, Random], _Asked | None]] = {
    "attribute": _attribute,
    "adversarial": _adversarial,
    "comparison": _comparison,
    "counting": _counting,
    "relation": _relation,
    "environment": _environment,
    "holistic": _holistic,
    "other": _other,
    YES_NO: _yes_no,
    CHOICE: _choice,
}


def ask(scene: Scene, kind: str, rng: Random) -> Question | None:
    """A question of a kind about a scene; None where the scene has nothing to ask about."""
    asked = _ASK[kind](scene, rng)
    if asked is None:
        return None
    text, about = asked
    answer = (
        caption(scene)
        if kind == "holistic"
        else answer_of(kind, about, scene.things, scene.background)
    )
    return Question(kind, text, answer, about)
