"""The small world's pictures and texts: a random scene, its rendering, its captions and facts.

The vocabulary and the meaning of a scene live in ``benchmark.protocols.small_world``, because the
oracle must not depend on the demo. Everything random takes a ``random.Random``, so a seed fixes it.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from random import Random

from PIL import Image, ImageDraw

from benchmark.protocols.small_world import (
    BACKGROUNDS,
    COLORS,
    POSITIONS,
    SHAPES,
    Scene,
    Thing,
)

CELL_PIXELS = 18
"""One vision patch of the base model covers exactly one cell."""
GRID = 3
MOST_THINGS = 3
FACTS_PER_SCENE = 5
HELD_OUT_ONE_IN = 5

_PAINT = {
    "red": (214, 48, 49),
    "green": (38, 166, 91),
    "blue": (41, 98, 255),
    "yellow": (245, 190, 20),
    "light": (244, 244, 240),
    "dark": (38, 40, 48),
}
_SUPERSAMPLING = 4


def random_scene(rng: Random, *, held_out: bool = False) -> Scene:
    """One to three objects on distinct cells, listed in reading order.

    A scene belongs for ever to one side: about a fifth is held out and never trained on.
    """
    while is_held_out(scene := _any_scene(rng)) != held_out:
        pass
    return scene


def is_held_out(scene: Scene) -> bool:
    """Decided by a hash of the scene, so that no list of scenes has to be kept."""
    text = json.dumps(scene.to_json(), sort_keys=True)
    return hashlib.sha256(text.encode()).digest()[0] % HELD_OUT_ONE_IN == 0


def _any_scene(rng: Random) -> Scene:
    cells = sorted(rng.sample(range(len(POSITIONS)), rng.randint(1, MOST_THINGS)))
    things = tuple(Thing(POSITIONS[c], rng.choice(COLORS), rng.choice(SHAPES)) for c in cells)
    return Scene(things=things, background=rng.choice(BACKGROUNDS))


def render(scene: Scene, *, cell_pixels: int = CELL_PIXELS) -> Image.Image:
    """The picture, RGB, ``3 * cell_pixels`` square; every object stays inside its own cell."""
    picture = Image.new("RGB", (GRID * cell_pixels,) * 2, _PAINT[scene.background])
    for thing in scene.things:
        row, column = divmod(POSITIONS.index(thing.position), GRID)
        cell = _cell(thing.color, thing.shape, scene.background, cell_pixels)
        picture.paste(cell, (column * cell_pixels, row * cell_pixels))
    return picture


@cache
def _cell(color: str, shape: str, background: str, pixels: int) -> Image.Image:
    size = pixels * _SUPERSAMPLING
    cell = Image.new("RGB", (size, size), _PAINT[background])
    draw = ImageDraw.Draw(cell)
    low, high = size * 0.14, size * 0.86
    if shape == "circle":
        draw.ellipse((low, low, high, high), fill=_PAINT[color])
    elif shape == "square":
        draw.rectangle((low, low, high, high), fill=_PAINT[color])
    else:
        draw.polygon([(size / 2, low), (low, high), (high, high)], fill=_PAINT[color])
    return cell.resize((pixels, pixels), Image.Resampling.BOX)


def sentence(things: list[Thing] | tuple[Thing, ...]) -> str:
    """The wording of a caption: ``"top red circle and left blue square."``."""
    return " and ".join(map(str, things)) + "."


def caption(scene: Scene, rng: Random | None = None) -> str:
    """A true and complete caption, in reading order or, given ``rng``, in random order."""
    things = list(scene.things)
    if rng is not None:
        rng.shuffle(things)
    return sentence(things)


def facts(scene: Scene, rng: Random) -> list[str]:
    """Five true captions by five imagined people; each may omit objects, together they do not.

    As with the five COCO captions of a photograph, no single one need be complete.
    """
    told: list[list[Thing]] = []
    for _ in range(FACTS_PER_SCENE):
        things = list(scene.things)
        rng.shuffle(things)
        told.append(things[: rng.randint(1, len(things))])
    for thing in scene.things:
        if not any(thing in things for things in told):
            rng.choice(told).append(thing)
    return [sentence(things) for things in told]


def told(scene: Scene, rng: Random) -> list[str]:
    """The same captions, of which one or two end with a word on the background."""
    captions = facts(scene, rng)
    for index in rng.sample(range(FACTS_PER_SCENE), rng.randint(1, 2)):
        captions[index] = f"{captions[index][:-1]} and background {scene.background}."
    return captions
