"""Measures: how what single questions contribute becomes a figure, which interval that figure has,
and how two models are tested on it. A protocol names the measure; nothing else chooses a method.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.statistics import pairs
from benchmark.statistics.figures import Figure, Share, unseen
from benchmark.statistics.pairs import PairedTest, percent_of_reference, unseen_of_mean
from benchmark.statistics.resampling import (
    Interval,
    Pictures,
    Statistic,
    bootstrap_interval,
    by_picture,
    mean,
)


@dataclass(frozen=True)
class Measure:
    """How what single questions contribute becomes a figure, and how two models are tested."""

    statistic: Statistic
    interval: Callable[[ArrayLike, Pictures | None], Interval]
    """Of what all questions contribute, and which picture each is about (None: its own)."""
    paired: Callable[[Sequence[Any], Sequence[Any]], PairedTest]
    p_value: Callable[[Sequence[Any], Sequence[Any]], float]
    """``paired(...).p_value`` alone, without the cost of the interval."""
    detectable: Callable[[Sequence[Any], Sequence[Any]], float | None]
    scale: tuple[float, float] | None = None
    """From where to where a question's contribution goes, if that is one number."""


def _of_means(
    interval: Callable[[ArrayLike, Pictures | None], Interval], scale: tuple[float, float] | None
) -> Measure:
    return Measure(
        mean,
        interval,
        functools.partial(pairs.paired_test, span=scale and scale[1] - scale[0]),
        pairs.paired_p_value,
        lambda first, second: pairs.detectable_difference(np.subtract(second, first)),
        scale,
    )


def share_of(unit: float) -> Measure:
    """Each question contributes 0 or ``unit`` (or something between, where it is undecided)."""
    figure = Share((0,), (1,), unit=unit)

    def interval(values: ArrayLike, pictures: Pictures | None = None) -> Interval:
        array = np.asarray(values, dtype=np.float64) / unit
        return figure.interval(np.stack([array, np.ones_like(array)], axis=1), pictures)

    return _of_means(interval, (0, unit))


SHARE, PERCENT = share_of(1), share_of(100)


def mean_between(low: float, high: float) -> Measure:
    """The mean of values on a scale: resampled, with room for what was not seen."""

    def interval(values: ArrayLike, pictures: Pictures | None = None) -> Interval:
        found = _resampled_mean(values, pictures)
        return unseen_of_mean(found, values, (low, high), pictures)

    return _of_means(interval, (low, high))


def _resampled_mean(values: ArrayLike, pictures: Pictures | None) -> Interval:
    if pictures is None or len(set(pictures)) == len(pictures):
        return bootstrap_interval(values)
    array = np.asarray(values, dtype=np.float64)
    together = by_picture(np.stack([array, np.ones_like(array)], axis=1), pictures)
    return bootstrap_interval(together, lambda drawn: drawn[..., 0].sum(1) / drawn[..., 1].sum(1))


MEAN = _of_means(_resampled_mean, None)
"""The mean of values on no known scale: where all are equal, its interval is a point, which pages
call "no spread". ``mean_between`` says more."""


def percent_of_reference_between(low: float, high: float) -> Measure:
    """100 * sum(model) / sum(reference), of pairs (reference, model) of scores on a scale."""
    extremes = [np.array(one) for one in ((high, low), (low, high))]

    def ratio(sums: NDArray[np.float64]) -> Any:
        return 100 * sums[..., 1] / sums[..., 0]

    def interval(values: ArrayLike, pictures: Pictures | None = None) -> Interval:
        rows = np.asarray(values, dtype=np.float64)
        found = bootstrap_interval(by_picture(rows, pictures), percent_of_reference)
        return unseen(found, rows, ratio, extremes, pictures=pictures)

    return Measure(
        percent_of_reference,
        interval,
        functools.partial(pairs.paired_ratio_test, scale=(low, high)),
        pairs.paired_ratio_p_value,
        pairs.detectable_ratio_difference,
    )


def sums(figure: Figure) -> Measure:
    """A figure of sums: each question contributes a row."""

    def interval(rows: ArrayLike, pictures: Pictures | None = None) -> Interval:
        return figure.interval(np.asarray(rows, dtype=np.float64), pictures)

    return Measure(
        lambda samples: figure(samples.sum(axis=1)),
        interval,
        functools.partial(pairs.paired_sums_test, figure),
        functools.partial(pairs.paired_sums_p_value, figure),
        functools.partial(pairs.detectable_sums_difference, figure),
    )


def estimate(
    value: float,
    values: ArrayLike,
    measure: Measure = MEAN,
    pictures: Pictures | None = None,
) -> dict[str, float]:
    """A figure with the interval of its measure, as summaries and pages hold it."""
    found = measure.interval(values, pictures)
    return {"value": value, "low": found.low, "high": found.high}
