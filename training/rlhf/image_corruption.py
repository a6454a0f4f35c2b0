"""Damaged images: what a policy that looks at its image should say something else to.

A pair is damaged by another image in place of its own, so everything that takes a pair takes a
damaged one too, and its results are kept under the image that was really shown.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import durable
from training.rlhf.contract import PreferencePair
from training.rlhf.pixels import read_image
from training.rlhf.run_directory import Run

LARGEST_SHARE = 0.2
"""Of a picture's area that a crop keeps at most (mDPO, arXiv 2406.11839, section 3.2)."""
_FOLDER = "damaged"


def exchanged(pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
    """Those of ``pairs`` that can be shown the image of another record, with that image.

    It is that of the next pair in order which has other images, and as many of them; where all have
    the same, none is left. Pairs of text alone have none to exchange.
    """
    found = []
    for place, pair in enumerate(pairs):
        following = (pairs[(place + step) % len(pairs)] for step in range(1, len(pairs)))
        other = next((o for o in following if _exchangeable(pair, o)), None)
        if other is not None:
            found.append(replace(pair, image=other.image, more_images=other.more_images))
    return found


def cropped(run: Run, pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
    """``pairs`` with a random crop of each image, which the run's seed and the image decide.

    The crops are written beside the run's data, once.
    """
    found = []
    for pair in pairs:
        names = [
            _crop(run, name, path)
            for name, path in zip(pair.images, run.image_files(pair), strict=True)
        ]
        found.append(replace(pair, image=names[0], more_images=tuple(names[1:])))
    return found


def _exchangeable(pair: PreferencePair, other: PreferencePair) -> bool:
    alike = 0 < len(other.images) == len(pair.images)
    return alike and not set(other.images) & set(pair.images)


def _crop(run: Run, name: str, path: Path) -> str:
    digest = hashlib.sha256(f"{run.spec.seed} {name}".encode()).hexdigest()
    cropped_name = f"{_FOLDER}/{digest}.png"
    if cropped_name not in run.made_images:
        target = run.directory / cropped_name
        if not target.is_file():
            _write_crop(path, target, random.Random(digest))
        run.made_images[cropped_name] = target
    return cropped_name


def _write_crop(source: Path, target: Path, chance: random.Random) -> None:
    picture = read_image(source)
    side = math.sqrt(chance.uniform(0, LARGEST_SHARE))
    width, height = (max(int(length * side), 1) for length in picture.size)
    left = chance.randint(0, picture.width - width)
    top = chance.randint(0, picture.height - height)
    crop = picture.crop((left, top, left + width, top + height)).resize(picture.size)
    target.parent.mkdir(exist_ok=True)
    unfinished = target.with_suffix(f".{os.getpid()}.unfinished")
    crop.save(unfinished, "PNG")
    durable.place(unfinished, target)
