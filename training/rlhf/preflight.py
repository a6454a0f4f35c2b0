"""What a run would do without a word and yet be worth nothing: told before its first step.

Nothing here refuses a run. A base that knows 75 words trains on photographs as willingly as on its
own scenes, and ends with figures like any other; these checks say what such figures rest on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training.rlhf.contract import Record
from training.rlhf.models import VisionLanguageModel
from training.rlhf.run_directory import Run

MOST_RECORDS = 500
MOST_PICTURES = 64
COMPARED_PICTURES = 4
UNKNOWN_SHARE = 0.01
"""From here on it is told; a tokenizer of bytes or characters has no unknown tokens at all."""
PLAIN_SHARE = 0.1

Doubt = tuple[str, str]
"""A code that stays the same, and words for people."""


def doubts(
    run: Run, models: Sequence[VisionLanguageModel], records: Sequence[Record]
) -> list[Doubt]:
    """What speaks against training or answering with these ``models`` on these ``records``."""
    sampled = _spread(records, MOST_RECORDS)
    files = list(dict.fromkeys(path for record in sampled for path in run.image_files(record)))
    found: dict[str, Doubt] = {}
    for model in models:
        for doubt in (*_words(model, sampled), *_pictures(model, _spread(files, MOST_PICTURES))):
            found.setdefault(doubt[0], doubt)
    return list(found.values())


def left_out(count: int, of: int, what: str) -> Doubt:
    """Records that the settings leave out, such as prompts that leave no room for an answer."""
    return ("records_left_out", f"{count:,} of {of:,} {what} cannot be used and are left out.")


def _words(model: VisionLanguageModel, records: Sequence[Record]) -> Iterator[Doubt]:
    unknown, total = model.chat.unknown_tokens(text for one in records for text in texts_of(one))
    if total and unknown / total >= UNKNOWN_SHARE:
        yield (
            "unknown_tokens",
            f"{100 * unknown / total:.0f} % of the tokens of these texts are unknown to the base "
            f"model, whose vocabulary has {model.chat.vocabulary_size:,}: it cannot read or write "
            "them.",
        )


def texts_of(record: Record) -> Iterator[str]:
    """All that a model may have to read or write of a record."""
    yield from (turn.text for turn in getattr(record, "conversation", ()))
    yield from filter(None, (getattr(record, f"output_{number}", "") for number in (1, 2)))
    yield from record.captions


def _pictures(model: VisionLanguageModel, files: Sequence[Path]) -> Iterator[Doubt]:
    pictures = {path: model.encode_images.picture(path) for path in files}
    plain = [path for path, picture in pictures.items() if _is_blank(picture)]
    if files and len(plain) >= max(1, PLAIN_SHARE * len(files)):
        yield (
            "plain_images",
            f"{len(plain)} of {len(files)} images that were looked at are white, black or grey all "
            f"over once they are read, such as {plain[0].name}: nothing is to be seen on them.",
        )
    contents = {picture.tobytes(): path for path, picture in pictures.items()}
    differing = list(contents.values())[:COMPARED_PICTURES]
    if len(differing) > 1 and _all_alike(model, differing):
        yield (
            "images_look_alike",
            f"{len(differing)} different images are the same to the base model: what it makes of "
            "an image does not depend on it.",
        )


def _is_blank(picture: Image.Image) -> bool:
    """As a transparent or broken picture is once it is read; a plain red one is a picture."""
    colours = picture.convert("RGB").getcolors(1)  # None where there are more
    return colours is not None and len({*np.ravel(colours[0][1])}) == 1


@torch.no_grad()
def _all_alike(model: VisionLanguageModel, files: Sequence[Path]) -> bool:
    first, *others = (image.features.float() for image in model.encode_images(list(files)))
    return all(
        other.shape == first.shape and torch.allclose(other, first, rtol=1e-4, atol=1e-6)
        for other in others
    )


def _spread(items: Sequence, most: int) -> list:
    """At most ``most`` of them, from beginning to end."""
    step = max(1, -(-len(items) // most))
    return list(items[::step])
