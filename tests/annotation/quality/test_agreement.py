"""Agreement, against the reference implementation and by hand."""

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.quality.agreement import CHOICES, agreement
from annotation.quality.concerns import carries_no_information

ROWS = st.lists(st.lists(st.sampled_from(CHOICES), max_size=5), max_size=12)


def test_agreement_of_all_is_one():
    assert agreement([["1", "1"], ["2", "2"]])["alpha"] == pytest.approx(1.0)


def test_agreement_worked_by_hand():
    # Coincidences: 1-1 twice, 2-2 twice, 1-2 and 2-1 once each; n = 6, n1 = n2 = 3.
    # Observed 2/6, expected 2*3*3/(6*5) = 0.6; alpha = 1 - (1/3)/0.6.
    found = agreement([["1", "1"], ["2", "2"], ["1", "2"]])
    assert found["alpha"] == pytest.approx(1 - (2 / 6) / 0.6)
    assert found["comparisons"] == 3


@pytest.mark.parametrize("rows", [[], [["1"]], [["1"], ["2"]], [["1", "1"]], [[], []]])
def test_agreement_is_undefined_without_variation_or_overlap(rows):
    found = agreement(rows)
    assert (found["alpha"], found["low"], found["high"]) == (None, None, None)


@given(ROWS)
def test_agreement_equals_the_reference(rows):
    counts = np.array([[row.count(choice) for choice in CHOICES] for row in rows if len(row) > 1])
    found = agreement(rows)["alpha"]
    if found is None:
        assert len(counts) == 0 or (counts.sum(axis=0) > 0).sum() < 2
    else:
        expected = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
        assert found == pytest.approx(expected)


def test_the_interval_holds_the_estimate_and_is_the_same_each_time():
    rng = np.random.default_rng(1)
    rows = [[str(1 + (n % 2))] * 2 if rng.random() < 0.7 else ["1", "2"] for n in range(80)]
    found = agreement(rows, seed=5)
    assert found["low"] < found["alpha"] < found["high"]
    assert found == agreement(rows, seed=5)


@pytest.mark.parametrize("comparisons", [2, 3])
def test_the_agreement_of_a_few_comparisons_is_not_surely_above_chance(comparisons):
    found = agreement([["1", "1"], ["2", "2"], ["1", "1"]][:comparisons])
    assert found["low"] < 0 < found["high"] == 1


def test_the_interval_of_votes_that_are_alike_narrows_with_their_number():
    widths = []
    for number in (2, 10, 100):
        found = agreement([["1", "1"], ["2", "2"]] * number)
        assert found["low"] < found["alpha"] == found["high"]
        widths.append(found["high"] - found["low"])
    # By hand: of 200 that all agree, 1.9 % more may be split (Wilson); by chance half would be.
    assert widths[0] > widths[1] > widths[2] == pytest.approx(2 * 0.01885, abs=1e-3)


def test_nobody_is_said_to_carry_no_information_for_one_comparison():
    assert not carries_no_information(agreement([["1", "2", "tie"]]))
    assert carries_no_information(agreement([["1", "2"]] * 40))


def test_many_comparisons_that_differ_are_only_resampled():
    rows = [["1", "1"], ["2", "2"]] * 20 + [["1", "2"]] * 8
    found = agreement(rows)
    assert found["low"] == pytest.approx(0.44, abs=0.1) and found["high"] < 0.95
