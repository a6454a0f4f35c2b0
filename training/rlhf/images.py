"""Images read, preprocessed and encoded once; afterwards only their features travel.

How many placeholder tokens an image takes is asked of the processor, never computed here, so any
family's processor may decide it (tiles, merged patches, a fixed number).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from training.rlhf.errors import DataError, ModelError

ENCODE_BATCH = 32
_TRIAL_SIZE = (96, 64)
"""Wider than high, so that a processor that mixes the two up is found out."""
_TEXT_KEYS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
_TOGETHER_KEYS = ("batch_num_images",)
"""A processor that counts the images of a prompt makes fewer tiles of each when there are more."""
_POSITION_KEYS = ("image_grid_thw",)
"""What a model still wants to know of an image that is already encoded: where its tokens stand."""


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """What the language model needs of an image."""

    features: Tensor
    """``[image_tokens, hidden]``, after the projector."""
    placeholder_ids: list[int]
    """The token ids that stand for the image in a prompt."""
    extras: dict[str, Tensor]
    """Further per-image tensors the model's forward wants, such as a grid size."""
    layers: tuple[Tensor, ...] = ()
    """Features that deeper layers of the language model add (deepstack), each as ``features``."""
    parts: tuple[EncodedImage, ...] = ()
    """Several images of one prompt in their order, where it is made of several."""
    alone: bool = False
    """The family would encode it otherwise if it stood beside others."""

    @property
    def each(self) -> tuple[EncodedImage, ...]:
        return self.parts or (self,)


def joined(images: Sequence[EncodedImage]) -> EncodedImage:
    """Several images of one prompt as one; ModelError where the family takes only one."""
    if len(images) == 1:
        return images[0]
    if any(image.alone for image in images):
        raise ModelError("this base model's family takes one image in a prompt here, not several")
    return EncodedImage(
        features=torch.cat([image.features for image in images]),
        placeholder_ids=[token for image in images for token in image.placeholder_ids],
        extras={n: torch.cat([image.extras[n] for image in images]) for n in images[0].extras},
        layers=tuple(torch.cat(layer) for layer in zip(*(i.layers for i in images), strict=True)),
        parts=tuple(images),
    )


@dataclass(frozen=True, eq=False)
class Features:
    """What the vision tower and projector made of a batch of images, one entry an image."""

    last: Sequence[Tensor]
    layers: Sequence[Sequence[Tensor]] = ()
    """By layer of the language model, then by image."""


@dataclass(frozen=True, eq=False)
class _Pixels:
    inputs: dict[str, Tensor]
    placeholder_ids: list[int]


class ImageEncoder:
    """Image files to ``EncodedImage``, remembering the most recent ones up to a budget."""

    def __init__(
        self,
        processor: Any,
        encode: Callable[[dict[str, Tensor]], Features],
        *,
        placeholder: str,
        pad_to_square: bool,
        max_pixels: int = 0,
        budget_bytes: int = 4 * 2**30,
    ) -> None:
        self._processor = processor
        self._encode = encode
        self._placeholder = placeholder
        self._pad_to_square = pad_to_square
        self._max_pixels = max_pixels
        self._budget_bytes = budget_bytes
        self._known: OrderedDict[tuple[Path, ...], EncodedImage] = OrderedDict()
        self._held_bytes = 0
        self._accepted_sizes: set[tuple[int, int]] = set()
        self.most_tokens = 0
        """The most tokens that a picture has taken which was looked at."""
        self.trial_tokens = 0
        """Image tokens of the picture that was tried, if one was."""

    def __call__(self, paths: Sequence[Path | tuple[Path, ...]]) -> list[EncodedImage]:
        """Encode ``paths``, in their order; DataError names a file that is no picture.

        Several paths in one place are the images of one prompt.
        """
        wanted = [path if isinstance(path, tuple) else (path,) for path in paths]
        single = dict.fromkeys((path,) for files in wanted for path in files)
        result: dict[tuple[Path, ...], EncodedImage] = {}
        missing: list[Path] = []
        for key in single:
            if key in self._known:
                result[key] = self._recalled(key)
            else:
                missing += key
        for start in range(0, len(missing), ENCODE_BATCH):
            part = missing[start : start + ENCODE_BATCH]
            for path, image in zip(part, self._encode_files(part), strict=True):
                result[(path,)] = self._remember((path,), image)
        for files in dict.fromkeys(wanted):
            if files in self._known:
                result[files] = self._recalled(files)
            elif files not in result:
                together = joined([result[(path,)] for path in files])
                result[files] = self._remember(files, together)
        return [result[files] for files in wanted]

    def try_out(self, image_token_id: int) -> None:
        """Encode one picture; ModelError where the base's files do not fit each other.

        There have to be as many image tokens as the vision tower makes features.
        """
        picture = Image.new("RGB", _TRIAL_SIZE, "white")
        if self._pad_to_square:
            picture = padded_to_square(picture, self._background())
        try:
            pixels = self._processed(picture)
            with torch.no_grad():
                [features] = self._encode(pixels.inputs).last
        except Exception as error:  # processors and towers raise whatever they like
            raise ModelError(
                "the base model cannot encode a picture: config.json and the processor's files "
                f"(processor_config.json, preprocessor_config.json) do not fit: {str(error)[:200]}"
            ) from error
        tokens = pixels.placeholder_ids.count(image_token_id)
        if tokens != len(features):
            raise ModelError(
                f"the base model makes {len(features)} features of a picture, and its processor "
                f"{tokens} image tokens: look at patch_size, vision_feature_select_strategy and "
                "num_additional_image_tokens in processor_config.json and config.json"
            )
        self.trial_tokens = tokens

    def forget(self) -> None:
        """Encode every image anew from now on."""
        self._known.clear()
        self._held_bytes = 0

    def _encode_files(self, paths: list[Path]) -> list[EncodedImage]:
        pixels = [self._preprocess(path) for path in paths]
        encoded: list[EncodedImage] = []
        start = 0
        while start < len(pixels):  # images of one shape share a forward pass
            stop = start + 1
            while stop < len(pixels) and _stackable(pixels[start], pixels[stop]):
                stop += 1
            group = pixels[start:stop]
            inputs = {k: torch.cat([p.inputs[k] for p in group]) for k in group[0].inputs}
            with torch.no_grad():
                features = self._encode(inputs)
            for number, (one, tensor) in enumerate(zip(group, features.last, strict=True)):
                extras = {k: v for k, v in one.inputs.items() if k in _POSITION_KEYS}
                # copies: a slice would keep the whole batch in memory
                layers = tuple(layer[number].clone() for layer in features.layers)
                alone = any(name in one.inputs for name in _TOGETHER_KEYS)
                encoded.append(
                    EncodedImage(tensor.clone(), one.placeholder_ids, extras, layers, alone=alone)
                )
            start = stop
        return encoded

    def picture(self, path: Path) -> Image.Image:
        """The picture as it goes into the processor: not too large, square if that is asked."""
        picture = within(read_image(path), self._max_pixels)
        return padded_to_square(picture, self._background()) if self._pad_to_square else picture

    def check(self, path: Path) -> None:
        """Raise DataError for a file that is no picture or that the processor refuses.

        Whether it does is a matter of the picture's size, so each size is tried once.
        """
        picture = self.picture(path)
        if picture.size not in self._accepted_sizes:
            taken = len(self._pixels(path, picture).placeholder_ids)
            self.most_tokens = max(self.most_tokens, taken)
            self._accepted_sizes.add(picture.size)

    def _preprocess(self, path: Path) -> _Pixels:
        return self._pixels(path, self.picture(path))

    def _pixels(self, path: Path, picture: Image.Image) -> _Pixels:
        try:
            return self._processed(picture)
        except Exception as error:  # processors raise whatever they like
            width, height = picture.size
            raise DataError(
                f"images/{path.name}: the base model's processor refuses {width} x {height} pixels "
                f"({str(error)[:200]})"
            ) from error

    def _processed(self, picture: Image.Image) -> _Pixels:
        inputs = self._processor(
            text=[self._placeholder],
            images=[picture],
            return_tensors="pt",
            add_special_tokens=False,
        )
        ids = inputs["input_ids"][0].tolist()
        return _Pixels({k: v for k, v in inputs.items() if k not in _TEXT_KEYS}, ids)

    def _background(self) -> tuple[int, int, int]:
        mean = getattr(self._processor.image_processor, "image_mean", None) or (0.5, 0.5, 0.5)
        red, green, blue = (round(255 * channel) for channel in mean)
        return red, green, blue

    def _recalled(self, key: tuple[Path, ...]) -> EncodedImage:
        self._known.move_to_end(key)
        return self._known[key]

    def _remember(self, key: tuple[Path, ...], image: EncodedImage) -> EncodedImage:
        self._known[key] = image
        self._held_bytes += _bytes(image)
        while self._held_bytes > self._budget_bytes and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._held_bytes -= _bytes(oldest)
        return image


def read_image(path: Path) -> Image.Image:
    """An RGB picture; DataError names the file when it is broken or no picture.

    A transparent one stands on white, as it does for the people who judge (imports compose it).
    """
    try:
        with Image.open(path) as picture:
            if not picture.has_transparency_data:
                return picture.convert("RGB")
            above = picture.convert("RGBA")
            white = Image.new("RGBA", above.size, "white")
            return Image.alpha_composite(white, above).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"images/{path.name} cannot be read as a picture ({error})") from None


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


def _bytes(image: EncodedImage) -> int:
    return image.features.nbytes + sum(layer.nbytes for layer in image.layers)


def _stackable(a: _Pixels, b: _Pixels) -> bool:
    return all(a.inputs[name].shape == b.inputs[name].shape for name in a.inputs)
