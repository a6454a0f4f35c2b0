"""What the base model is taught: sequences of tokens, and how much each token counts.

Three habits are taught on purpose. Captions are taught with mistakes in most of them, so the base
hallucinates when sampled although its most likely words are right. Questions are taught rightly.
And the base learns to count what is wrong in a caption when the facts are written in the prompt:
real models can check a text against a text, and a reward model can only use facts if its base can.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from transformers import PreTrainedTokenizerFast

from benchmark.mmhal import TYPES
from benchmark.small_world import (
    COLORS,
    NUMBERS,
    POSITIONS,
    SHAPES,
    Scene,
    Thing,
    false_claims,
)
from demo.questions import DESCRIBE, ask
from demo.scenes import facts, sentence
from demo.tiny_model import ASSISTANT, BOS, EOS, IMAGE, IMAGE_TOKENS, USER

FACTS_INTRODUCTION = "Facts:"
FACT_FORMAT = "- {caption}"
RATING_PROMPT = "How many are wrong?"
"""The wording the reward model must use too: the tiny vocabulary knows no other."""

WRONG_ATTRIBUTE = 0.3
INVENTED = 0.45
OMITTED = 0.1
MOST_CLAIMS = 5
CLAIMS_A_LESSON = 6
CLAIM_WEIGHT = 0.5
CAPTION_WEIGHT = 0.1


@dataclass(frozen=True)
class Lesson:
    """Token ids and, as long, the weight of each token in the loss (0 is context)."""

    ids: list[int]
    weights: list[float]
    scene: Scene
    with_image: bool


class Writer:
    """Appends text to a lesson; ``weight`` says how much its tokens count."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        self.ids: list[int] = []
        self.weights: list[float] = []

    def start(self) -> None:
        self.ids, self.weights = [], []

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

    def single_claims(self, scene: Scene, *, complete_fact: bool) -> Lesson:
        """Facts, then single claims, each followed by yes or no: many verdicts a sequence.

        Continuing a true claim counts too: copying from the facts is the skill that checking
        needs, and comes first. One complete fact instead of five partial ones is the easy start.
        """
        out = self._begin(scene, DESCRIBE, with_image=False, complete_fact=complete_fact)
        for _ in range(CLAIMS_A_LESSON):
            claim = self._claim(scene)
            true = claim in scene.things
            self._write_claim(claim, CLAIM_WEIGHT if true else 0.0)
            out.write("?")
            out.write("yes" if true else "no", 1.0)
        return self._finish(scene, with_image=False)

    def count_mistakes(
        self, scene: Scene, *, with_image: bool, complete_fact: bool = False
    ) -> Lesson:
        """Facts, a caption, the rating prompt, and the number of false claims."""
        out = self._begin(scene, DESCRIBE, with_image=with_image, complete_fact=complete_fact)
        rate = self._rng.random()
        claims = mistaken_claims(
            scene, self._rng, wrong_attribute=0.6 * rate, invented=0.6 * self._rng.random()
        )
        for index, claim in enumerate(claims):
            self._write_claim(claim, CAPTION_WEIGHT if claim in scene.things else 0.0)
            out.write("and" if index < len(claims) - 1 else ".")
        out.write(f"{EOS}{USER} {RATING_PROMPT} {ASSISTANT}")
        out.write(NUMBERS[false_claims(sentence(claims), scene)], 1.0)
        return self._finish(scene, with_image=with_image)

    def caption(self, scene: Scene) -> Lesson:
        """The picture and a caption, mistaken more often than not."""
        out = self._begin(scene, DESCRIBE, with_image=True)
        out.write(sentence(mistaken_claims(scene, self._rng)), 1.0)
        out.write(EOS, 1.0)
        return self._finish(scene, with_image=True)

    def question(self, scene: Scene) -> Lesson:
        """The picture and a question of any type but a caption, rightly answered."""
        kinds = [kind for kind in TYPES if kind != "holistic"]
        question = None
        while question is None:
            question = ask(scene, self._rng.choice(kinds), self._rng)
        out = self._begin(scene, question.text, with_image=True)
        out.write(question.answer, 1.0)
        out.write(EOS, 1.0)
        return self._finish(scene, with_image=True)

    def _begin(
        self,
        scene: Scene,
        prompt: str,
        *,
        with_image: bool,
        complete_fact: bool | None = None,
    ) -> Writer:
        out = self._writer
        out.start()
        out.write(f"{BOS}{USER}" + IMAGE * (IMAGE_TOKENS if with_image else 0))
        out.write(prompt)
        if complete_fact is not None:
            told = facts(scene, self._rng)
            if complete_fact:
                told = [sentence(self._rng.sample(scene.things, len(scene.things)))]
            out.write(FACTS_INTRODUCTION)
            for fact in told:
                out.write(FACT_FORMAT.format(caption=fact))
        out.write(ASSISTANT)
        return out

    def _write_claim(self, claim: Thing, weight: float) -> None:
        self._writer.write(claim.position)  # any place may come next: nothing to learn
        self._writer.write(claim.color, weight)
        self._writer.write(claim.shape, weight)

    def _claim(self, scene: Scene) -> Thing:
        kind = self._rng.random()
        if kind < 0.5:
            return self._rng.choice(scene.things)
        if kind < 0.8:
            return _with_wrong_attribute(self._rng.choice(scene.things), self._rng)
        return _invented(scene, self._rng)

    def _finish(self, scene: Scene, *, with_image: bool) -> Lesson:
        return Lesson(self._writer.ids, self._writer.weights, scene, with_image)


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
            claims.append(_with_wrong_attribute(thing, rng) if wrong else thing)
    while rng.random() < invented and len(claims) < MOST_CLAIMS:
        addition = _invented(scene, rng)
        if all(addition.position != claim.position for claim in claims):
            claims.append(addition)
    if not claims:
        claims = [rng.choice(scene.things)]
    return sorted(claims, key=lambda thing: POSITIONS.index(thing.position))


def _with_wrong_attribute(thing: Thing, rng: Random) -> Thing:
    if rng.random() < 0.5:
        color = rng.choice([c for c in COLORS if c != thing.color])
        return Thing(thing.position, color, thing.shape)
    return Thing(thing.position, thing.color, rng.choice([s for s in SHAPES if s != thing.shape]))


def _invented(scene: Scene, rng: Random) -> Thing:
    position = rng.choice([p for p in POSITIONS if scene.at(p) is None])
    return Thing(position, rng.choice(COLORS), rng.choice(SHAPES))
