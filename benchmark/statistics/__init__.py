"""How far to trust a score: intervals of single figures, and tests between two models.

A protocol says what a figure is made of; which interval that gives is decided here and nowhere
else. Everything is seeded: the same ratings give the same interval on every page and machine.
"""

from benchmark.statistics.figures import (
    Dice,
    Figure,
    HarmonicMeanOf,
    MeanOf,
    Resampled,
    Share,
    estimate_of_sums,
)
from benchmark.statistics.measures import (
    MEAN,
    PERCENT,
    SHARE,
    Measure,
    estimate,
    mean_between,
    percent_of_reference_between,
    sums,
)
from benchmark.statistics.pairs import (
    PairedTest,
    detectable_difference,
    holm,
    paired_p_value,
    paired_test,
    unseen_of_mean,
)
from benchmark.statistics.resampling import (
    CONFIDENCE,
    NOT_DEFINED,
    RESAMPLES,
    Interval,
    SumFigure,
    bootstrap_interval,
    number,
    ratio,
)

INTERVALS = "95 % intervals: Wilson’s for shares and what is made of them, else bootstrap"  # noqa: RUF001
"""How they are made, for the foot of a table."""

__all__ = [
    "CONFIDENCE",
    "INTERVALS",
    "MEAN",
    "NOT_DEFINED",
    "PERCENT",
    "RESAMPLES",
    "SHARE",
    "Dice",
    "Figure",
    "HarmonicMeanOf",
    "Interval",
    "MeanOf",
    "Measure",
    "PairedTest",
    "Resampled",
    "Share",
    "SumFigure",
    "bootstrap_interval",
    "detectable_difference",
    "estimate",
    "estimate_of_sums",
    "holm",
    "mean_between",
    "number",
    "paired_p_value",
    "paired_test",
    "percent_of_reference_between",
    "ratio",
    "sums",
    "unseen_of_mean",
]
