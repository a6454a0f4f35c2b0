"""Picture files to the numbers that a base's vision tower takes.

Nothing here needs the base itself, so it can be done in other processes: what is here can be
pickled.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from torch import Tensor

from training.rlhf.errors import DataError

_DEPTHS = (8, 10, 12, 14, 16)
_TEXT_KEYS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


@dataclass(frozen=True, eq=False)
class Pixels:
    """What the processor makes of one picture."""

    inputs: dict[str, Tensor]
    placeholder_ids: list[int]


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """What a base's processor, and the settings, make of a picture file."""

    processor: Any
    placeholder: str
    pad_to_square: bool
    max_pixels: int

    def __call__(self, path: Path) -> Pixels:
        """Raises DataError for a file that is no picture or that the processor refuses."""
        return self.pixels(path, self.picture(path))

    def picture(self, path: Path) -> Image.Image:
        """The picture as it goes into the processor: not too large, square if that is asked."""
        return self.squared(within(read_image(path), self.max_pixels))

    def squared(self, picture: Image.Image) -> Image.Image:
        """The picture on a square, if that is asked."""
        if not self.pad_to_square:
            return picture
        mean = getattr(self.processor.image_processor, "image_mean", None) or (0.5, 0.5, 0.5)
        red, green, blue = (round(255 * channel) for channel in mean)
        return padded_to_square(picture, (red, green, blue))

    def pixels(self, path: Path, picture: Image.Image) -> Pixels:
        """What the processor makes of ``picture``; DataError names ``path``, where it is from."""
        try:
            return self.processed(picture)
        except Exception as error:  # processors raise whatever they like
            width, height = picture.size
            raise DataError(
                f"images/{path.name}: the base model's processor refuses {width} x {height} pixels "
                f"({str(error)[:200]})"
            ) from error

    def processed(self, picture: Image.Image) -> Pixels:
        """The same without a word about the file."""
        inputs = self.processor(
            text=[self.placeholder],
            images=[picture],
            return_tensors="pt",
            add_special_tokens=False,
        )
        ids = inputs["input_ids"][0].tolist()
        return Pixels({k: v for k, v in inputs.items() if k not in _TEXT_KEYS}, ids)


def read_image(path: Path) -> Image.Image:
    """An RGB picture; DataError names the file when it is broken or no picture.

    It is what people see who judge, as imports make it: upright, on white where it is transparent,
    and of 16 bits those that are used.
    """
    try:
        with Image.open(path) as file:
            picture = _eight_bits(ImageOps.exif_transpose(file))
            if not picture.has_transparency_data:
                return picture.convert("RGB")
            above = picture.convert("RGBA")
            white = Image.new("RGBA", above.size, "white")
            return Image.alpha_composite(white, above).convert("RGB")
    except Image.UnidentifiedImageError:
        what = "is empty" if path.stat().st_size == 0 else "is no picture, or of a kind not read"
        raise DataError(f"images/{path.name} cannot be read as a picture: it {what}") from None
    except Image.DecompressionBombError:
        raise DataError(
            f"images/{path.name} cannot be read as a picture: it is too large"
        ) from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error):
        raise DataError(
            f"images/{path.name} cannot be read as a picture: it is broken or cut off"
        ) from None


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of up to 16 bits as 8; by itself PIL makes white of everything above 255."""
    if not picture.mode.startswith("I"):
        return picture
    whole = picture.convert("I")
    most = whole.getextrema()[1]
    depth = next(bits for bits in _DEPTHS if most < 2**bits or bits == _DEPTHS[-1])
    return whole.point(lambda value: value / 2 ** (depth - 8)).convert("L")


def within(picture: Image.Image, max_pixels: int) -> Image.Image:
    """The picture, made smaller in both directions if it has more than ``max_pixels``; 0 is any."""
    width, height = picture.size
    if not max_pixels or width * height <= max_pixels:
        return picture
    scale = math.sqrt(max_pixels / (width * height))
    size = max(int(width * scale), 1), max(int(height * scale), 1)
    return picture.resize(size, Image.Resampling.BICUBIC)


def padded_to_square(picture: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """The picture centred on a square of ``colour`` (the paper's preprocessing)."""
    width, height = picture.size
    if width == height:
        return picture
    side = max(width, height)
    square = Image.new("RGB", (side, side), colour)
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square
