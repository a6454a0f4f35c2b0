"""Flickr30k: descriptions of an image as people wrote them.

Three forms of the captions file go around and all are read: ``results_20130124.token`` (image, "#",
number, tab, caption), ``results.csv`` (columns between "| "), and files with ``image,caption``.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from training.rlhf.contract import ConversationRecord
from training.rlhf.converters.reading import check_image, choose, conversation, lines
from training.rlhf.errors import DataError

REQUESTS = (
    "Describe the image in one sentence.",
    "What does the image show? One sentence will do.",
    "Write a short caption that says only what can be seen.",
    "Briefly, what is in this picture?",
)
_TOKEN_LINE = re.compile(r"(?P<image>[^#\t]+)#\d+\t(?P<caption>.*)")
_BAR_LINE = re.compile(r"(?P<image>[^|]+)\|\s*\d+\s*(?:\||\s)(?P<caption>.*)")
"""One line of the published file lacks its second bar."""
_BLANK_BEFORE_MARK = re.compile(r"\s([.,;:!?])")


def flickr30k(files: Mapping[str, Path], dropped: Counter[str]) -> Iterator[ConversationRecord]:
    """One conversation an image from ``captions``: one caption is the answer, all are facts."""
    by_image: dict[str, list[str]] = {}
    for image, caption in _captions(files["captions"]):
        text = _BLANK_BEFORE_MARK.sub(r"\1", " ".join(caption.split()))
        if text:
            by_image.setdefault(image, []).append(text)
        else:
            dropped["empty caption"] += 1
    for image, captions in by_image.items():
        request = choose(REQUESTS, seed=f"request-{image}")
        answer = choose(captions, seed=f"caption-{image}")
        identity = f"flickr-{image.removesuffix('.jpg')}"
        yield conversation(identity, image, [(request, answer)], captions=captions)


def _captions(path: Path) -> Iterator[tuple[str, str]]:
    """Image name and caption of each line, whatever the form of the file."""
    every = lines(path)
    first, where = next(every, ("", path.name))
    heading = [column.strip() for column in first.lower().replace("|", ",").split(",")]
    if heading[:1] == ["image_name"]:
        matched = _BAR_LINE.fullmatch
    elif heading == ["image", "caption"]:
        yield from _comma_separated(every)
        return
    else:
        matched = _TOKEN_LINE.fullmatch
        yield _columns(matched(first), where)
    for line, where in every:
        yield _columns(matched(line), where)


def _comma_separated(every: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for line, where in every:
        [columns] = csv.reader([line])
        if len(columns) != 2:
            raise DataError(f"{where}: has {len(columns)} columns, not image and caption")
        yield _image(columns[0], where), columns[1]


def _columns(found: re.Match[str] | None, where: str) -> tuple[str, str]:
    if found is None:
        raise DataError(f"{where}: is not an image, a number and a caption")
    return _image(found["image"], where), found["caption"]


def _image(name: str, where: str) -> str:
    check_image(name.strip(), f"{where}, image")
    return name.strip()
