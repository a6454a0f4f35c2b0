"""Which figures each protocol has, how they are called, and which one ranks and is tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["up", "down", ""]


@dataclass(frozen=True)
class Shown:
    """One figure of a summary: its key there, its title, its unit, and where better lies."""

    name: str
    title: str
    unit: str
    better: Better = "up"


_RATED = (
    Shown("score", "Score", "0 to 6"),
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
_OF_PROTOCOL = {"mmhal": _RATED, "small_world": _RATED, "pope": _YES_OR_NO}
_TESTED = {"mmhal": "score", "small_world": "score", "pope": "accuracy"}


def shown(protocol: str) -> tuple[Shown, ...]:
    """The figures of a protocol; the first one ranks."""
    return _OF_PROTOCOL[protocol]


def headline(protocol: str) -> str:
    """The key of the figure that ranks."""
    return _OF_PROTOCOL[protocol][0].name


def tested(protocol: str) -> Shown:
    """The figure that is a mean over questions, so that pairs of models can be tested on it."""
    return next(found for found in shown(protocol) if found.name == _TESTED[protocol])
