"""Means over seeds by hand."""

import math

import pytest

from training.figures.seeds import Estimate


def test_estimate_is_students_interval() -> None:
    # 1, 2, 3: mean 2, sd 1, t(2) = 4.303, half width 4.303 / sqrt(3) = 2.484
    found = Estimate.of([1, 2, 3])
    assert (found.mean, found.low, found.high) == pytest.approx((2, -0.484, 4.484), abs=1e-3)
    # t(10) = 2.228: beyond the table
    eleven = Estimate.of(list(range(11)))
    assert eleven.high - 5 == pytest.approx(2.228, abs=1e-3)
    assert math.isnan(Estimate.of([1]).low)
    with pytest.raises(ValueError, match="no seed"):
        Estimate.of([])
