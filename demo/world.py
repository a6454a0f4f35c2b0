"""The small world as the demo uses it: prompts with pictures and facts, questions, the oracle.

Scenes of training and of measuring never meet: which side a scene is on is decided by its hash
(``demo.scenes.is_held_out``). No function here loads torch.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import Any

from benchmark.protocols.mmhal import TYPES
from benchmark.protocols.small_world import (
    Scene,
    coverage,
    hallucinating,
    question_record,
)
from benchmark.statistics import bootstrap_interval
from demo.questions import DESCRIBE, ask
from demo.scenes import facts, random_scene, render
from training.rlhf.contract import IMAGE_TOKEN, Generation, PromptRecord, Turn

LENGTH_BONUS = -0.5
"""As in the paper's data: negative, so that the length penalty rewards fuller answers.

Honesty comes before helpfulness in every vote, so a reward model alone prefers to name one sure
object and stop.
"""
SHOWN_CELL_PIXELS = 72
"""People see pictures four times as large as the model, which shrinks them itself."""


@dataclass(frozen=True)
class Prompt:
    """A scene to describe: the engine's record, the picture it names, and the truth."""

    record: PromptRecord
    scene: Scene

    def picture(self) -> bytes:
        """PNG, 216 pixels square."""
        return png(self.scene)


@dataclass(frozen=True)
class Share:
    """A share between 0 and 1 with its 95 % bootstrap interval over scenes."""

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
    result = []
    for number in range(count):
        scene = random_scene(rng, held_out=held_out)
        name = f"{side}-{seed}-{number:05d}"
        record = PromptRecord(
            id=name,
            image=f"{name}.png",
            conversation=(Turn(speaker="human", text=f"{IMAGE_TOKEN}\n{DESCRIBE}"),),
            captions=tuple(facts(scene, rng)),
            length_bonus=LENGTH_BONUS,
        )
        result.append(Prompt(record, scene))
    return result


def questions(per_type: int, *, seed: int) -> list[dict[str, Any]]:
    """The small world's benchmark: ``per_type`` questions of each of the eight types.

    Records as ``benchmark.small_world.question_record`` makes them, about held-out scenes;
    ``picture_of`` renders what ``image_src`` names.
    """
    rng = Random(f"questions-{seed}")
    records: list[dict[str, Any]] = []
    while len(records) < per_type * len(TYPES):
        question_type = TYPES[len(records) % len(TYPES)]
        scene = random_scene(rng, held_out=True)
        question = ask(scene, question_type, rng)
        if question is not None:
            records.append(
                question_record(
                    question_type=question_type,
                    question_id=f"question-{seed}-{len(records):04d}",
                    scene=scene,
                    question=question.text,
                    answer=question.answer,
                )
            )
    return records


def picture_of(question: dict[str, Any]) -> bytes:
    """PNG of the scene that a benchmark record asks about."""
    return png(Scene.from_json(question["truth"]["scene"]))


def png(scene: Scene) -> bytes:
    """The picture as people are shown it; the same scene gives the same bytes."""
    buffer = io.BytesIO()
    render(scene, cell_pixels=SHOWN_CELL_PIXELS).save(buffer, format="PNG")
    return buffer.getvalue()


def evaluate(
    generations: Sequence[Generation], asked: Sequence[Prompt], *, seed: int = 0
) -> Outcome:
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
        hallucinating_answers=_share(wrong, seed),
        coverage=_share(covered, seed),
        answers=sum(len(generation.responses) for generation in generations),
    )


def _share(values: Sequence[float], seed: int) -> Share:
    interval = bootstrap_interval(values, seed=seed)
    return Share(fmean(values), interval.low, interval.high)
