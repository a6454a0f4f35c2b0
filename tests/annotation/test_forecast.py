"""When a project will be done: worked by hand, honest about little data."""

from datetime import date

import pytest

from annotation.forecast import Forecast, forecast

TODAY = date(2026, 3, 2)


def test_an_even_pace_gives_one_date():
    found = forecast(95, [10] * 14, today=TODAY)
    assert (found.rate, found.rate_low, found.rate_high) == (10, 10, 10)
    # 9.5 days: on the tenth day from now.
    assert {found.done, found.earliest, found.latest} == {date(2026, 3, 12)}


def test_uneven_days_give_a_range_around_the_date():
    found = forecast(1000, [40, 0] * 7, today=TODAY)
    assert (found.rate, found.days_counted) == (20, 14)
    assert found.done == date(2026, 4, 21)
    assert found.earliest < found.done < found.latest
    # Standard error of the mean: 20 / sqrt(14) = 5.3; two of them on each side, roughly.
    assert 8 < found.rate_low < 12
    assert 28 < found.rate_high < 32


def test_only_the_last_two_weeks_count_and_not_the_days_before_the_first_answer():
    assert forecast(10, [500] * 9 + [10] * 14, today=TODAY).rate == 10
    assert forecast(10, [0] * 8 + [10] * 3, today=TODAY).days_counted == 3
    # A rest at the beginning of the two weeks is a rest, when there were answers before it.
    assert forecast(10, [10] * 9 + [0] * 7 + [10] * 7, today=TODAY).rate == 5


@pytest.mark.parametrize("days", [[], [30], [30, 30], [1, 1, 1], [0] * 14])
def test_too_little_is_said_to_be_too_little(days):
    found = forecast(10, days, today=TODAY)
    assert "Cannot say yet" in found.reason
    assert found.done is None


def test_nothing_left_and_far_too_much_left():
    assert forecast(0, [10] * 14, today=TODAY) == Forecast(reason="Nothing is left to answer.")
    endless = forecast(10**9, [10] * 14, today=TODAY)
    assert (endless.reason, endless.done) == ("", None)
