"""Line plots with bands as SVG: for pages in ``docs/``, legible on a light and on a dark page.

An SVG that a page shows as an image sees nothing of the page, only what the reader prefers. So it
brings its own background and changes colours with that preference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

PANEL_WIDTH, PANEL_HEIGHT = 300, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 34, 38
HEAD = 40
TICKS = 4

_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #4a4d5c; font-variant-numeric: tabular-nums }
  .title { font-weight: 600; fill: #1c1d26 }
  .page { fill: #fbfbfd } .grid { stroke: #e3e5ec } .axis { stroke: #9a9db0 }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round }
  .thin { fill: none; stroke-width: 1; opacity: .55 }
  .band { opacity: .16; stroke: none }
  .c0 { stroke: #5b5bd6; fill: #5b5bd6 } .c1 { stroke: #d1495b; fill: #d1495b }
  .c2 { stroke: #1d8a6b; fill: #1d8a6b } .c3 { stroke: #6b6e80; fill: #6b6e80 }
  .line, .thin { fill: none }
  .dashed { stroke-dasharray: 6 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #b4b7c6 } .title { fill: #f0f1f6 }
    .page { fill: #16171d } .grid { stroke: #2c2e39 } .axis { stroke: #6b6e80 }
    .c0 { stroke: #9a9af5; fill: #9a9af5 } .c1 { stroke: #f2808f; fill: #f2808f }
    .c2 { stroke: #4cc9a0; fill: #4cc9a0 } .c3 { stroke: #a3a6b8; fill: #a3a6b8 }
    .line, .thin { fill: none }
  }
"""


@dataclass(frozen=True)
class Series:
    """One line: ``y`` over ``x``, a band from ``low`` to ``high``, thin lines of repetitions."""

    x: Sequence[float]
    y: Sequence[float]
    color: int
    """0 to 3, the same for the same thing in every panel."""
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    each: Sequence[Sequence[float]] = ()
    dashed: bool = False

    def values(self) -> list[float]:
        return [*self.y, *self.low, *self.high, *(value for one in self.each for value in one)]


@dataclass(frozen=True)
class Panel:
    """One plot; ``limits`` clips what lies outside, None takes what the series need.

    ``x_ticks`` are the places that are numbered, round ones if none are given.
    """

    title: str
    x_title: str
    series: Sequence[Series]
    limits: tuple[float, float] | None = None
    percent: bool = False
    x_ticks: Sequence[float] = ()


@dataclass(frozen=True)
class Key:
    """What a colour stands for."""

    text: str
    color: int
    dashed: bool = False


def figure(panels: Sequence[Panel], keys: Sequence[Key], *, columns: int, label: str) -> str:
    """Panels in rows of ``columns`` under one legend; ``label`` says what is seen, for readers."""
    rows = math.ceil(len(panels) / columns)
    width, height = columns * PANEL_WIDTH, HEAD + rows * PANEL_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(label)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}" rx="12"/>',
        _legend(keys),
    ]
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        x, y = column * PANEL_WIDTH, HEAD + row * PANEL_HEIGHT
        parts.append(f'<g transform="translate({x} {y})">{_panel(panel, number)}</g>')
    return "\n".join([*parts, "</svg>", ""])


def _legend(keys: Sequence[Key]) -> str:
    parts, x = [], LEFT
    for key in keys:
        dashed = " dashed" if key.dashed else ""
        parts.append(f'<path class="line c{key.color}{dashed}" d="M{x} 24h26"/>')
        parts.append(f'<text x="{x + 32}" y="28">{escape(key.text)}</text>')
        x += 56 + 7 * len(key.text)
    return "".join(parts)


def _panel(panel: Panel, number: int) -> str:
    xs = [value for series in panel.series for value in series.x]
    ys = [value for series in panel.series for value in series.values()]
    first, last = min(xs), max(xs)
    x_ticks = [tick for tick in panel.x_ticks or ticks(first, last) if first <= tick <= last]
    y_ticks = ticks(*(panel.limits or (min(ys), max(ys))))
    across = _Scale(first, last, LEFT, PANEL_WIDTH - RIGHT)
    up = _Scale(y_ticks[0], y_ticks[-1], PANEL_HEIGHT - BOTTOM, TOP)
    parts = [f'<text class="title" x="{LEFT}" y="20">{escape(panel.title)}</text>']
    for value in y_ticks:
        y = up(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{PANEL_WIDTH - RIGHT}"/>')
        text = f"{value:.0%}" if panel.percent else f"{value:g}"
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:g}" text-anchor="end">{text}</text>')
    floor = PANEL_HEIGHT - BOTTOM
    parts.append(f'<path class="axis" d="M{LEFT} {floor}H{PANEL_WIDTH - RIGHT}"/>')
    for value in x_ticks:
        parts.append(
            f'<text x="{across(value)}" y="{floor + 15}" text-anchor="middle">{value:g}</text>'
        )
    middle = (LEFT + PANEL_WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle:g}" y="{floor + 31}" text-anchor="middle">{escape(panel.x_title)}</text>'
    )
    clip = f"p{number}"
    parts.append(
        f'<clipPath id="{clip}"><rect x="{LEFT}" y="{TOP}" width="{PANEL_WIDTH - RIGHT - LEFT}" '
        f'height="{floor - TOP}"/></clipPath><g clip-path="url(#{clip})">'
    )
    parts += [_series(series, across, up) for series in panel.series]
    return "".join([*parts, "</g>"])


def _series(series: Series, across: _Scale, up: _Scale) -> str:
    def path(values: Sequence[float], x: Sequence[float]) -> str:
        points = zip(x, values, strict=True)
        return "M" + "L".join(f"{across(a)} {up(b)}" for a, b in points)

    parts = []
    if series.low:
        there, back = path(series.high, series.x), path(series.low[::-1], series.x[::-1])
        parts.append(f'<path class="band c{series.color}" d="{there}L{back[1:]}Z"/>')
    for one in series.each:
        parts.append(f'<path class="thin c{series.color}" d="{path(one, series.x)}"/>')
    dashed = " dashed" if series.dashed else ""
    parts.append(f'<path class="line c{series.color}{dashed}" d="{path(series.y, series.x)}"/>')
    return "".join(parts)


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers, evenly spaced, from at or below ``low`` to at or above ``high``."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power * TICKS >= span * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [round(number * step, 10) for number in range(first, last + 1)]
