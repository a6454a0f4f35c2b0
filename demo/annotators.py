"""What a simulated annotator answers about two captions, from the truth and with mistakes.

The two-step rule of the labelling page: which response hallucinates more, and only between equals
which one is more helpful. A mistaken annotator mixes the two responses up, so a mistake is never
an answer that a person could not have given.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

from benchmark.protocols.small_world import Scene, coverage, false_claims

Choice = Literal["a", "b", "tie"]
_OTHER: dict[Choice, Choice] = {"a": "b", "b": "a", "tie": "tie"}


@dataclass(frozen=True)
class Answer:
    """Answers to the page's questions; ``more_helpful`` is asked only after a tie."""

    more_hallucinated: Choice
    more_helpful: Choice | None = None


def judge(response_a: str, response_b: str, scene: Scene, rng: Random, *, noise: float) -> Answer:
    """One annotator's answers; with probability ``noise`` the responses were mixed up."""
    truth = honest_answer(response_a, response_b, scene)
    if rng.random() >= noise:
        return truth
    helpful = truth.more_helpful
    return Answer(_OTHER[truth.more_hallucinated], None if helpful is None else _OTHER[helpful])


def honest_answer(response_a: str, response_b: str, scene: Scene) -> Answer:
    """More false claims is more hallucinated; between equals more coverage is more helpful."""
    hallucinated = _greater(false_claims(response_a, scene), false_claims(response_b, scene))
    if hallucinated != "tie":
        return Answer(hallucinated)
    return Answer("tie", _greater(coverage(response_a, scene), coverage(response_b, scene)))


def _greater(a: float, b: float) -> Choice:
    if a == b:
        return "tie"
    return "a" if a > b else "b"
