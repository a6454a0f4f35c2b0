"""Images read, preprocessed and encoded once; afterwards only their features travel.

How many placeholder tokens an image takes is asked of the processor, never computed here, so any
family's processor may decide it (tiles, merged patches, a fixed number).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from training.rlhf.errors import ModelError
from training.rlhf.images_ahead import Ahead
from training.rlhf.pixels import Pixels, Preprocessing
from training.rlhf.pixels import read_image as read_image
from training.rlhf.processes import Processes, processes

ENCODE_BATCH = 32
_TRIAL_SIZE = (96, 64)
"""Wider than high, so that a processor that mixes the two up is found out."""
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
        return self.parts or ((self,) if self.placeholder_ids else ())


NO_IMAGE = EncodedImage(torch.empty(0), [], {})
"""Of a prompt that is text alone."""


def joined(images: Sequence[EncodedImage]) -> EncodedImage:
    """The images of one prompt as one; ModelError where the family takes one and they are more."""
    if len(images) < 2:
        return images[0] if images else NO_IMAGE
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
        self._preprocess = Preprocessing(processor, placeholder, pad_to_square, max_pixels)
        self._encode = encode
        self._ahead: Ahead | None = None
        self._budget_bytes = budget_bytes
        self._known: OrderedDict[tuple[Path, ...], EncodedImage] = OrderedDict()
        self._held_bytes = 0
        self._accepted_sizes: set[tuple[int, int]] = set()
        self.most_tokens = 0
        """The most tokens that a picture has taken which was looked at."""
        self.trial_tokens = 0
        """Image tokens of the picture that was tried, if one was."""

    def __call__(
        self, paths: Sequence[Path | tuple[Path, ...]], *, shared: bool = False
    ) -> list[EncodedImage]:
        """Encode ``paths``, in their order; DataError names a file that is no picture.

        Several paths in one place are the images of one prompt, none are those of text alone. What
        all processes ask for (``shared``) each encodes a part of, and hands it to the others; all
        must call it then.
        """
        wanted = [path if isinstance(path, tuple) else (path,) for path in paths]
        single = dict.fromkeys((path,) for files in wanted for path in files)
        result: dict[tuple[Path, ...], EncodedImage] = {
            key: self._recalled(key) for key in single if key in self._known
        }
        everyone = processes() if shared else Processes()
        unknown = everyone.any_of([key not in result for key in single])
        missing = [path for (path,), new in zip(single, unknown, strict=True) if new]
        for path, image in zip(missing, self._encoded(missing, everyone), strict=True):
            result[(path,)] = self._remember((path,), image)
        for files in dict.fromkeys(wanted):
            if files in self._known:
                result[files] = self._recalled(files)
            elif files not in result:
                together = joined([result[(path,)] for path in files])
                result[files] = self._remember(files, together)
        return [result[files] for files in wanted]

    def expect(self, paths: Iterable[Path], workers: int) -> None:
        """Let ``workers`` processes begin to preprocess what will be asked for, ``shared``, next.

        Of that, this process's part. Afterwards ``close`` ends the workers.
        """
        unknown = [path for path in dict.fromkeys(paths) if (path,) not in self._known]
        mine = processes().share(unknown)
        if mine and workers:
            self._ahead = self._ahead or Ahead(self._preprocess, workers)
            self._ahead.expect(mine)

    def close(self) -> None:
        """End the workers, if there are any."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def try_out(self, image_token_id: int) -> None:
        """Encode one picture; ModelError where the base's files do not fit each other.

        There have to be as many image tokens as the vision tower makes features.
        """
        picture = self._preprocess.squared(Image.new("RGB", _TRIAL_SIZE, "white"))
        try:
            pixels = self._preprocess.processed(picture)
            with torch.no_grad():
                [features] = self._encode(pixels.inputs).last
        except Exception as error:  # processors and towers raise whatever they like
            why = f": {str(error)[:200]}" if str(error) else ""
            raise ModelError(
                "the base model cannot encode a picture: config.json and the processor's files "
                f"(processor_config.json, preprocessor_config.json) do not fit{why}"
            ) from error
        tokens = pixels.placeholder_ids.count(image_token_id)
        if tokens != len(features) and not tokens:
            raise ModelError(
                f"the base model's processor puts no token {image_token_id} where a picture is: "
                "image_token_index (or image_token_id) of config.json is not that of image_token "
                "in processor_config.json"
            )
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

    def _encoded(self, paths: list[Path], everyone: Processes) -> list[EncodedImage]:
        """Images of ``paths``, of which each process encodes its share."""
        own, mine = everyone.share(paths), list[EncodedImage]()
        for start in range(0, len(own), ENCODE_BATCH):
            mine += self._encode_files(own[start : start + ENCODE_BATCH])
        if everyone.count == 1:
            return [_kept(image) for image in mine]
        described = [(i.placeholder_ids, i.extras, len(i.layers), i.alone) for i in mine]
        tensors = iter(everyone.exchange([t for i in mine for t in (i.features, *i.layers)]))
        everything = [
            EncodedImage(next(tensors), ids, extras, tuple(islice(tensors, layers)), alone=alone)
            for ids, extras, layers, alone in chain(*everyone.each(described))
        ]
        return [_kept(image) for image in everyone.in_order(everything, len(paths))]

    def _pixels_of(self, path: Path) -> Pixels:
        ahead = None if self._ahead is None else self._ahead.take(path)
        return ahead or self._preprocess(path)

    def _encode_files(self, paths: list[Path]) -> list[EncodedImage]:
        pixels = [self._pixels_of(path) for path in paths]
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
        return self._preprocess.picture(path)

    def check(self, path: Path) -> None:
        """Raise DataError for a file that is no picture or that the processor refuses.

        Whether it does is a matter of the picture's size, so each size is tried once.
        """
        picture = self.picture(path)
        if picture.size not in self._accepted_sizes:
            taken = len(self._preprocess.pixels(path, picture).placeholder_ids)
            self.most_tokens = max(self.most_tokens, taken)
            self._accepted_sizes.add(picture.size)

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


def _kept(image: EncodedImage) -> EncodedImage:
    """The same, kept off the GPU where its copies back begin at once (pinned memory)."""
    if image.features.device.type != "cuda":
        return image
    features, *layers = (each.cpu().pin_memory() for each in (image.features, *image.layers))
    return replace(image, features=features, layers=tuple(layers))


def _bytes(image: EncodedImage) -> int:
    return image.features.nbytes + sum(layer.nbytes for layer in image.layers)


def _stackable(a: Pixels, b: Pixels) -> bool:
    return all(a.inputs[name].shape == b.inputs[name].shape for name in a.inputs)
