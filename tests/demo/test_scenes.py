"""Scenes, their pictures and their facts."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from benchmark.protocols.small_world import (
    BACKGROUNDS,
    POSITIONS,
    Scene,
    Thing,
    claims,
    coverage,
    hallucinating,
)
from demo.scenes import caption, facts, is_held_out, random_scene, render

EMPTY_BUT_ONE = Scene(things=(Thing("center", "red", "square"),), background="light")


def test_random_scene_depends_on_the_seed_alone() -> None:
    first, again, other = (
        [random_scene(rng) for _ in range(20)] for rng in (Random(1), Random(1), Random(2))
    )
    assert first == again
    assert first != other


def test_random_scene_uses_every_size_place_and_background() -> None:
    rng = Random(0)
    scenes = [random_scene(rng) for _ in range(300)]
    assert {len(scene.things) for scene in scenes} == {1, 2, 3}
    assert {thing.position for scene in scenes for thing in scene.things} == set(POSITIONS)
    assert {scene.background for scene in scenes} == set(BACKGROUNDS)


def test_random_scene_lists_things_in_reading_order() -> None:
    rng = Random(3)
    for _ in range(50):
        order = [POSITIONS.index(thing.position) for thing in random_scene(rng).things]
        assert order == sorted(order)


def test_held_out_scenes_never_meet_training_scenes() -> None:
    rng = Random(4)
    train = {random_scene(rng) for _ in range(2000)}
    held_out = {random_scene(rng, held_out=True) for _ in range(500)}
    assert not train & held_out
    assert all(is_held_out(scene) for scene in held_out)


def test_held_out_scenes_are_about_a_fifth_of_each_size() -> None:
    rng = Random(5)
    sizes = Counter(len(random_scene(rng, held_out=True).things) for _ in range(900))
    assert all(200 < sizes[size] < 400 for size in (1, 2, 3))


@pytest.mark.parametrize("cell_pixels", [18, 72])
def test_render_keeps_every_object_inside_its_cell(cell_pixels: int) -> None:
    picture = np.asarray(render(EMPTY_BUT_ONE, cell_pixels=cell_pixels))
    assert picture.shape == (3 * cell_pixels, 3 * cell_pixels, 3)
    changed = np.argwhere((picture != picture[0, 0]).any(axis=-1))
    assert changed.min() >= cell_pixels
    assert changed.max() < 2 * cell_pixels


def test_render_shows_what_differs() -> None:
    looks = [
        Scene(things=(Thing("center", color, shape),), background=background)
        for color in ("red", "blue")
        for shape in ("circle", "square", "triangle")
        for background in BACKGROUNDS
    ]
    assert len({render(scene).tobytes() for scene in looks}) == len(looks)


def test_caption_is_true_and_complete_in_any_order() -> None:
    rng = Random(6)
    for _ in range(50):
        scene = random_scene(rng)
        for text in (caption(scene), caption(scene, rng)):
            assert not hallucinating(text, scene)
            assert coverage(text, scene) == 1


def test_facts_are_five_true_captions_that_together_name_everything() -> None:
    rng = Random(7)
    partial = 0
    for _ in range(200):
        scene = random_scene(rng)
        told = facts(scene, rng)
        assert len(told) == 5
        assert not any(hallucinating(text, scene) for text in told)
        assert {thing for text in told for thing in claims(text) or ()} == set(scene.things)
        partial += any(coverage(text, scene) < 1 for text in told)
    assert partial > 50
