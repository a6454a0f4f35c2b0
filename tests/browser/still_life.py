"""Drawn pictures with known contents, for screenshots that show no photograph of anybody.

A still life of a table by a window, drawn three times as large and shrunk, so that edges are soft.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

SCALE = 3
WIDTH, HEIGHT = 960, 640
MUGS = {"red": "#c8473d", "blue": "#3f6fb5", "green": "#4d8f5b", "yellow": "#e0b13c"}
WALLS = ("#e9e1d3", "#d9e2e4", "#e6dcdc", "#dfe3d3")


@dataclass(frozen=True)
class StillLife:
    """What is on the table."""

    mug: str
    books: int
    apples: int
    lamp: bool
    wall: str

    @classmethod
    def random(cls, seed: int) -> StillLife:
        draw = random.Random(seed)
        return cls(
            mug=draw.choice(list(MUGS)),
            books=draw.randint(2, 4),
            apples=draw.randint(2, 4),
            lamp=draw.random() < 0.6,
            wall=draw.choice(WALLS),
        )

    def png(self) -> bytes:
        canvas = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), self.wall)
        pen = ImageDraw.Draw(canvas, "RGBA")
        _window(pen)
        _table(pen)
        _books(pen, self.books)
        _mug(pen, MUGS[self.mug])
        for number in range(self.apples):
            _apple(pen, 600 + 82 * number, 470 + 16 * (number % 2))
        if self.lamp:
            _lamp(pen)
        buffer = io.BytesIO()
        canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(buffer, "PNG")
        return buffer.getvalue()


def _box(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
    return x0 * SCALE, y0 * SCALE, x1 * SCALE, y1 * SCALE


def _points(*places: tuple[float, float]) -> list[tuple[float, float]]:
    return [(x * SCALE, y * SCALE) for x, y in places]


def _window(pen: ImageDraw.ImageDraw) -> None:
    pen.rectangle(_box(330, 40, 640, 300), fill="#ffffff")
    for column in range(2):
        for row in range(2):
            x, y = 342 + 149 * column, 52 + 122 * row
            pen.rectangle(_box(x, y, x + 137, y + 114), fill="#a9cfe8" if row == 0 else "#c9e0d2")
    pen.ellipse(_box(520, 70, 565, 115), fill="#fff3c4")
    pen.polygon(_points((342, 288), (342, 235), (410, 205), (479, 250), (479, 288)), fill="#8db89a")
    pen.rectangle(_box(318, 298, 652, 314), fill="#f4efe6")


def _table(pen: ImageDraw.ImageDraw) -> None:
    pen.polygon(_points((0, 430), (960, 430), (960, 640), (0, 640)), fill="#a9764a")
    for y in (470, 520, 580):
        pen.line(_points((0, y), (960, y)), fill="#9a6a41", width=2 * SCALE)
    pen.rectangle(_box(0, 426, 960, 434), fill="#8a5c37")


def _books(pen: ImageDraw.ImageDraw, count: int) -> None:
    colours = ("#2f4858", "#7f5539", "#b56576", "#588157")
    pen.ellipse(_box(70, 478, 330, 506), fill=(60, 36, 18, 60))
    for number in range(count):
        y = 490 - 34 * (number + 1)
        shift = (0, 12, -6, 8)[number]
        pen.rounded_rectangle(
            _box(90 + shift, y, 310 + shift, y + 32), 5 * SCALE, fill=colours[number]
        )
        pen.rectangle(_box(296 + shift, y + 5, 310 + shift, y + 27), fill="#f5efe0")
        pen.rectangle(_box(120 + shift, y + 8, 128 + shift, y + 24), fill=(255, 255, 255, 90))


def _mug(pen: ImageDraw.ImageDraw, colour: str) -> None:
    pen.ellipse(_box(400, 500, 560, 530), fill=(60, 36, 18, 70))
    pen.arc(_box(505, 400, 585, 480), -90, 90, fill=colour, width=14 * SCALE)
    pen.rounded_rectangle(_box(415, 380, 540, 518), 14 * SCALE, fill=colour)
    pen.ellipse(_box(415, 366, 540, 398), fill="#f7f2ea")
    pen.ellipse(_box(424, 372, 531, 394), fill="#4a2c1a")
    pen.rounded_rectangle(_box(430, 405, 442, 500), 6 * SCALE, fill=(255, 255, 255, 60))


def _apple(pen: ImageDraw.ImageDraw, x: float, y: float) -> None:
    pen.ellipse(_box(x - 4, y + 56, x + 78, y + 76), fill=(60, 36, 18, 70))
    pen.ellipse(_box(x, y, x + 72, y + 70), fill="#b8383a")
    pen.ellipse(_box(x + 14, y + 12, x + 30, y + 30), fill=(255, 255, 255, 80))
    pen.line(_points((x + 36, y + 8), (x + 42, y - 10)), fill="#5b3a1e", width=4 * SCALE)


def _lamp(pen: ImageDraw.ImageDraw) -> None:
    pen.polygon(_points((700, 210), (880, 210), (990, 430), (590, 430)), fill=(255, 240, 190, 46))
    pen.rectangle(_box(784, 200, 796, 440), fill="#3b3f46")
    pen.ellipse(_box(740, 432, 840, 456), fill="#3b3f46")
    pen.polygon(_points((745, 110), (835, 110), (885, 215), (695, 215)), fill="#e9c46a")
