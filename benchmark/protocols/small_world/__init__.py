"""The small world: MMHal-Bench's eight question types about scenes, with an exact judge."""

from benchmark.protocols.small_world.protocol import PROTOCOL
from benchmark.protocols.small_world.rules import (
    BACKGROUNDS,
    COLORS,
    NUMBERS,
    POSITIONS,
    RULE,
    SHAPES,
    Rating,
    Scene,
    SceneError,
    Thing,
    claims,
    coverage,
    false_claims,
    hallucinating,
    question_record,
    rate,
    words,
)

__all__ = [
    "BACKGROUNDS",
    "COLORS",
    "NUMBERS",
    "POSITIONS",
    "PROTOCOL",
    "RULE",
    "SHAPES",
    "Rating",
    "Scene",
    "SceneError",
    "Thing",
    "claims",
    "coverage",
    "false_claims",
    "hallucinating",
    "question_record",
    "rate",
    "words",
]
