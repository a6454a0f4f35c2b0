"""Small plots over time, as coordinates that ``annotation/_plot.html`` draws as SVG.

Drawn on the server: nothing has to load, and they print. Each brings its figures as a table for
those who do not see the drawing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from django.utils.translation import gettext

WIDTH, HEIGHT = 360.0, 164.0
LEFT, RIGHT, TOP, BOTTOM = 36.0, 8.0, 10.0, 22.0


@dataclass(frozen=True)
class Tick:
    place: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Mark:
    """A bar (with width and height) or a point of a line."""

    x: float
    y: float
    title: str
    width: float = 0.0
    height: float = 0.0


@dataclass(frozen=True)
class Guide:
    """A horizontal line that means something, such as a project's bar."""

    y: float
    text: str
    text_y: float


@dataclass(frozen=True, kw_only=True)
class Plot:
    """All places are in the units of a box of WIDTH by HEIGHT."""

    title: str
    note: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    bars: list[Mark] = field(default_factory=list)
    points: list[Mark] = field(default_factory=list)
    line: str = ""
    """A path through the points, as ``band`` is one around their intervals."""
    band: str = ""
    whiskers: list[tuple[float, float, float]] = field(default_factory=list)
    """(x, y of the low end, y of the high end) where one point has no neighbour to span a band."""
    guides: list[Guide] = field(default_factory=list)
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    bottom: float = HEIGHT - BOTTOM


@dataclass(frozen=True)
class Point:
    """A value at a time, with the ends of its interval where it has one."""

    day: date
    value: float
    low: float | None = None
    high: float | None = None
    count: int | None = None
    """How many answers are behind it."""


def bars(title: str, note: str, days: Sequence[tuple[date, float]], *, digits: int = 0) -> Plot:
    """A bar for each day, from zero."""
    top = nice_top(max((value for _, value in days), default=0.0))
    slot = (WIDTH - LEFT - RIGHT) / max(len(days), 1)
    marks = []
    for number, (day, value) in enumerate(days):
        y = _y(value, 0.0, top)
        marks.append(
            Mark(
                x=_round(LEFT + slot * number + slot * 0.15),
                y=y,
                width=_round(slot * 0.7),
                height=_round(HEIGHT - BOTTOM - y),
                title=f"{_day(day)}: {value:,.{digits}f}",
            )
        )
    places = [LEFT + slot * (number + 0.5) for number in range(len(days))]
    return Plot(
        title=title,
        note=note,
        headings=("Day", title),
        rows=[(_day(day), f"{value:,.{digits}f}") for day, value in days],
        x_ticks=_x_ticks([day for day, _ in days], places),
        y_ticks=_y_ticks(0.0, top),
        bars=marks,
    )


def line(
    title: str,
    note: str,
    points: Sequence[Point],
    *,
    unit: str,
    top: float | None = None,
    bottom: float = 0.0,
    guides: Sequence[tuple[float, str]] = (),
    digits: int = 2,
    counted: str = "",
) -> Plot:
    """A line over time from ``bottom`` to ``top`` (by itself: above all values), with intervals."""
    counted = counted or gettext("Answers")
    ends = [point.high if point.high is not None else point.value for point in points]
    above = top if top is not None else nice_top(max(ends, default=0.0))
    places = _places([point.day for point in points])
    drawn = [
        Mark(x=x, y=_y(point.value, bottom, above), title=_words(point, digits, unit, counted))
        for x, point in zip(places, points, strict=True)
    ]
    intervals = [
        (x, _y(point.low, bottom, above), _y(point.high, bottom, above))
        for x, point in zip(places, points, strict=True)
        if point.low is not None and point.high is not None
    ]
    return Plot(
        title=title,
        note=note,
        headings=(gettext("Week of"), unit, gettext("95 % interval"), counted),
        rows=[_row(point, digits) for point in points],
        x_ticks=_x_ticks([point.day for point in points], places),
        y_ticks=_y_ticks(bottom, above),
        points=drawn,
        line=_path([(mark.x, mark.y) for mark in drawn]),
        band=_band(intervals),
        whiskers=intervals if len(intervals) == 1 else [],
        guides=[_guide(value, text, bottom, above) for value, text in guides],
    )


def nice_top(value: float) -> float:
    """The least of 1, 2, 3, 4, 5, 6, 8, 10, 20, … that is not below ``value``; 1 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * (1 - 1e-9)
    )


def _round(number: float) -> float:
    return round(number, 2)


def _y(value: float, low: float, high: float) -> float:
    share = (min(max(value, low), high) - low) / (high - low)
    return _round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM))


def _y_ticks(low: float, high: float) -> list[Tick]:
    values = [low, (low + high) / 2, high]
    return [Tick(_y(value, low, high), f"{value:,.6g}") for value in values]


def _places(days: Sequence[date]) -> list[float]:
    """Where each day stands; a single one in the middle."""
    if len(days) < 2:
        return [_round((LEFT + WIDTH - RIGHT) / 2)] * len(days)
    first, span = days[0], (days[-1] - days[0]).days
    inner = WIDTH - LEFT - RIGHT - 16
    return [_round(LEFT + 8 + inner * (day - first).days / span) for day in days]


def _x_ticks(days: Sequence[date], places: Sequence[float]) -> list[Tick]:
    if not days:
        return []
    if len(days) == 1:
        return [Tick(places[0], _day(days[0]))]
    chosen = {0: "start", len(days) - 1: "end"}
    if len(days) > 4:
        chosen[len(days) // 2] = "middle"
    ends = {"start": LEFT, "end": WIDTH - RIGHT}
    return [
        Tick(_round(ends.get(anchor, places[number])), _day(days[number]), anchor)
        for number, anchor in sorted(chosen.items())
    ]


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points) if len(points) > 1 else ""


def _band(intervals: Sequence[tuple[float, float, float]]) -> str:
    if len(intervals) < 2:
        return ""
    there = [(x, high) for x, _, high in intervals]
    back = [(x, low) for x, low, _ in reversed(intervals)]
    return f"{_path([*there, *back])}Z"


def _guide(value: float, text: str, bottom: float, above: float) -> Guide:
    y = _y(value, bottom, above)
    return Guide(y=y, text=text, text_y=_round(y - 4 if y > TOP + 14 else y + 12))


def _words(point: Point, digits: int, unit: str, counted: str) -> str:
    of = f" ({point.count:,} {counted.lower()})" if point.count is not None else ""
    return f"{_day(point.day)}: {point.value:.{digits}f} {unit}{of}"


def _row(point: Point, digits: int) -> tuple[str, ...]:
    interval = "none"
    if point.low is not None and point.high is not None:
        interval = f"{point.low:.{digits}f} to {point.high:.{digits}f}"
    count = "none" if point.count is None else f"{point.count:,}"
    return (f"{_day(point.day)} {point.day.year}", f"{point.value:.{digits}f}", interval, count)
