"""How far to trust a score: bootstrap intervals over questions, paired tests, correction.

Everything is seeded: the same ratings give the same interval on every page and every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Pair = tuple[float, float]
"""(reference, model): two scores of one question."""

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps resampled questions ``[resamples, questions, ...]`` to one figure each ``[resamples]``."""

RESAMPLES = 10_000
CONFIDENCE = 0.95
EXACT_UP_TO = 16
POWER = 0.8
_VALUES_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A figure between two bounds, all in the figure's own unit."""

    low: float
    high: float
    confidence: float = CONFIDENCE


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Two models on the same questions; ``difference`` is second minus first."""

    count: int
    difference: float
    interval: Interval
    p_value: float
    detectable: float | None
    """See ``detectable_difference``."""

    @property
    def shown(self) -> bool:
        """Whether a difference is shown at the 5 % level. "Not shown" is not "equal"."""
        return self.p_value < 0.05


def mean(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over questions: ``[resamples, questions] -> [resamples]``."""
    return np.asarray(samples.mean(axis=1))


def percent_of_reference(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """100 * sum(model) / sum(reference): ``[resamples, questions, 2] -> [resamples]``, each pair
    being (reference, model)."""
    sums = samples.sum(axis=1)
    return np.asarray(100 * sums[:, 1] / sums[:, 0])


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
    at_once = max(1, _VALUES_AT_ONCE // array.size)
    figures: list[NDArray[np.float64]] = []
    for start in range(0, resamples, at_once):
        shape = (min(at_once, resamples - start), len(array))
        figures.append(statistic(array[generator.integers(len(array), size=shape)]))
    tail = (1 - confidence) / 2 * 100
    low, high = np.nanpercentile(np.concatenate(figures), [tail, 100 - tail])
    return Interval(float(low), float(high), confidence)


def estimate(value: float, values: ArrayLike, statistic: Statistic = mean) -> dict[str, float]:
    """A figure with the interval of ``bootstrap_interval``, as summaries and pages hold it."""
    found = bootstrap_interval(values, statistic)
    return {"value": value, "low": found.low, "high": found.high}


def paired_test(
    first: Sequence[float], second: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0
) -> PairedTest:
    """Whether two models differ in the mean, each question being its own control.

    Under the hypothesis of no difference each question's difference may have had either sign. Up
    to 16 differing questions all sign patterns are counted; above, ``resamples`` random ones,
    with the observed pattern counted in, so that p is never 0. Two-sided.
    Raises ValueError for no questions or for unequal numbers of them.
    """
    if not len(first) or len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values are not paired")
    differences = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    changed = differences[differences != 0]
    return PairedTest(
        count=len(differences),
        difference=float(differences.mean()),
        interval=bootstrap_interval(differences, resamples=resamples, seed=seed),
        p_value=_sign_flip_p_value(changed, resamples, seed),
        detectable=detectable_difference(differences),
    )


def paired_ratio_test(
    first: Sequence[Pair], second: Sequence[Pair], *, resamples: int = RESAMPLES, seed: int = 0
) -> PairedTest:
    """The same for ``percent_of_reference``, which is no mean over questions.

    Under the hypothesis of no difference each question's two pairs (reference, model) may have
    been exchanged between the models. Counted and drawn as in ``paired_test``. The detectable
    difference is that of each question's linear share in the difference (delta method).
    """
    pairs = _by_question(first, second)
    difference = _ratio_difference(pairs[None])[0]
    interval = bootstrap_interval(
        pairs.reshape(len(pairs), 4),
        lambda drawn: _ratio_difference(drawn.reshape(*drawn.shape[:2], 2, 2)),
        resamples=resamples,
        seed=seed,
    )
    return PairedTest(
        count=len(pairs),
        difference=float(difference),
        interval=interval,
        p_value=_exchange_p_value(pairs, resamples, seed),
        detectable=detectable_difference(_linear_shares(pairs)),
    )


def paired_ratio_p_value(first: Sequence[Pair], second: Sequence[Pair]) -> float:
    """``paired_ratio_test(...).p_value`` alone, without the cost of the interval."""
    return _exchange_p_value(_by_question(first, second), RESAMPLES, 0)


def detectable_ratio_difference(first: Sequence[Pair], second: Sequence[Pair]) -> float | None:
    """``paired_ratio_test(...).detectable`` alone, in percent of the reference."""
    return detectable_difference(_linear_shares(_by_question(first, second)))


def paired_p_value(
    first: Sequence[float], second: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0
) -> float:
    """``paired_test(...).p_value`` alone, without the cost of the interval."""
    differences = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    return _sign_flip_p_value(differences[differences != 0], resamples, seed)


def detectable_difference(
    differences: ArrayLike, *, power: float = POWER, confidence: float = CONFIDENCE
) -> float | None:
    """The true difference that a paired test of this many questions shows with ``power``.

    (z of the confidence + z of the power) * s / sqrt(n), with s the standard deviation of the
    differences per question; in their unit. Smaller differences may well be there and are usually
    not shown. None where one question, or no spread at all, tells nothing about it.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return None
    spread = float(values.std(ddof=1))
    if spread == 0 or np.isnan(spread):
        return None
    normal = NormalDist()
    quantiles = normal.inv_cdf((1 + confidence) / 2) + normal.inv_cdf(power)
    return quantiles * spread / float(np.sqrt(len(values)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-Bonferroni adjusted p-values in the given order, for several models compared at once."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return adjusted


def _by_question(first: Sequence[Any], second: Sequence[Any]) -> NDArray[np.float64]:
    """``[questions, 2 models, (reference, model)]``."""
    if not len(first) or len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} pairs of scores are not paired")
    return np.asarray([first, second], dtype=np.float64).transpose(1, 0, 2)


def _ratio_difference(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[resamples, questions, 2 models, (reference, model)] -> [resamples]``."""
    return percent_of_reference(pairs[:, :, 1]) - percent_of_reference(pairs[:, :, 0])


def _linear_shares(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each question contributes to the difference of the two ratios, to first order."""
    reference, model = pairs[:, :, 0], pairs[:, :, 1]
    ratios = model.sum(axis=0) / reference.sum(axis=0)
    shares = 100 * (model - ratios * reference) / reference.mean(axis=0)
    return np.asarray(shares[:, 1] - shares[:, 0])


def _exchange_p_value(pairs: NDArray[np.float64], resamples: int, seed: int) -> float:
    """Two-sided, over which questions' pairs are exchanged between the two models."""
    changed = np.flatnonzero((pairs[:, 0] != pairs[:, 1]).any(axis=1))
    if not len(changed):
        return 1.0
    totals, moved = pairs.sum(axis=0), pairs[changed, 1] - pairs[changed, 0]
    observed = abs(_ratio_difference(pairs[None])[0]) - 1e-9
    exact = len(changed) <= EXACT_UP_TO
    if exact:
        patterns = np.arange(2 ** len(changed))[:, None] >> np.arange(len(changed)) & 1
    else:
        generator = np.random.default_rng(seed)
        patterns = generator.integers(0, 2, size=(resamples, len(changed)), dtype=np.int8)
    gained = patterns @ moved  # [patterns, 2]: what the first model gains and the second loses.
    sums = np.stack([totals[0] + gained, totals[1] - gained], axis=1)
    ratios = 100 * sums[:, :, 1] / sums[:, :, 0]
    as_extreme = int((np.abs(ratios[:, 1] - ratios[:, 0]) >= observed).sum())
    return as_extreme / len(patterns) if exact else (as_extreme + 1) / (resamples + 1)


def _sign_flip_p_value(changed: NDArray[np.float64], resamples: int, seed: int) -> float:
    if not len(changed):
        return 1.0
    observed = abs(changed.sum()) - 1e-9  # Equal sums must count as equal in floating point.
    if len(changed) <= EXACT_UP_TO:
        sums = np.zeros(1)
        for value in changed:
            sums = np.concatenate([sums + value, sums - value])
        return float((np.abs(sums) >= observed).mean())
    generator: Any = np.random.default_rng(seed)
    as_extreme = 0
    at_once = max(1, _VALUES_AT_ONCE // len(changed))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        signs = generator.integers(0, 2, size=(rows, len(changed)), dtype=np.int8) * 2.0 - 1.0
        as_extreme += int((np.abs(signs @ changed) >= observed).sum())
    return (as_extreme + 1) / (resamples + 1)


@dataclass(frozen=True)
class Measure:
    """How what single questions contribute becomes a figure, and how two models are tested."""

    statistic: Statistic
    paired: Callable[[Sequence[Any], Sequence[Any]], PairedTest]
    p_value: Callable[[Sequence[Any], Sequence[Any]], float]
    """``paired(...).p_value`` alone, without the cost of the interval."""
    detectable: Callable[[Sequence[Any], Sequence[Any]], float | None]


MEAN = Measure(
    mean,
    paired_test,
    paired_p_value,
    lambda first, second: detectable_difference(np.subtract(second, first)),
)
PERCENT_OF_REFERENCE = Measure(
    percent_of_reference, paired_ratio_test, paired_ratio_p_value, detectable_ratio_difference
)


# --------------------------------------------------------------------------------------------
# Figures of sums: ratios of counts, F1 and their like, which are no means over questions
# --------------------------------------------------------------------------------------------

SumFigure = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps what all questions contribute together ``[..., k]`` to the figure ``[...]``."""


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


def estimate_of_sums(rows: ArrayLike, figure: SumFigure) -> dict[str, float | None]:
    """A figure of sums with its bootstrap interval over questions; ``NOT_DEFINED`` where it has
    nothing to divide by."""
    array = np.asarray(rows, dtype=np.float64)
    value = number(figure(array.sum(axis=0)))
    if value is None:
        return dict(NOT_DEFINED)
    low, high = ends(figure(resampled_sums(array)))
    return {"value": value, "low": low, "high": high}


def sums(figure: SumFigure) -> Measure:
    """How two models are tested on a figure of sums: each question's contributions are exchanged
    between them, as in ``paired_ratio_test``. Both figures must be defined; exchanges and resamples
    in which one of them is not are left out."""

    def paired(first: Sequence[Any], second: Sequence[Any]) -> PairedTest:
        pairs = _by_question(first, second)
        before, after = pairs[:, 0], pairs[:, 1]
        drawn = resampled_sums(pairs.reshape(len(pairs), -1)).reshape(RESAMPLES, 2, -1)
        low, high = ends(figure(drawn[:, 1]) - figure(drawn[:, 0]))
        return PairedTest(
            count=len(pairs),
            difference=float(figure(after.sum(axis=0)) - figure(before.sum(axis=0))),
            interval=Interval(low, high),
            p_value=p_value(first, second),
            detectable=detectable(first, second),
        )

    def p_value(first: Sequence[Any], second: Sequence[Any]) -> float:
        pairs = _by_question(first, second)
        changed = np.flatnonzero((pairs[:, 0] != pairs[:, 1]).any(axis=1))
        totals, moved = pairs.sum(axis=0), pairs[changed, 1] - pairs[changed, 0]
        observed = abs(figure(totals[1]) - figure(totals[0])) - 1e-9
        gained = _gained(moved)
        exchanged = figure(totals[1] - gained) - figure(totals[0] + gained)
        exchanged = exchanged[~np.isnan(exchanged)]
        as_extreme = int((np.abs(exchanged) >= observed).sum())
        exact = len(changed) <= EXACT_UP_TO
        return as_extreme / len(exchanged) if exact else (as_extreme + 1) / (len(exchanged) + 1)

    def detectable(first: Sequence[Any], second: Sequence[Any]) -> float | None:
        """By the delta method, as in ``paired_ratio_test``."""
        pairs = _by_question(first, second)
        shares = [_shares(pairs[:, side], figure) for side in (0, 1)]
        return detectable_difference(shares[1] - shares[0])

    return Measure(lambda samples: figure(samples.sum(axis=1)), paired, p_value, detectable)


def _patterns(changed: int, *, seed: int = 0) -> Iterator[NDArray[np.float64]]:
    """Which of the changed questions are exchanged: all patterns, or random ones, in batches."""
    if changed <= EXACT_UP_TO:
        yield (np.arange(2**changed)[:, None] >> np.arange(changed) & 1).astype(np.float64)
        return
    generator = np.random.default_rng(seed)
    at_once = max(1, _VALUES_AT_ONCE // changed)
    for start in range(0, RESAMPLES, at_once):
        shape = (min(at_once, RESAMPLES - start), changed)
        yield generator.integers(0, 2, size=shape, dtype=np.int8).astype(np.float64)


def _gained(moved: NDArray[np.float64], *, seed: int = 0) -> NDArray[np.float64]:
    """What exchanging some of the changed questions moves: all choices of them, or random ones.

    Of thousands of questions many move the same, and it matters only how many of those are
    exchanged: a binomial draw stands for all of them.
    """
    if len(moved) <= EXACT_UP_TO:
        (patterns,) = _patterns(len(moved))
        return np.asarray(patterns @ moved)
    distinct, counts = np.unique(moved, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = generator.binomial(counts, 0.5, size=(RESAMPLES, len(distinct)))
    return np.asarray(drawn @ distinct)


def _shares(rows: NDArray[np.float64], figure: SumFigure) -> NDArray[np.float64]:
    """What each question adds to a figure of sums, to first order, times their number."""
    totals = rows.sum(axis=0)
    step = np.maximum(np.abs(totals), 1) * 1e-4
    moves = np.diag(step)
    slopes = (figure(totals + moves) - figure(totals - moves)) / (2 * step)
    return np.asarray(len(rows) * (rows @ slopes))


def ends(figures: NDArray[np.float64]) -> tuple[float, float]:
    """The percentile interval of resampled figures, without those that are not defined."""
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.nanpercentile(figures, [tail, 100 - tail])
    return float(low), float(high)
