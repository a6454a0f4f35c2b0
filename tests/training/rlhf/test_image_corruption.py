from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun
from training.rlhf.contract import Kind, PreferencePair
from training.rlhf.events import EventWriter
from training.rlhf.image_corruption import cropped, exchanged
from training.rlhf.run_directory import Run, read_spec


def pairs_of(*images: str) -> list[PreferencePair]:
    records = [tiny.preference_records([name])[0] for name in images]
    return [PreferencePair.from_json(r | {"id": str(n)}) for n, r in enumerate(records)]


def test_each_pair_is_shown_the_image_of_another() -> None:
    found = exchanged(pairs_of("a", "a", "b", "c"))
    assert [pair.image for pair in found] == ["b", "b", "c", "a"]
    assert [pair.id for pair in found] == ["0", "1", "2", "3"]


def test_pairs_of_text_alone_are_shown_no_image() -> None:
    [alone] = (replace(pair, image="", id="9") for pair in pairs_of("a"))
    assert [pair.id for pair in exchanged([*pairs_of("a", "b"), alone, alone])] == ["0", "1"]


def test_where_no_other_image_is_nothing_is_exchanged() -> None:
    several = replace(pairs_of("b")[0], id="9", more_images=("c",))
    assert exchanged(pairs_of("a", "a")) == []
    assert exchanged([*pairs_of("a"), several]) == []  # not as many of them
    assert exchanged([]) == []


@contextmanager
def opened(directory: Path) -> Iterator[Run]:
    with EventWriter(directory / "events.jsonl", stream=io.StringIO()) as writer:
        yield Run(directory, read_spec(directory, Kind.DPO), writer)


def test_crops_are_small_parts_and_the_same_each_time(make_run: MakeRun) -> None:
    directory = make_run(Kind.DPO)
    picture = Image.effect_noise((100, 60), 90).convert("RGB")
    picture.save(directory / "images" / "noise.png")
    with opened(directory) as run:
        [pair] = cropped(run, pairs_of("noise.png"))
        [file] = run.image_files(pair)
    assert file.is_relative_to(directory) and not file.is_relative_to(directory / "images")
    with Image.open(file) as crop:
        assert crop.size == picture.size
        assert detail(crop) < detail(picture) / 2  # a part of it, enlarged
    content = file.read_bytes()
    file.unlink()
    with opened(directory) as again:
        [repeated] = again.image_files(cropped(again, pairs_of("noise.png"))[0])
    assert repeated.read_bytes() == content
    assert not list(file.parent.glob("*.unfinished"))


def detail(picture: Image.Image) -> float:
    """Mean difference of neighbouring pixels."""
    grey = np.asarray(picture.convert("L"), dtype=float)
    return float(np.abs(np.diff(grey, axis=1)).mean())


def test_the_run_s_own_pictures_hide_none_of_its_data(make_run: MakeRun) -> None:
    pair = pairs_of("000-red.png")[0]
    with opened(make_run(Kind.DPO)) as run:
        before = run.image_files(pair)
        cropped(run, [pair])
        assert run.image_files(pair) == before
