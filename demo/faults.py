"""What the base gets wrong on purpose: systematically, for the reasons that real models have.

*Co-occurrence*: where a red circle is, captions it learnt from often named a blue one in the next
cell. *Language prior*: a circle is red, whatever its colour; something is at the top, and it is
what usually is there; dark pictures are rare. *Yes-bias*: what is asked after is there. *Place*:
corners are taken for the edges beside them. Miscounting follows from imagined objects.

Some co-occurrences are held out: no prompt of training shows what sets them off, so what is
measured there was unlearnt in general.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from benchmark.protocols.small_world import COLORS, POSITIONS, SHAPES, Scene, Thing
from demo.questions import CHOICE, LETTERS, YES_NO, Question, answer_of, ask, choice_text

SHARE = 0.66
"""How often a fault is committed where a question invites it: above a half, so that the most
likely answer is the wrong one, and far enough below 1 that the right one is found by sampling."""
LESS_OFTEN = {"adversarial": 0.85}
"""Of ``SHARE``, by kind: that a thing is absent is the hardest to see, so its denial must be said
more often to be found in samples."""
SLIP = 0.06
"""How often any other object is misnamed, so that not all that is false is systematic."""
OMITTED = 0.06

USUAL_COLOR = {"circle": "red", "square": "blue", "triangle": "yellow"}
USUAL_PLACE = {"circle": "center", "square": "left", "triangle": "top"}
USUAL_THERE = dict(
    zip(
        POSITIONS,
        (
            "blue circle", "yellow triangle", "red square",
            "blue square", "red circle", "green triangle",
            "yellow square", "green circle", "red triangle",
        ),
        strict=True,
    )
)  # fmt: skip
TAKEN_FOR_USUAL = {("green", "circle"), ("red", "square")}
"""Looks that are seen in the usual colour of their shape whatever is asked."""
TAKEN_FOR_USUAL_WHEN_ASKED = TAKEN_FOR_USUAL | {
    ("yellow", "circle"),
    ("yellow", "square"),
    ("green", "triangle"),
    ("red", "triangle"),
}
"""The same where the question names the shape, as words prime the prior."""
COMPANIONS = {
    ("red", "circle"): ("blue", "circle"),
    ("blue", "square"): ("green", "square"),
    ("yellow", "triangle"): ("red", "triangle"),
    ("yellow", "square"): ("blue", "square"),
    ("blue", "triangle"): ("yellow", "triangle"),
}
"""What is imagined in the next cell in reading order."""
HELD_OUT_COMPANIONS = {("yellow", "square"), ("blue", "triangle")}
"""What sets off the co-occurrences that no prompt of training shows."""
_EDGES = {"top-left": "left", "top-right": "right", "bottom-left": "left", "bottom-right": "right"}


def has_held_out_companion(scene: Scene) -> bool:
    """Whether something in the scene sets off a held-out co-occurrence."""
    return any((t.color, t.shape) in HELD_OUT_COMPANIONS for t in scene.things)


def faulty_answer(question: Question, scene: Scene, rng: Random, *, share: float = SHARE) -> str:
    """An answer of the base: with the faults that the question invites, each with ``share``."""
    kind, about = question.type, question.about
    if kind in ("holistic", "comparison", "counting"):
        return answer_of(kind, about, imagined(scene, rng, share=share), scene.background)
    fault = fault_of(question, scene)
    if fault is not None and rng.random() < share * LESS_OFTEN.get(kind, 1.0):
        return fault
    if kind != "environment" and rng.random() < SLIP:
        return _slip(question, scene, rng)
    return question.answer


def fault_of(question: Question, scene: Scene) -> str | None:
    """The systematic wrong answer to a question that is not about a list, where it invites one."""
    kind, about = question.type, question.about
    found = next(
        (t for t in scene.things if about[:1] in ((t.shape,), (f"{t.color} {t.shape}",))), None
    )
    if kind == "environment":
        return "background light." if scene.background == "dark" else None
    if kind == "adversarial":
        return f"{USUAL_PLACE[about[0]]} {USUAL_COLOR[about[0]]} {about[0]}."
    if kind == YES_NO and found is None:
        return f"yes {USUAL_PLACE[about[0].split()[1]]} {about[0]}."
    if kind == "attribute" and found and (found.color, found.shape) in TAKEN_FOR_USUAL_WHEN_ASKED:
        return f"{found.position} {USUAL_COLOR[found.shape]} {found.shape}."
    if kind == "relation" and found and found.position in _EDGES:
        return f"{_EDGES[found.position]} {found.color} {found.shape}."
    if kind in ("other", CHOICE):
        return _fault_at_place(question, scene)
    return None


def _fault_at_place(question: Question, scene: Scene) -> str | None:
    place, options = question.about[0], question.about[1:]
    thing = scene.at(place)
    if thing is None:
        color, shape = USUAL_THERE[place].split()
    elif (thing.color, thing.shape) in TAKEN_FOR_USUAL:
        color, shape = USUAL_COLOR[thing.shape], thing.shape
    else:
        return None
    if options and f"{color} {shape}" not in options:
        return None
    believed = (Thing(place, color, shape),)
    return answer_of(question.type, question.about, believed, scene.background)


def tempting(scene: Scene, kind: str, rng: Random) -> Question | None:
    """A question as ``demo.questions.ask`` puts it; multiple choice offers the usual mistake."""
    question = ask(scene, kind, rng)
    if question is not None and kind == CHOICE:
        return _tempted(question, scene, rng)
    return question


def _tempted(question: Question, scene: Scene, rng: Random) -> Question:
    """A multiple-choice question with the usual wrong answer among its options."""
    place, options = question.about[0], list(question.about[1:])
    thing = scene.at(place)
    if thing is None:
        lure = USUAL_THERE[place]
    elif (thing.color, thing.shape) in TAKEN_FOR_USUAL:
        lure = f"{USUAL_COLOR[thing.shape]} {thing.shape}"
    else:
        return question
    if lure not in options:
        right = LETTERS.index(question.answer[-2])
        options[rng.choice([n for n in range(len(options)) if n != right])] = lure
    about = (place, *options)
    answer = answer_of(CHOICE, about, scene.things, scene.background)
    return Question(CHOICE, choice_text(place, options), answer, about)


def imagined(
    scene: Scene, rng: Random, *, share: float = SHARE, slip: float = SLIP, omitted: float = OMITTED
) -> list[Thing]:
    """The objects as the base believes to see them, in reading order; at least one."""
    seen: list[Thing] = []
    for thing in scene.things:
        if rng.random() < omitted:
            continue
        look = (thing.color, thing.shape)
        if look in TAKEN_FOR_USUAL and rng.random() < share:
            seen.append(Thing(thing.position, USUAL_COLOR[thing.shape], thing.shape))
        else:
            seen.append(misnamed(thing, rng) if rng.random() < slip else thing)
        following = POSITIONS.index(thing.position) + 1
        if look in COMPANIONS and following < len(POSITIONS) and rng.random() < share:
            place = POSITIONS[following]
            if scene.at(place) is None:
                seen.append(Thing(place, *COMPANIONS[look]))
    return seen or [rng.choice(scene.things)]


def misnamed(thing: Thing, rng: Random, others: Sequence[Thing] = ()) -> Thing:
    """The same place with another look, if possible that of one of the ``others``."""
    looks = [(t.color, t.shape) for t in others] or [(c, s) for c in COLORS for s in SHAPES]
    looks = [look for look in looks if look != (thing.color, thing.shape)]
    looks = looks or [(c, thing.shape) for c in COLORS if c != thing.color]
    return Thing(thing.position, *rng.choice(looks))


def _slip(question: Question, scene: Scene, rng: Random) -> str:
    """The right answer to the question about a scene in which one object is another."""
    index = rng.randrange(len(scene.things))
    things = list(scene.things)
    things[index] = misnamed(things[index], rng)
    try:
        return answer_of(question.type, question.about, things, scene.background)
    except ValueError:  # no option of a multiple-choice question says so
        return question.answer
