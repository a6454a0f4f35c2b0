"""Which figures each protocol has, how they are called, and which one ranks and is tested.

A protocol without question types of its own has no chart either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from benchmark.protocols import llava_bench, mmhal

Better = Literal["up", "down", ""]


@dataclass(frozen=True)
class Shown:
    """One figure of a summary: its key there, its title, what it is, and where better lies."""

    name: str
    title: str
    unit: str
    better: Better = "up"
    scale: str = ""
    """From where to where it goes, for a figure that is written without a unit of its own."""

    @property
    def heading(self) -> str:
        return f"{self.title}, {self.scale}" if self.scale else self.title


_RATED = (
    Shown("score", "Score", "mean rating", scale="0 to 6"),
    Shown("hallucination_rate", "Hallucination rate", "share of ratings below 3", "down"),
    Shown("informativeness", "Informativeness", "of what can be said"),
)
_YES_OR_NO = (
    Shown("f1", "F1", "yes is positive"),
    Shown("accuracy", "Accuracy", "share of right answers"),
    Shown("precision", "Precision", "of the yes answers"),
    Shown("recall", "Recall", "of the objects there"),
    Shown("yes_ratio", "Yes ratio", "of the answers", ""),
)
_COMPARED = (
    Shown("relative_score", "Relative score", "percent of the reference, mean of both orders"),
    Shown("reference_first", "Reference first", "one order alone, as published figures are"),
    Shown("model_first", "Model first", "the other order alone"),
)
_OF_PROTOCOL = {
    "mmhal": _RATED,
    "small_world": _RATED,
    "pope": _YES_OR_NO,
    "llava_bench": _COMPARED,
}
_TESTED = {
    "mmhal": "score",
    "small_world": "score",
    "pope": "accuracy",
    "llava_bench": "relative_score",
}
_TYPES: dict[str, tuple[str, ...]] = {
    "mmhal": mmhal.TYPES,
    "small_world": mmhal.TYPES,
    "pope": (),
    "llava_bench": llava_bench.CATEGORIES,
}
TYPE_TITLES = {
    "conv": "conversation",
    "detail": "detailed description",
    "complex": "complex reasoning",
}
"""Names of question types for people, where the published ones are short."""


def shown(protocol: str) -> tuple[Shown, ...]:
    """The figures of a protocol; the first one ranks."""
    return _OF_PROTOCOL[protocol]


def of_types(protocol: str) -> tuple[Shown, ...]:
    """The figures that are also there for each question type; the first one is drawn."""
    if protocol == "pope":
        return ()
    return _COMPARED if protocol == "llava_bench" else _RATED[:2]


def types(protocol: str) -> tuple[str, ...]:
    """The question types of a protocol, in the order in which they are shown."""
    return _TYPES[protocol]


def scale(protocol: str) -> dict[str, Any]:
    """The axis on which question types are drawn, as static/js/charts.js reads it."""
    if protocol == "llava_bench":
        return {"label": "score", "unit": "% of the reference", "min": 0}
    return {"label": "mean rating", "unit": "0 to 6", "min": 0, "max": 6}


def headline_scale(protocol: str) -> dict[str, Any]:
    """The axis of the figure that ranks, in the unit that it is stored in."""
    if protocol == "llava_bench":
        return {"label": "relative score", "unit": "% of the reference"}
    if protocol == "pope":
        return {"label": "F1", "unit": "0 to 1", "min": 0, "max": 1}
    return {"label": "score", "unit": "0 to 6", "min": 0, "max": 6}


def tested(protocol: str) -> Shown:
    """The figure that pairs of models are tested on."""
    return next(found for found in shown(protocol) if found.name == _TESTED[protocol])
