"""Questions drawn anew with replacement; seeded, so that equal ratings give equal intervals."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps resampled questions ``[resamples, questions, ...]`` to one figure each ``[resamples]``."""
SumFigure = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps what all questions contribute together ``[..., k]`` to the figure ``[...]``."""
Pictures = Sequence[Hashable]
"""Which picture each question is about: questions about one picture are no independent ones."""

RESAMPLES = 10_000
CONFIDENCE = 0.95
VALUES_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A figure between two bounds, all in the figure's own unit."""

    low: float
    high: float
    confidence: float = CONFIDENCE


def mean(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over questions: ``[resamples, questions] -> [resamples]``."""
    return np.asarray(samples.mean(axis=1))


def bootstrap_interval(
    values: ArrayLike,
    statistic: Statistic = mean,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """The percentile interval of ``statistic`` over questions drawn with replacement.

    ``values`` has one entry, or one row, per question: ``[questions]`` or ``[questions, k]``.
    Raises ValueError where there is no question.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or not len(array):
        raise ValueError("an interval needs at least one question")
    generator = np.random.default_rng(seed)
    at_once = max(1, VALUES_AT_ONCE // array.size)
    figures: list[NDArray[np.float64]] = []
    for start in range(0, resamples, at_once):
        shape = (min(at_once, resamples - start), len(array))
        figures.append(statistic(array[generator.integers(len(array), size=shape)]))
    tail = (1 - confidence) / 2 * 100
    low, high = np.nanpercentile(np.concatenate(figures), [tail, 100 - tail])
    return Interval(float(low), float(high), confidence)


NOT_DEFINED: dict[str, float | None] = {"value": None, "low": None, "high": None}
"""A figure that has nothing to divide by: no number stands for it, least of all 0."""


def ratio(part: Any, whole: Any) -> Any:
    """``part / whole``, and NaN where there is nothing to divide by."""
    undefined = np.full(np.shape(part), np.nan)
    return np.divide(part, whole, out=undefined, where=np.asarray(whole) > 0)


def number(value: Any) -> float | None:
    """A figure as plain JSON has it: None where it is not defined."""
    return None if np.isnan(value) else float(value)


def resampled_sums(rows: ArrayLike, *, seed: int = 0) -> NDArray[np.float64]:
    """Sums over questions drawn with replacement: ``[questions, k] -> [RESAMPLES, k]``.

    Equal rows are drawn together, from a multinomial distribution: thousands of questions have
    few different outcomes. Raises ValueError where there is no question.
    """
    array = np.asarray(rows, dtype=np.float64)
    if not len(array):
        raise ValueError("an interval needs at least one question")
    distinct, counts = np.unique(array, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(array), counts / len(array), size=RESAMPLES)
    return np.asarray(drawn @ distinct)


def ends(figures: NDArray[np.float64]) -> tuple[float, float]:
    """The percentile interval of resampled figures, without those that are not defined."""
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.nanpercentile(figures, [tail, 100 - tail])
    return float(low), float(high)


def by_picture(rows: ArrayLike, pictures: Pictures | None) -> NDArray[np.float64]:
    """What all questions about a picture contribute together: ``[questions, k] -> [pictures, k]``;
    the rows themselves where each question has a picture of its own.

    Raises ValueError where there are not as many pictures as rows.
    """
    array = np.asarray(rows, dtype=np.float64)
    if pictures is None:
        return array
    if len(pictures) != len(array):
        raise ValueError(f"{len(pictures)} pictures of {len(array)} questions")
    places = {one: place for place, one in enumerate(dict.fromkeys(pictures))}
    together = np.zeros((len(places), *array.shape[1:]))
    np.add.at(together, [places[one] for one in pictures], array)
    return together
