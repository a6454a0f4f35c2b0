"""What runs of one group have in common: the mean over seeds with Student's t interval at 95 %.

A seed is what varies when somebody repeats an experiment; questions or scenes inside one are no
independent repetitions of training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from annotation.quality.student import t_quantile


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
        """Seeds that came out alike tell no spread either: of few questions many do."""
        return self.low < self.high
