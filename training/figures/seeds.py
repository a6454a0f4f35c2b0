"""What runs of one group have in common: the mean over seeds with Student's t interval at 95 %.

A seed is what varies when somebody repeats an experiment; questions or scenes inside one are no
independent repetitions of training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

CONFIDENCE = 0.95
_T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t with 1 to 9 degrees of freedom."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds; ``low`` and ``high`` are NaN where one seed tells no spread."""

    mean: float
    low: float
    high: float
    each: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """The t-interval of independent ``values``; ValueError without any."""
        if not values:
            raise ValueError("no seed, no estimate")
        mean = fmean(values)
        half = math.nan
        if len(values) > 1:
            half = t_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))
        return cls(mean, mean - half, mean + half, tuple(values))

    @property
    def n(self) -> int:
        return len(self.each)

    @property
    def has_interval(self) -> bool:
        return not math.isnan(self.low)


def t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t."""
    if freedom <= len(_T_QUANTILES):
        return _T_QUANTILES[freedom - 1]
    # The normal quantile with three terms of its expansion in 1 / freedom: within 1e-3 from 10 on.
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))
