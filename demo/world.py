"""The small world as the demo uses it: prompts with pictures and facts, questions, the oracle.

Scenes of training and of measuring never meet: which side a scene is on is decided by its hash
(``demo.scenes.is_held_out``). Nor does any prompt of training show what sets off a held-out
co-occurrence (``demo.faults``). No function here loads torch.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import Any

from benchmark.protocols.mmhal import TYPES
from benchmark.protocols.small_world import Scene, coverage, hallucinating, question_record
from benchmark.statistics import SHARE, Measure, mean_between
from demo.faults import has_held_out_companion, tempting
from demo.questions import CHOICE, DESCRIBE, YES_NO, Question
from demo.scenes import caption, facts, random_scene, render, told
from training.rlhf.contract import IMAGE_TOKEN, Generation, PromptRecord, Turn

CHECKED_BY_FACTS = {
    "holistic": 5,
    "attribute": 3,
    "adversarial": 4,
    "comparison": 3,
    "counting": 3,
    "relation": 3,
    "environment": 2,
    "other": 3,
}
"""What is trained on, and how much of each kind: only kinds whose answers the base can check
against facts (``python -m demo.measuring``), for no reward model is better at it than its base."""
CHECKED_BY_RULE = {YES_NO: 2, CHOICE: 1}
"""The same of kinds that the symbolic rewards know the truth of."""
MIXTURE = CHECKED_BY_FACTS | CHECKED_BY_RULE
LENGTH_BONUS = -0.6
"""As in the paper's data: negative, so that the length penalty rewards fuller answers.

Honesty comes before helpfulness in every vote, so a reward model alone prefers to name one sure
object and stop. With this, naming an object (three tokens) is worth 0.36.
"""
SHOWN_CELL_PIXELS = 72
"""People see pictures four times as large as the model, which shrinks them itself."""


@dataclass(frozen=True)
class Prompt:
    """A question about a scene: the engine's record, the picture it names, and the truth."""

    record: PromptRecord
    scene: Scene
    question: Question

    def picture(self) -> bytes:
        """PNG, 216 pixels square."""
        return png(self.scene)


@dataclass(frozen=True)
class Share:
    """A share between 0 and 1 with its 95 % interval over scenes."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Outcome:
    """What the oracle measured on the answers of one model."""

    hallucinating_answers: Share
    coverage: Share
    answers: int

    def to_json(self) -> dict[str, Any]:
        """The two shares by name, their intervals, and how many answers were measured."""
        shares = {
            "hallucinating_answers": self.hallucinating_answers,
            "coverage": self.coverage,
        }
        return {
            **{name: share.value for name, share in shares.items()},
            "intervals": {name: [share.low, share.high] for name, share in shares.items()},
            "answers": self.answers,
        }


def prompts(count: int, *, seed: int, held_out: bool = False) -> list[Prompt]:
    """``count`` scenes to describe, with five captions each as facts; the seed fixes them."""
    side = "held-out" if held_out else "train"
    rng = Random(f"{side}-{seed}")
    result: list[Prompt] = []
    for number in range(count):
        scene = random_scene(rng, held_out=held_out)
        question = Question("holistic", DESCRIBE, caption(scene))
        record = _record(f"{side}-{seed}-{number:05d}", question, facts(scene, rng))
        result.append(Prompt(record, scene, question))
    return result


def mixture(count: int, *, seed: int) -> list[Prompt]:
    """What RLHF trains on: ``count`` questions of the kinds of ``MIXTURE``, shuffled.

    Checkable answers carry their truth as the paper's records do, in ``caption_type``.
    """
    rng = Random(f"mixture-{seed}")
    kinds = rng.choices(list(MIXTURE), weights=list(MIXTURE.values()), k=count)
    result: list[Prompt] = []
    while len(result) < count:
        scene = random_scene(rng)
        question = tempting(scene, kinds[len(result)], rng)
        if question is None or has_held_out_companion(scene):
            continue
        record = _record(f"mixture-{seed}-{len(result):05d}", question, told(scene, rng))
        result.append(Prompt(record, scene, question))
    return result


def _record(name: str, question: Question, captions: Sequence[str]) -> PromptRecord:
    return PromptRecord(
        id=name,
        image=f"{name}.png",
        conversation=(Turn(speaker="human", text=f"{IMAGE_TOKEN}\n{question.text}"),),
        captions=tuple(captions),
        caption_type=question.caption_type,
        length_bonus=LENGTH_BONUS if question.type == "holistic" else 0.0,
    )


def asked(per_type: int, *, seed: int) -> list[Prompt]:
    """The small world's benchmark: ``per_type`` questions of each of the eight types in turn.

    They are about held-out scenes, those with held-out co-occurrences among them.
    """
    rng, facts_rng = Random(f"questions-{seed}"), Random(f"facts of questions-{seed}")
    result: list[Prompt] = []
    while len(result) < per_type * len(TYPES):
        scene = random_scene(rng, held_out=True)
        question = tempting(scene, TYPES[len(result) % len(TYPES)], rng)
        if question is not None:
            name = f"question-{seed}-{len(result):04d}"
            record = _record(name, question, told(scene, facts_rng))
            result.append(Prompt(record, scene, question))
    return result


def questions(per_type: int, *, seed: int) -> list[dict[str, Any]]:
    """``asked`` as records of ``question_record``; ``picture_of`` renders their ``image_src``."""
    return [benchmark_record(prompt) for prompt in asked(per_type, seed=seed)]


def benchmark_record(prompt: Prompt) -> dict[str, Any]:
    """The prompt in MMHal-Bench's published fields, with the truth for the exact judge."""
    return question_record(
        question_type=prompt.question.type,
        question_id=prompt.record.id,
        scene=prompt.scene,
        question=prompt.question.text,
        answer=prompt.question.answer,
    )


def picture_of(question: dict[str, Any]) -> bytes:
    """PNG of the scene that a benchmark record asks about."""
    return png(Scene.from_json(question["truth"]["scene"]))


def png(scene: Scene) -> bytes:
    """The picture as people are shown it; the same scene gives the same bytes."""
    buffer = io.BytesIO()
    render(scene, cell_pixels=SHOWN_CELL_PIXELS).save(buffer, format="PNG")
    return buffer.getvalue()


def evaluate(generations: Sequence[Generation], asked: Sequence[Prompt]) -> Outcome:
    """The oracle's measure of one model's answers to ``asked``; every response counts.

    Raises ValueError when an answer is to a prompt that was not asked, or one is missing.
    """
    scenes = {prompt.record.id: prompt.scene for prompt in asked}
    answered = {generation.id for generation in generations}
    if answered != scenes.keys() or len(generations) != len(scenes):
        raise ValueError("the answers do not match the prompts one to one")
    wrong: list[float] = []
    covered: list[float] = []
    for generation in generations:
        scene = scenes[generation.id]
        wrong.append(fmean(hallucinating(text, scene) for text in generation.responses))
        covered.append(fmean(coverage(text, scene) for text in generation.responses))
    return Outcome(
        hallucinating_answers=_share(wrong, SHARE),
        coverage=_share(covered, mean_between(0, 1)),
        answers=sum(len(generation.responses) for generation in generations),
    )


def _share(values: Sequence[float], measure: Measure) -> Share:
    interval = measure.interval(values, None)
    return Share(fmean(values), interval.low, interval.high)
