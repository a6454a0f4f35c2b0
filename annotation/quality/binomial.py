"""Exact chances of a number of successes in a number of tries."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def log_binomial(counts: NDArray[np.int64], whole: int, chance: float) -> NDArray[np.float64]:
    """Log of the chance of each of ``counts`` successes in ``whole`` tries, for 0 < chance < 1."""
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, whole + 1)))])
    ways = factorials[whole] - factorials[counts] - factorials[whole - counts]
    return np.asarray(
        ways + counts * math.log(chance) + (whole - counts) * math.log1p(-chance), dtype=float
    )


def at_most(count: int, whole: int, chance: float) -> float:
    """The chance of ``count`` successes or fewer in ``whole`` tries, for 0 < chance < 1."""
    if count >= whole:
        return 1.0
    return min(1.0, float(np.exp(log_binomial(np.arange(count + 1), whole, chance)).sum()))
