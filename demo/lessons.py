"""What the base model is taught: sequences of tokens, and how much each token counts.

Three habits are taught on purpose. Captions are taught with mistakes in most of them, so the base
hallucinates when sampled although its most likely words are right. Questions are taught rightly.
And the base learns to count what is wrong in a caption when the facts are written in the prompt:
real models can check a text against a text, and a reward model can only use facts if its base can.
While it learns that, the picture is another scene's: it must read the facts, not look.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from transformers import PreTrainedTokenizerFast

from benchmark.protocols.mmhal import TYPES
from benchmark.protocols.small_world import (
    BACKGROUNDS,
    COLORS,
    NUMBERS,
    POSITIONS,
    SHAPES,
    Scene,
    Thing,
    claims,
    false_claims,
)
from demo.questions import DESCRIBE
from demo.scenes import facts, sentence
from demo.schooling import ask_shortly
from demo.tiny_model import ASSISTANT, BOS, EOS, IMAGE, IMAGE_TOKENS, USER

FACTS_INTRODUCTION = "Facts:"
FACT_FORMAT = "- {caption}"
RATING_PROMPT = "How many are wrong?"
"""The wording the reward model must use too: the tiny vocabulary knows no other."""

WRONG_ATTRIBUTE = 0.3
INVENTED = 0.45
OMITTED = 0.1
MOST_CLAIMS = 5
VERDICTS_A_LESSON = 6
COPIES_A_LESSON = 24
COPIED_THINGS = (3, 8)
LOOKED_AT_THINGS = (3, 7)
EMPTY_WEIGHT = 0.3
CLAIM_WEIGHT = 0.5
FACT_WEIGHT = 0.3
CAPTION_WEIGHT = 0.1
_BORROWED = 0.5


@dataclass(frozen=True)
class Lesson:
    """Token ids and, as long, the weight of each token in the loss (0 is context)."""

    ids: list[int]
    weights: list[float]
    picture: Scene | None = None
    """The scene that the image tokens show, where there are any."""


class Writer:
    """Appends text to a lesson; ``weight`` says how much its tokens count."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        self.ids: list[int] = []
        self.weights: list[float] = []

    def start(self, text: str) -> None:
        self.ids, self.weights = [], []
        self.write(text)

    def write(self, text: str, weight: float = 0.0) -> None:
        tokens = self._known.get(text)
        if tokens is None:
            tokens = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            self._known[text] = tokens
        self.ids += tokens
        self.weights += [weight] * len(tokens)


class Teacher:
    """Makes lessons about scenes; everything random comes from ``rng``."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, rng: Random) -> None:
        self._writer = Writer(tokenizer)
        self._rng = rng

    def copying(self) -> Lesson:
        """A few places named over and over in random order; what was said of one is said again.

        Finding the words that followed a place before is the skill that checking is made of. It
        comes suddenly, and soonest when every sequence asks for it many times.
        """
        out = self._writer
        out.start(BOS)
        places = self._rng.sample(POSITIONS, self._rng.randint(*COPIED_THINGS))
        things = [Thing(p, self._rng.choice(COLORS), self._rng.choice(SHAPES)) for p in places]
        named: set[Thing] = set()
        for _ in range(COPIES_A_LESSON):
            thing = self._rng.choice(things)
            self._write_claim(thing, 1.0 if thing in named else 0.0)
            out.write("and")
            named.add(thing)
        return Lesson(out.ids, out.weights)

    def looking(self) -> Lesson:
        """A crowded picture told cell by cell, in random order: where to look for which place."""
        places = set(self._rng.sample(POSITIONS, self._rng.randint(*LOOKED_AT_THINGS)))
        things = tuple(
            Thing(p, self._rng.choice(COLORS), self._rng.choice(SHAPES))
            for p in POSITIONS
            if p in places
        )
        scene = Scene(things=things, background=self._rng.choice(BACKGROUNDS))
        out = self._begin(DESCRIBE, picture=scene)
        for position in self._rng.sample(POSITIONS, len(POSITIONS)):
            thing = scene.at(position)
            if thing:
                self._write_claim(thing, 1.0)
            else:
                out.write(position)
                out.write("nothing", EMPTY_WEIGHT)
            out.write("and")
        return Lesson(out.ids, out.weights, scene)

    def single_claims(self, scene: Scene) -> Lesson:
        """Facts, then single claims, each followed by yes or no: many verdicts a sequence."""
        out = self._begin(DESCRIBE, facts_of=scene)
        for _ in range(VERDICTS_A_LESSON):
            claim = self._claim(scene)
            true = claim in scene.things
            self._write_claim(claim, CLAIM_WEIGHT if true else 0.0)
            out.write("?")
            out.write("yes" if true else "no", 1.0)
        return Lesson(out.ids, out.weights)

    def count_mistakes(self, scene: Scene, *, picture: Scene | None = None) -> Lesson:
        """Facts, a caption, the rating prompt, and the number of false claims.

        ``picture`` is what the image shows; another scene than the facts tell of, so that only
        the facts help.
        """
        out = self._begin(DESCRIBE, picture=picture, facts_of=scene)
        named = mistaken_claims(
            scene,
            self._rng,
            wrong_attribute=0.6 * self._rng.random(),
            invented=0.6 * self._rng.random(),
        )
        for index, claim in enumerate(named):
            self._write_claim(claim, CAPTION_WEIGHT if claim in scene.things else 0.0)
            out.write("and" if index < len(named) - 1 else ".")
        out.write(f"{EOS}{USER} {RATING_PROMPT} {ASSISTANT}")
        out.write(NUMBERS[false_claims(sentence(named), scene)], 1.0)
        return Lesson(out.ids, out.weights, picture)

    def caption(self, scene: Scene) -> Lesson:
        """The picture and a caption, mistaken more often than not."""
        out = self._begin(DESCRIBE, picture=scene)
        out.write(sentence(mistaken_claims(scene, self._rng)), 1.0)
        out.write(EOS, 1.0)
        return Lesson(out.ids, out.weights, scene)

    def question(self, scene: Scene) -> Lesson:
        """The picture and a question of any type but a caption, rightly answered."""
        kinds = [kind for kind in TYPES if kind != "holistic"]
        question = None
        while question is None:
            question = ask_shortly(scene, self._rng.choice(kinds), self._rng)
        out = self._begin(question.text, picture=scene)
        out.write(question.answer, 1.0)
        out.write(EOS, 1.0)
        return Lesson(out.ids, out.weights, scene)

    def _begin(
        self, prompt: str, *, picture: Scene | None = None, facts_of: Scene | None = None
    ) -> Writer:
        out = self._writer
        out.start(BOS + USER + IMAGE * (IMAGE_TOKENS if picture else 0))
        out.write(prompt)
        if facts_of is not None:
            self._write_facts(facts_of)
        out.write(ASSISTANT)
        return out

    def _write_facts(self, scene: Scene) -> None:
        out = self._writer
        out.write(FACTS_INTRODUCTION)
        named: set[Thing] = set()
        for fact in facts(scene, self._rng):
            before, after = FACT_FORMAT.split("{caption}")
            out.write(before)
            for index, thing in enumerate(claims(fact) or ()):
                out.write("and" if index else "")
                self._write_claim(thing, FACT_WEIGHT if thing in named else 0.0)
                named.add(thing)
            out.write("." + after)

    def _write_claim(self, claim: Thing, weight: float) -> None:
        self._writer.write(claim.position)  # any place may come next: nothing to learn
        self._writer.write(f"{claim.color} {claim.shape}", weight)

    def _claim(self, scene: Scene) -> Thing:
        kind = self._rng.random()
        if kind < 0.5:
            return self._rng.choice(scene.things)
        if kind < 0.8:
            return with_wrong_attribute(self._rng.choice(scene.things), scene, self._rng)
        return invented_thing(scene, self._rng)


def mistaken_claims(
    scene: Scene,
    rng: Random,
    *,
    wrong_attribute: float = WRONG_ATTRIBUTE,
    invented: float = INVENTED,
    omitted: float = OMITTED,
) -> list[Thing]:
    """The objects of a caption in reading order, each omitted or wrong with the given chance.

    ``invented`` is the chance of one object more on an empty cell, and of another after it.
    """
    claims = []
    for thing in scene.things:
        if rng.random() >= omitted:
            wrong = rng.random() < wrong_attribute
            claims.append(with_wrong_attribute(thing, scene, rng) if wrong else thing)
    while rng.random() < invented and len(claims) < MOST_CLAIMS:
        addition = invented_thing(scene, rng)
        if all(addition.position != claim.position for claim in claims):
            claims.append(addition)
    if not claims:
        claims = [rng.choice(scene.things)]
    return sorted(claims, key=lambda thing: POSITIONS.index(thing.position))


def with_wrong_attribute(thing: Thing, scene: Scene, rng: Random) -> Thing:
    """Another colour or shape, often one of another object there: words alone do not betray it."""
    others = [other for other in scene.things if other != thing and rng.random() < _BORROWED]
    if rng.random() < 0.5:
        colors = [o.color for o in others if o.color != thing.color]
        color = rng.choice(colors or [c for c in COLORS if c != thing.color])
        return Thing(thing.position, color, thing.shape)
    shapes = [o.shape for o in others if o.shape != thing.shape]
    shape = rng.choice(shapes or [s for s in SHAPES if s != thing.shape])
    return Thing(thing.position, thing.color, shape)


def invented_thing(scene: Scene, rng: Random) -> Thing:
    """An object on an empty cell, often one that looks like another object there."""
    position = rng.choice([p for p in POSITIONS if scene.at(p) is None])
    if rng.random() < _BORROWED:
        like = rng.choice(scene.things)
        return Thing(position, like.color, like.shape)
    return Thing(position, rng.choice(COLORS), rng.choice(SHAPES))
