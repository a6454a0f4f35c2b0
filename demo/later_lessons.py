"""The last lessons of the base: answers in claims, right or faulty, and how to check them.

It is taught to answer rightly first, then with the faults of ``demo.faults``: it knows better, and
its most likely answer is wrong. All the while it counts what is wrong in answers of every kind when
the facts are written in the prompt, beside the picture of another scene, so that it must read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from transformers import PreTrainedTokenizerFast

from benchmark.protocols.small_world import BACKGROUNDS, NUMBERS, POSITIONS, Scene, Thing
from demo.claims import mistakes
from demo.faults import SHARE, faulty_answer, tempting
from demo.lessons import (
    FACTS_INTRODUCTION,
    RATING_PROMPT,
    Lesson,
    Writer,
    invented_thing,
    with_wrong_attribute,
)
from demo.questions import CHOICE, KINDS, LETTERS, YES_NO, Question, answer_of
from demo.scenes import told
from demo.tiny_model import ASSISTANT, BOS, EOS, IMAGE, IMAGE_TOKENS, USER

FIRST_WEIGHT = 3.0
"""Of an answer's first word, which decides between a denial and a claim; the same before a long
answer as before a short one, or the base would say it less often than it was taught."""
END_WEIGHT = 0.2
CHECKS_A_LESSON = 5
HARD_TO_SEE = {"attribute": 2, "adversarial": 2, "comparison": 2, YES_NO: 2, CHOICE: 2}
HARD_TO_CHECK = {"environment": 6, YES_NO: 3, "comparison": 5, CHOICE: 3}
COUNTED = 5
"""Numbers from zero on that a muddled count may end with."""
WRONG_WAYS = (
    "right",
    "own faults",
    "worst faults",
    "another scene",
    "another scene",
    "muddled",
    "denied",
    "beside the point",
)
"""How the answers come about that the base learns to check."""


class LaterTeacher:
    """Makes the last lessons; everything random comes from ``rng``."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, rng: Random, *, insisting: bool = False
    ) -> None:
        """``insisting``: what is hard to see or to check comes more often."""
        self._writer = Writer(tokenizer)
        self._rng = rng
        self._hard_to_see = HARD_TO_SEE if insisting else {}
        self._hard_to_check = HARD_TO_CHECK if insisting else {}

    def answer(self, scene: Scene, *, share: float) -> Lesson:
        """A picture, a question and its answer: the right one where ``share`` is 0."""
        question = self._question(scene, self._hard_to_see)
        out = self._begin(question.text)
        right = question.answer
        begins = len(out.ids)
        out.write(faulty_answer(question, scene, self._rng, share=share) if share else right, 1.0)
        out.weights[begins] = FIRST_WEIGHT
        out.weights[-1] = END_WEIGHT  # the full stop
        out.write(EOS, END_WEIGHT)
        return Lesson(out.ids, out.weights, scene)

    def check(self, scene: Scene, *, picture: Scene) -> Lesson:
        """Facts, then answers to several questions, each rated by how many parts of it are wrong.

        The first question stands before the facts, as a reward model is asked.
        """
        question = self._question(scene, self._hard_to_check)
        out = self._begin(question.text, facts=told(scene, self._rng))
        for number in range(CHECKS_A_LESSON):
            if number:
                question = self._question(scene, self._hard_to_check)
                out.write(f"{EOS}{USER} {question.text} {ASSISTANT}")
            answer = self._answer_to_check(question, scene)
            out.write(f"{answer}{EOS}{USER} {RATING_PROMPT} {ASSISTANT}")
            wrong = mistakes(answer, question, scene)
            out.write(NUMBERS[min(wrong, len(NUMBERS) - 1)], 1.0)
        return Lesson(out.ids, out.weights, picture)

    def _question(self, scene: Scene, hard: Mapping[str, int]) -> Question:
        """Of any kind, those of ``hard`` so many times as often."""
        kinds = [kind for kind in KINDS for _ in range(hard.get(kind, 1))]
        question = None
        while question is None:
            question = tempting(scene, self._rng.choice(kinds), self._rng)
        return question

    def _answer_to_check(self, question: Question, scene: Scene) -> str:
        way = self._rng.choice(WRONG_WAYS)
        if way == "right":
            return question.answer
        if way == "another scene":
            return self._of_another_scene(question, scene)
        if way == "muddled":
            return muddled(question, self._rng)
        if way == "denied":
            return denied(question, scene)
        if way == "beside the point":
            return beside_the_point(question, scene, self._rng)
        share = SHARE if way == "own faults" else 1.0
        return faulty_answer(question, scene, self._rng, share=share)

    def _of_another_scene(self, question: Question, scene: Scene) -> str:
        """The answer if one object were another or missing, or if there were one more."""
        things: list[Thing] = list(scene.things)
        index, change = self._rng.randrange(len(things)), self._rng.random()
        if change < 0.5:
            things[index] = with_wrong_attribute(things[index], scene, self._rng)
        elif change < 0.8:
            things.append(invented_thing(scene, self._rng))
            things.sort(key=lambda thing: POSITIONS.index(thing.position))
        elif len(things) > 1:
            del things[index]
        background = self._rng.choice(BACKGROUNDS)
        try:
            return answer_of(question.type, question.about, things, background)
        except ValueError:  # no option of a multiple-choice question says so
            return question.answer

    def _begin(self, prompt: str, *, facts: Sequence[str] = ()) -> Writer:
        out = self._writer
        out.start(BOS + USER + IMAGE * IMAGE_TOKENS)
        out.write(prompt)
        if facts:
            out.write(FACTS_INTRODUCTION)
            for fact in facts:
                out.write(f"- {fact}")
        out.write(ASSISTANT)
        return out


def denied(question: Question, scene: Scene) -> str:
    """The answer if nothing of what is asked after were there; no denial where no look is named.

    A base that seldom saw one wrong believes every denial, and a reward model on it pays for them.
    """
    if question.type not in ("attribute", "relation", YES_NO):
        return question.answer
    (look,) = question.about
    left = [t for t in scene.things if look not in (t.shape, f"{t.color} {t.shape}")]
    return answer_of(question.type, question.about, left, scene.background)


def beside_the_point(question: Question, scene: Scene, rng: Random) -> str:
    """What is so and was not asked: a dodge, which is no answer."""
    if question.type not in ("attribute", "adversarial", "relation", "other"):
        return question.answer
    return f"{rng.choice(scene.things)}."


def muddled(question: Question, rng: Random) -> str:
    """The right answer with a conclusion that does not follow: what a base that errs says, too.

    Without such answers it learns that whatever follows "so" is true, and cannot check its own.
    Kinds without a conclusion have nothing to muddle.
    """
    right = question.answer
    if question.type == YES_NO:
        opening, rest = right.split(maxsplit=1)
        return f"{'yes' if opening == 'no' else 'no'} {rest}"
    named, so, conclusion = right.partition(" so ")
    if not so:
        return right
    if question.type == CHOICE:
        others = [f"correct option is {letter}." for letter in LETTERS]
    elif question.type == "counting":
        others = [f"{number}." for number in NUMBERS[:COUNTED]]
    else:
        others = [f"more {shape}s." for shape in question.about] + ["the same."]
    return named + so + rng.choice([other for other in others if other != conclusion])
