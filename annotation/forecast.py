"""When a project will be done, from how fast people have answered on its last whole days.

Pure arithmetic; ``annotation.dashboard`` brings the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

WINDOW_DAYS = 14
FEWEST_DAYS = 3
FEWEST_ANSWERS = 20
DRAWS = 2000
LONGEST_DAYS = 3650
"""A date ten years away is no date."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """``reason`` says why nothing else is known; else rates are answers a day."""

    reason: str = ""
    remaining: int = 0
    days_counted: int = 0
    rate: float = 0.0
    rate_low: float = 0.0
    rate_high: float = 0.0
    done: date | None = None
    """None, as ``latest`` may be, for more than LONGEST_DAYS from now."""
    earliest: date | None = None
    latest: date | None = None


def forecast(remaining: int, per_day: Sequence[int], *, today: date, seed: int = 0) -> Forecast:
    """``per_day`` holds the answers of the last whole days, oldest first, days of rest as 0.

    The rate is the mean of at most WINDOW_DAYS of them. Its 95 % interval, and through it that of
    the date, is a bootstrap: the same days drawn with replacement, DRAWS times. It covers how
    unlike the days were, not that people may come or go.
    """
    if remaining <= 0:
        return Forecast(reason="Nothing is left to answer.")
    begun = next((place for place, answers in enumerate(per_day) if answers), len(per_day))
    days = list(per_day[begun:])[-WINDOW_DAYS:]  # Before the first answer nobody had begun.
    if len(days) < FEWEST_DAYS or sum(days) < FEWEST_ANSWERS:
        return Forecast(
            reason=f"Cannot say yet: this needs {FEWEST_DAYS} whole days with {FEWEST_ANSWERS} "
            "answers in all.",
            remaining=remaining,
        )
    drawn = np.random.default_rng(seed).choice(np.array(days, dtype=float), (DRAWS, len(days)))
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    rate = sum(days) / len(days)
    return Forecast(
        remaining=remaining,
        days_counted=len(days),
        rate=rate,
        rate_low=float(low),
        rate_high=float(high),
        done=_after(remaining, rate, today),
        earliest=_after(remaining, float(high), today),
        latest=_after(remaining, float(low), today),
    )


def _after(remaining: int, rate: float, today: date) -> date | None:
    days = remaining / rate if rate > 0 else math.inf
    return today + timedelta(days=math.ceil(days)) if days <= LONGEST_DAYS else None
