"""What a simulated annotator answers about two answers, from the truth and with mistakes.

The two-step rule of the labelling page: which response hallucinates more, and only between equals
which one is more helpful. A mistaken annotator mixes the two responses up, so a mistake is never
an answer that a person could not have given.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

from benchmark.protocols.small_world import Scene
from demo.claims import helpful, mistakes
from demo.questions import DESCRIBE, Question

DESCRIPTION = Question("holistic", DESCRIBE, "")
"""What both answer unless said otherwise; a description is judged by its scene alone."""
Choice = Literal["a", "b", "tie"]
_OTHER: dict[Choice, Choice] = {"a": "b", "b": "a", "tie": "tie"}


@dataclass(frozen=True)
class Answer:
    """Answers to the page's questions; ``more_helpful`` is asked only after a tie."""

    more_hallucinated: Choice
    more_helpful: Choice | None = None


def judge(
    response_a: str,
    response_b: str,
    scene: Scene,
    rng: Random,
    *,
    noise: float,
    question: Question = DESCRIPTION,
) -> Answer:
    """One annotator's answers; with probability ``noise`` the responses were mixed up."""
    truth = honest_answer(response_a, response_b, scene, question)
    if rng.random() >= noise:
        return truth
    more = truth.more_helpful
    return Answer(_OTHER[truth.more_hallucinated], None if more is None else _OTHER[more])


def honest_answer(
    response_a: str, response_b: str, scene: Scene, question: Question = DESCRIPTION
) -> Answer:
    """More false parts is more hallucinated; between equals, what tells more is more helpful."""
    wrong = [mistakes(response, question, scene) for response in (response_a, response_b)]
    hallucinated = _greater(*wrong)
    if hallucinated != "tie":
        return Answer(hallucinated)
    told = [helpful(response, question, scene) for response in (response_a, response_b)]
    return Answer("tie", _greater(*told))


def _greater(a: float, b: float) -> Choice:
    if a == b:
        return "tie"
    return "a" if a > b else "b"
