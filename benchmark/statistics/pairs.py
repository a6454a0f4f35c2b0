"""Two models on the same questions: paired tests, their correction, what they could show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.statistics.figures import Figure, unseen
from benchmark.statistics.resampling import (
    CONFIDENCE,
    RESAMPLES,
    VALUES_AT_ONCE,
    Interval,
    Pictures,
    bootstrap_interval,
    ends,
    ratio,
    resampled_sums,
)

Pair = tuple[float, float]
"""(reference, model): two scores of one question."""

EXACT_UP_TO = 16
POWER = 0.8


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


def percent_of_reference(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """100 * sum(model) / sum(reference): ``[resamples, questions, 2] -> [resamples]``, each pair
    being (reference, model)."""
    sums = samples.sum(axis=1)
    return np.asarray(100 * sums[:, 1] / sums[:, 0])


def paired_test(
    first: Sequence[float],
    second: Sequence[float],
    *,
    span: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedTest:
    """Whether two models differ in the mean, each question being its own control.

    Under the hypothesis of no difference each question's difference may have had either sign. Up
    to 16 differing questions all sign patterns are counted; above, ``resamples`` random ones,
    with the observed pattern counted in, so that p is never 0. Two-sided. ``span`` is by how much
    two answers to a question can differ at most: the interval then leaves room for what so many
    questions cannot have shown (``unseen``), and pairs that are all alike give no point.
    Raises ValueError for no questions or for unequal numbers of them.
    """
    if not len(first) or len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values are not paired")
    differences = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    changed = differences[differences != 0]
    interval = bootstrap_interval(differences, resamples=resamples, seed=seed)
    if span is not None:
        interval = unseen_of_mean(interval, differences, (-span, span))
    return PairedTest(
        count=len(differences),
        difference=float(differences.mean()),
        interval=interval,
        p_value=_sign_flip_p_value(changed, resamples, seed),
        detectable=detectable_difference(differences),
    )


def unseen_of_mean(
    found: Interval,
    values: ArrayLike,
    extremes: tuple[float, float],
    pictures: Pictures | None = None,
) -> Interval:
    """``unseen`` for the mean of values between two extremes."""
    array = np.asarray(values, dtype=np.float64)
    rows = np.stack([array, np.ones_like(array)], axis=1)
    sides = [np.array([one, 1.0]) for one in extremes]
    return unseen(found, rows, _mean_of_sums, sides, pictures=pictures)


def paired_ratio_test(
    first: Sequence[Pair],
    second: Sequence[Pair],
    *,
    scale: tuple[float, float],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedTest:
    """The same for ``percent_of_reference``, which is no mean over questions.

    Under the hypothesis of no difference each question's two pairs (reference, model) may have
    been exchanged between the models. Counted and drawn as in ``paired_test``. The detectable
    difference is that of each question's linear share in the difference (delta method). ``scale``
    is from where to where scores go.
    """
    pairs = _by_question(first, second)
    difference = _ratio_difference(pairs[None])[0]
    interval = bootstrap_interval(
        pairs.reshape(len(pairs), 4),
        lambda drawn: _ratio_difference(drawn.reshape(*drawn.shape[:2], 2, 2)),
        resamples=resamples,
        seed=seed,
    )
    low, high = scale
    extremes = [np.array(one) for one in ((low, high, high, low), (high, low, low, high))]
    rows = pairs.reshape(len(pairs), 4)
    return PairedTest(
        count=len(pairs),
        difference=float(difference),
        interval=unseen(
            interval,
            rows,
            _ratio_difference_of_sums,
            extremes,
            varying=pairs[:, 1] - pairs[:, 0],
        ),
        p_value=_exchange_p_value(pairs, resamples, seed),
        detectable=detectable_difference(_linear_shares(pairs)),
    )


def paired_sums_test(figure: Figure, first: Sequence[Any], second: Sequence[Any]) -> PairedTest:
    """The same for a figure of sums, each question's contributions being exchanged between the
    models. Both figures must be defined; exchanges and resamples in which one of them is not are
    left out."""
    pairs = _by_question(first, second)
    rows = pairs.reshape(len(pairs), -1)

    def difference(sums: NDArray[np.float64]) -> Any:
        sides = sums.reshape(*sums.shape[:-1], 2, -1)
        return figure(sides[..., 1, :]) - figure(sides[..., 0, :])

    least, most = figure.extremes(pairs.reshape(2 * len(pairs), -1))
    extremes = [np.concatenate(one) for one in ((most, least), (least, most))]
    found = Interval(*ends(difference(resampled_sums(rows))))
    return PairedTest(
        count=len(pairs),
        difference=float(difference(rows.sum(axis=0))),
        interval=unseen(found, rows, difference, extremes, varying=pairs[:, 1] - pairs[:, 0]),
        p_value=paired_sums_p_value(figure, first, second),
        detectable=detectable_sums_difference(figure, first, second),
    )


def paired_sums_p_value(figure: Figure, first: Sequence[Any], second: Sequence[Any]) -> float:
    """``paired_sums_test(...).p_value`` alone, without the cost of the interval."""
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


def detectable_sums_difference(
    figure: Figure, first: Sequence[Any], second: Sequence[Any]
) -> float | None:
    """By the delta method, as in ``paired_ratio_test``."""
    pairs = _by_question(first, second)
    shares = [_shares(pairs[:, side], figure) for side in (0, 1)]
    return detectable_difference(shares[1] - shares[0])


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


def _mean_of_sums(sums: NDArray[np.float64]) -> Any:
    """``[..., (sum, count)] -> [...]``."""
    return ratio(sums[..., 0], sums[..., 1])


def _ratio_difference_of_sums(sums: NDArray[np.float64]) -> Any:
    """``[..., (reference, model) of the first, of the second] -> [...]``."""
    return 100 * (sums[..., 3] / sums[..., 2] - sums[..., 1] / sums[..., 0])


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
    at_once = max(1, VALUES_AT_ONCE // len(changed))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        signs = generator.integers(0, 2, size=(rows, len(changed)), dtype=np.int8) * 2.0 - 1.0
        as_extreme += int((np.abs(signs @ changed) >= observed).sum())
    return (as_extreme + 1) / (resamples + 1)


def _gained(moved: NDArray[np.float64], *, seed: int = 0) -> NDArray[np.float64]:
    """What exchanging some of the changed questions moves: all choices of them, or random ones.

    Of thousands of questions many move the same, and it matters only how many of those are
    exchanged: a binomial draw stands for all of them.
    """
    if len(moved) <= EXACT_UP_TO:
        patterns = np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1
        return np.asarray(patterns.astype(np.float64) @ moved)
    distinct, counts = np.unique(moved, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = generator.binomial(counts, 0.5, size=(RESAMPLES, len(distinct)))
    return np.asarray(drawn @ distinct)


def _shares(rows: NDArray[np.float64], figure: Figure) -> NDArray[np.float64]:
    """What each question adds to a figure of sums, to first order, times their number."""
    totals = rows.sum(axis=0)
    step = np.maximum(np.abs(totals), 1) * 1e-4
    moves = np.diag(step)
    slopes = (figure(totals + moves) - figure(totals - moves)) / (2 * step)
    return np.asarray(len(rows) * (rows @ slopes))
