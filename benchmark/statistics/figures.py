"""Figures of sums over questions, each with the interval that belongs to what it is made of.

Resampling says nothing of what it has not seen: six right answers of six give "100 to 100 %". So
nothing that is a share of yes and no is resampled: a share has Wilson's interval, and what is made
of shares has one that is made of theirs. What is left is resampled, with room for what was not seen
where hardly any question differs from the others (``unseen``).

Sources: Wilson (1927). Questions about one picture: his interval with an effective number of
answers, from the design effect (Kish 1965) with the correction for few clusters of Korn and
Graubard (1998), as Franco et al. (2019, J. Surv. Stat. Methodol. 7) recommend. Means of shares:
Newcombe (1998) and Zou and Donner (2008), "square-and-add". Other functions of two shares: Newcombe
(2011, Comm. Stat. Theory Methods 40), "PropImp".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annotation.quality.shares import wilson
from annotation.quality.student import t_quantile
from benchmark.statistics.resampling import (
    CONFIDENCE,
    NOT_DEFINED,
    Interval,
    Pictures,
    SumFigure,
    by_picture,
    ends,
    number,
    ratio,
    resampled_sums,
)

Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
FEWEST_DIFFERING = 5
"""The old rule of thumb for what is nearly normal: five of either kind."""
_ANGLES = 91
Columns = tuple[int, ...]
Rows = NDArray[np.float64]
"""What each question contributes: ``[questions, k]``."""


@runtime_checkable
class Figure(Protocol):
    """A figure of sums that knows its interval."""

    def __call__(self, sums: Rows) -> Any:
        """``[..., k] -> [...]``; NaN where there is nothing to divide by."""

    def interval(self, rows: Rows, pictures: Pictures | None = None, z: float = Z) -> Interval:
        """Of a figure that is defined, ``z`` standard errors to each side."""

    def extremes(self, rows: Rows) -> tuple[Rows, ...]:
        """What a question of the usual size contributes at the least and at the most: ``[k]``."""


@dataclass(frozen=True)
class Share:
    """``part`` of ``whole``, each a sum of columns: right answers of all, right ones of the yes
    answers, hallucinated nouns of the nouns. Each of the whole is yes or no; where it is half (a
    tie), the interval is wider than it needed to be, for nothing varies more than yes and no."""

    part: Columns
    whole: Columns
    unit: float = 1.0
    """1, or 100 for percent."""
    rest: bool = False
    """Whether the figure is what is not in the part."""

    def __call__(self, sums: Rows) -> Any:
        share = self.unit * ratio(_total(sums, self.part), _total(sums, self.whole))
        return self.unit - share if self.rest else share

    def interval(self, rows: Rows, pictures: Pictures | None = None, z: float = Z) -> Interval:
        low, high = wilson(*self.worth(rows, pictures), z)
        if self.rest:
            low, high = 1 - high, 1 - low
        return Interval(self.unit * low, self.unit * high)

    def worth(self, rows: Rows, pictures: Pictures | None) -> tuple[float, float]:
        """The part of the whole, and how many independent answers it is of."""
        return _worth(_total(rows, self.part), _total(rows, self.whole), pictures)

    def extremes(self, rows: Rows) -> tuple[Rows, ...]:
        size = _total(rows, self.whole).mean()
        inside = set(self.part) <= set(self.whole)
        apart = tuple(column for column in self.whole if column not in self.part)
        none, full = _row(rows, {apart: size}), _row(rows, {self.part: size})
        ends = (none, full if inside else none + full)
        return ends[::-1] if self.rest else ends

    def of(self, rows: Rows) -> int:
        """What it divides by."""
        return round(float(_total(rows, self.whole).sum()))


@dataclass(frozen=True)
class Dice:
    """F1, 2 * both / (said + true). Among the questions where the answer or the truth is positive
    the share J in which both are is a share of yes and no, and F1 = 2 J / (1 + J) rises with it: so
    the ends of J's interval give those of F1's."""

    both: Columns
    said: Columns
    true: Columns
    unit: float = 1.0

    def __call__(self, sums: Rows) -> Any:
        whole = _total(sums, self.said) + _total(sums, self.true)
        return self.unit * ratio(2 * _total(sums, self.both), whole)

    def interval(self, rows: Rows, pictures: Pictures | None = None, z: float = Z) -> Interval:
        parts = _total(rows, self.both)
        wholes = _total(rows, self.said) + _total(rows, self.true) - parts
        low, high = (2 * end / (1 + end) for end in wilson(*_worth(parts, wholes, pictures), z))
        return Interval(self.unit * low, self.unit * high)

    def extremes(self, rows: Rows) -> tuple[Rows, ...]:
        size = (_total(rows, self.said) + _total(rows, self.true)).mean() / 2
        if set(self.both) <= set(self.said):  # Columns that exclude each other.
            apart = tuple(column for column in self.said if column not in self.both)
            return _row(rows, {apart: size}), _row(rows, {self.both: size})
        none = _row(rows, {self.said: size, self.true: size})
        return none, none + _row(rows, {self.both: size})


@dataclass(frozen=True)
class MeanOf:
    """The mean of figures of different questions: as far as its ends lie from it as the squares of
    theirs, added, allow."""

    parts: tuple[Share | Dice, ...]

    def __call__(self, sums: Rows) -> Any:
        return sum(part(sums) for part in self.parts) / len(self.parts)

    def interval(self, rows: Rows, pictures: Pictures | None = None, z: float = Z) -> Interval:
        values = np.array([part(rows.sum(axis=0)) for part in self.parts])
        found = [part.interval(rows, pictures, z) for part in self.parts]
        below = np.linalg.norm(values - [one.low for one in found]) / len(found)
        above = np.linalg.norm(values - [one.high for one in found]) / len(found)
        return Interval(float(values.mean() - below), float(values.mean() + above))

    def extremes(self, rows: Rows) -> tuple[Rows, ...]:
        return _together(self.parts, rows)


@dataclass(frozen=True)
class HarmonicMeanOf:
    """The harmonic mean of two shares of different questions; 0 where both are, which is what it
    comes near to. Its ends are the lowest and the highest that it gets while the error is divided
    between the two, each inside its interval at its part of ``z``."""

    first: Share
    second: Share

    def __call__(self, sums: Rows) -> Any:
        return self.of(self.first(sums), self.second(sums))

    @staticmethod
    def of(first: Any, second: Any) -> Any:
        both = np.asarray(first + second)
        return np.where(both == 0, 0.0, ratio(2 * np.multiply(first, second), both))

    def interval(self, rows: Rows, pictures: Pictures | None = None, z: float = Z) -> Interval:
        angles = np.linspace(0, np.pi / 2, _ANGLES)
        worth = [share.worth(rows, pictures) for share in (self.first, self.second)]
        parts = (z * np.cos(angles), z * np.sin(angles))
        found = np.array(
            [[wilson(*one, part) for part in own] for one, own in zip(worth, parts, strict=True)]
        )  # [2 shares, angles, (low, high)]
        means = self.of(found[0], found[1])
        return Interval(float(means[:, 0].min()), float(means[:, 1].max()))

    def extremes(self, rows: Rows) -> tuple[Rows, ...]:
        return _together((self.first, self.second), rows)


@dataclass(frozen=True)
class Resampled:
    """Any other figure of sums: whole pictures are drawn anew, and what no question has shown yet
    is left room for (``unseen``). ``ends`` are what a question can contribute at the extremes."""

    figure: SumFigure
    ends: tuple[tuple[float, ...], ...]

    def __call__(self, sums: Rows) -> Any:
        return self.figure(sums)

    def interval(self, rows: Rows, pictures: Pictures | None = None, z: float = Z) -> Interval:
        drawn = self.figure(resampled_sums(by_picture(rows, pictures)))
        found = Interval(*ends(drawn))
        return unseen(found, rows, self.figure, self.extremes(rows), pictures=pictures)

    def extremes(self, rows: Rows) -> tuple[Rows, ...]:
        return tuple(np.asarray(end, dtype=np.float64) for end in self.ends)


def estimate_of_sums(
    rows: ArrayLike, figure: Figure, pictures: Pictures | None = None
) -> dict[str, float | None]:
    """A figure with its interval, as summaries and pages hold it: {"value", "low", "high"}, with
    what a share divides by in "whole"; ``NOT_DEFINED`` where it has nothing to divide by.

    ``rows``: ``[questions, k]``. Raises ValueError where there is no question.
    """
    array = np.asarray(rows, dtype=np.float64)
    if not len(array):
        raise ValueError("an interval needs at least one question")
    value = number(figure(array.sum(axis=0)))
    if value is None:
        return dict(NOT_DEFINED)
    found = figure.interval(array, pictures)
    whole = {"whole": figure.of(array)} if isinstance(figure, Share) else {}
    return {"value": value, "low": found.low, "high": found.high, **whole}


def unseen(
    found: Interval,
    rows: Rows,
    figure: SumFigure,
    extremes: Sequence[Rows],
    *,
    pictures: Pictures | None = None,
    varying: Rows | None = None,
) -> Interval:
    """The interval; where it has no width, or fewer than ``FEWEST_DIFFERING`` questions contribute
    anything but the commonest, no narrower than what is open after so many: resampling has then
    next to nothing to draw from, and of equal values nothing at all. What none of n questions has
    shown may be true of a share of all questions, up to where Wilson's interval of 0 of n ends, and
    each of those may contribute what is extreme. For yes and no that is Wilson's interval."""
    told = rows if varying is None else varying  # Of pairs, what differs between the two models.
    counts = np.unique(by_picture(told, pictures), axis=0, return_counts=True)[1]
    if found.low < found.high and counts.sum() - counts.max() >= FEWEST_DIFFERING:
        return found
    share = wilson(*_worth(np.zeros(len(rows)), np.ones(len(rows)), pictures), Z)[1]
    usual = (1 - share) * rows.sum(axis=0)
    reached = [float(figure(usual + share * len(rows) * one)) for one in extremes]
    return Interval(min(found.low, *reached), max(found.high, *reached), found.confidence)


def _worth(parts: Rows, wholes: Rows, pictures: Pictures | None) -> tuple[float, float]:
    """The share, and the effective number of its whole, out of parts of wholes by question."""
    asked = wholes > 0
    if pictures is not None:
        pictures = [one for one, has in zip(pictures, asked, strict=True) if has]
    groups = by_picture(np.stack([parts[asked], wholes[asked]], axis=1), pictures)
    share = float(groups[:, 0].sum() / groups[:, 1].sum())
    return share, effective(groups[:, 0], groups[:, 1])


def effective(parts: Rows, wholes: Rows) -> float:
    """How many independent answers those of some clusters are worth, by cluster: the whole over the
    design effect. No more than the whole, and no fewer than where all of a cluster goes one way.

    Where everything is part, or nothing, the design effect cannot be estimated, and the answers are
    worth no more than one of each cluster: that they are alike may be because they go together.
    """
    whole, clusters = float(wholes.sum()), len(wholes)
    if clusters == whole:
        return whole
    least = float(whole**2 / (wholes**2).sum())
    share = float(parts.sum()) / whole
    spread = float(((parts - share * wholes) ** 2).sum()) / whole**2
    if clusters == 1 or not 0 < share < 1:
        return least
    effect = clusters / (clusters - 1) * spread * (whole - 1) / (share * (1 - share))
    few = (t_quantile(round(whole) - 1) / t_quantile(clusters - 1)) ** 2
    return float(np.clip(whole * few / max(effect, 1e-9), least, whole))


def _total(sums: Rows, columns: Columns) -> Any:
    return sum(sums[..., column] for column in columns)


def _row(rows: Rows, values: dict[Columns, float]) -> Rows:
    """A question that contributes so much to the first of some columns."""
    row = np.zeros(rows.shape[1])
    for columns, value in values.items():
        row[columns[0]] += value
    return row


def _together(parts: Sequence[Share | Dice], rows: Rows) -> tuple[Rows, ...]:
    """Every part at its least, and every one at its most."""
    ends = [part.extremes(rows) for part in parts]
    return tuple(np.sum([one[side] for one in ends], axis=0) for side in (0, 1))
