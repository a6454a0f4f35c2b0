"""AMBER's figures in percent, counts pooled over answers as the published ones are.

CHAIR = hallucinated / kept nouns, Cover = truth objects named / truth objects, Hal = descriptions
with any hallucination, Cog = lures named / lures. By yes or no, "no" is the positive answer.
AMBER score = (100 - CHAIR + F1) / 2. Cover stands beside Hal: silence must not look like honesty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.protocols.amber.describing import DescriptionScore
from benchmark.statistics import Dice, Figure, MeanOf, Share, number

PARTS = ("kept", "hallucinated", "covered", "truths", "lures_named", "lures")
COLUMNS = (*PARTS, "hallucinating", "descriptions", "right", "said_no", "is_no", "both_no", "asked")
"""What one answer contributes, as a vector; the first eight of a description, the others of yes
or no."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Figures in percent; None where an answer is unclear, or there is nothing to divide by: the
    part was not asked, no noun was named, no answer was no."""

    chair: float | None
    cover: float | None
    hal: float | None
    cog: float | None
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    amber_score: float | None
    unparsed: int


def described(score: DescriptionScore | Mapping[str, int]) -> tuple[float, ...]:
    """What a description contributes."""
    counts = score if isinstance(score, Mapping) else vars(score)
    parts = [float(counts[name]) for name in PARTS]
    return (*parts, float(counts["hallucinated"] > 0), 1.0, *[0.0] * 5)


def answered(truth: str, answer: str) -> tuple[float, ...]:
    """What a yes or no contributes."""
    is_no, said_no = truth == "no", answer == "no"
    return (*[0.0] * 8, *map(float, (truth == answer, said_no, is_no, is_no and said_no, True)))


def _column(sums: NDArray[np.float64], name: str) -> Any:
    return sums[..., COLUMNS.index(name)]


def _percent(part: str, whole: str, *, rest: bool = False) -> Share:
    return Share((COLUMNS.index(part),), (COLUMNS.index(whole),), unit=100, rest=rest)


_F1 = Dice(
    both=(COLUMNS.index("both_no"),),
    said=(COLUMNS.index("said_no"),),
    true=(COLUMNS.index("is_no"),),
    unit=100,
)
FIGURES: dict[str, Figure] = {
    "amber_score": MeanOf((_percent("hallucinated", "kept", rest=True), _F1)),
    "chair": _percent("hallucinated", "kept"),
    "cover": _percent("covered", "truths"),
    "hal": _percent("hallucinating", "descriptions"),
    "cog": _percent("lures_named", "lures"),
    "f1": _F1,
    "accuracy": _percent("right", "asked"),
    "precision": _percent("both_no", "said_no"),
    "recall": _percent("both_no", "is_no"),
}
"""Nouns of one description, and questions about one picture, are not independent of each other."""
NEEDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("chair", "cover", "hal", "cog"), ("descriptions",)),
    **dict.fromkeys(("f1", "accuracy", "precision", "recall"), ("asked",)),
    "amber_score": ("descriptions", "asked"),
}
"""Which part each figure is of."""


def known(rows: Sequence[Sequence[float]]) -> list[str]:
    """The figures that these answers have."""
    sums = np.asarray(rows, dtype=np.float64).sum(axis=0) if rows else np.zeros(len(COLUMNS))
    return [name for name in FIGURES if all(_column(sums, part) > 0 for part in NEEDS[name])]


def summarise(
    descriptions: Sequence[DescriptionScore], yes_no: Sequence[tuple[str, str | None]]
) -> Summary:
    """Figures of scored descriptions and of (truth, answer) pairs of yes or no; an answer that is
    None is unclear, and the figures that need it are None. Raises ValueError for another word than
    yes and no."""
    for word in (one for pair in yes_no for one in pair if one is not None):
        if word not in ("yes", "no"):
            raise ValueError(f"{word!r} is neither 'yes' nor 'no'")
    unparsed = sum(answer is None for _, answer in yes_no)
    rows = [described(score) for score in descriptions]
    rows += [answered(truth, answer) for truth, answer in yes_no if answer is not None]
    have = set(known(rows))
    if unparsed:
        have -= {name for name in FIGURES if "asked" in NEEDS[name]}
    sums = np.asarray(rows, dtype=np.float64).sum(axis=0) if rows else np.zeros(len(COLUMNS))
    return Summary(
        unparsed=unparsed,
        **{name: number(FIGURES[name](sums)) if name in have else None for name in FIGURES},
    )
