import numpy as np
import pytest

from benchmark.statistics import Interval, bootstrap_interval, holm, paired_test


def test_an_interval_of_equal_values_is_a_point() -> None:
    assert bootstrap_interval([4, 4, 4]) == Interval(4, 4)


def test_an_interval_is_near_the_normal_one_for_many_values() -> None:
    values = np.random.default_rng(1).normal(2.5, 2.0, size=400)
    half_width = 1.96 * values.std() / 20
    interval = bootstrap_interval(values)
    assert interval.low == pytest.approx(values.mean() - half_width, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + half_width, abs=0.02)


def test_an_interval_is_the_same_every_time_and_follows_the_seed() -> None:
    values = [0, 1, 3, 6, 2, 2, 5]
    assert bootstrap_interval(values) == bootstrap_interval(values)
    few = [bootstrap_interval(values, seed=seed, resamples=50) for seed in range(5)]
    assert len(set(few)) > 1


def test_more_confidence_is_wider() -> None:
    values = [0, 1, 3, 6, 2, 2, 5]
    wide, narrow = bootstrap_interval(values, confidence=0.99), bootstrap_interval(values)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_questions_are_drawn_as_rows() -> None:
    pairs = [(10, 5), (8, 4), (2, 1)]
    ratio = bootstrap_interval(pairs, lambda s: 100 * s[..., 1].sum(1) / s[..., 0].sum(1))
    assert ratio.low == ratio.high == 50


def test_no_question_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_interval([])


def test_paired_test_counts_all_sign_patterns_by_hand() -> None:
    # Differences 1, 2, 3: of the 8 sign patterns only all plus and all minus reach a sum of 6.
    test = paired_test([0, 0, 0], [1, 2, 3])
    assert test.p_value == 2 / 8
    assert test.difference == 2
    assert not test.shown


def test_paired_test_counts_ties_of_the_sum() -> None:
    # Differences 1, 1, -1, sum 1: every pattern's sum is odd, so each is as extreme.
    assert paired_test([0, 0, 1], [1, 1, 0]).p_value == 1


def test_equal_answers_to_a_question_change_nothing() -> None:
    few = paired_test([0, 0, 0], [1, 2, 3])
    many = paired_test([0, 0, 0, 5, 5, 5], [1, 2, 3, 5, 5, 5])
    assert many.p_value == few.p_value
    assert many.difference == 1


def test_no_difference_at_all() -> None:
    test = paired_test([3, 4], [3, 4])
    assert (test.p_value, test.difference, test.interval) == (1, 0, Interval(0, 0))


def test_random_patterns_agree_with_the_exact_count() -> None:
    # 20 differences of +1 and none of -1: p is 2 / 2**20 exactly, and never 0.
    test = paired_test([0] * 20, [1] * 20)
    assert test.p_value == pytest.approx(1 / 10_001, rel=0.5)
    assert test.shown
    # 15 of +1 and 5 of -1: the two-sided binomial test says 0.0414.
    mixed = paired_test([0] * 15 + [1] * 5, [1] * 15 + [0] * 5)
    assert mixed.p_value == pytest.approx(0.0414, abs=0.006)


def test_the_direction_is_second_minus_first() -> None:
    assert paired_test([5, 5], [1, 1]).difference == -4
    assert paired_test([0, 0, 0], [1, 2, 3]).p_value == paired_test([1, 2, 3], [0, 0, 0]).p_value


def test_unpaired_values_are_refused() -> None:
    with pytest.raises(ValueError, match="not paired"):
        paired_test([1], [1, 2])


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.04 times 3, 2, 1 is 0.03, 0.04, 0.04, kept from falling.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []
