"""Plots as coordinates: what is drawn is what was measured."""

from datetime import date

import pytest

from annotation.quality.plots import BOTTOM, HEIGHT, LEFT, TOP, Point, bars, line, nice_top

MONDAYS = [date(2026, 3, 2), date(2026, 3, 9), date(2026, 3, 23)]


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (0.27, 0.3), (1, 1), (11, 20), (21, 30), (50, 50), (81, 100), (0.1, 0.1)],
)
def test_axes_end_on_round_numbers(value, top):
    assert nice_top(value) == pytest.approx(top)


def test_bars_are_as_high_as_their_values():
    plot = bars("Answers", "a day", [(MONDAYS[0], 20.0), (MONDAYS[1], 0.0), (MONDAYS[2], 10.0)])
    heights = [bar.height for bar in plot.bars]
    assert heights == [HEIGHT - TOP - BOTTOM, 0, (HEIGHT - TOP - BOTTOM) / 2]
    assert [tick.text for tick in plot.y_ticks] == ["0", "10", "20"]
    assert plot.rows[0] == ("2 Mar", "20")


def test_a_line_keeps_distances_in_time_and_its_interval():
    points = [Point(day, 0.5, 0.25, 0.75, 8) for day in MONDAYS]
    plot = line("Gold", "", points, unit="share", top=1.0, guides=[(1.0, "bar"), (0.0, "floor")])
    first, second, third = (point.x for point in plot.points)
    assert third - first == pytest.approx(3 * (second - first))
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    assert {point.y for point in plot.points} == {middle}
    assert plot.band.startswith("M") and plot.band.endswith("Z")
    assert plot.band.count("L") == 5
    assert plot.rows[0] == ("2 Mar 2026", "0.50", "0.25 to 0.75", "8")
    top, floor = plot.guides
    assert (top.y, floor.y) == (TOP, HEIGHT - BOTTOM)
    assert top.text_y > top.y and floor.text_y < floor.y


def test_a_line_may_begin_below_zero():
    points = [Point(MONDAYS[0], -1.0), Point(MONDAYS[1], 0.0), Point(MONDAYS[2], 1.0)]
    plot = line("Alpha", "", points, unit="alpha", top=1.0, bottom=-1.0)
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    assert [point.y for point in plot.points] == [HEIGHT - BOTTOM, middle, TOP]
    assert [tick.text for tick in plot.y_ticks] == ["-1", "0", "1"]


def test_one_point_has_whiskers_and_no_line():
    plot = line("Gold", "", [Point(MONDAYS[0], 1.0, 0.5, 1.0, 3)], unit="share", top=1.0)
    assert (plot.line, plot.band, len(plot.whiskers)) == ("", "", 1)
    assert plot.points[0].x > LEFT


def test_nothing_measured_draws_nothing():
    assert bars("Answers", "", []).bars == []
    assert line("Time", "", [], unit="seconds").points == []
