from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.training.rlhf import tiny
from training.rlhf.errors import DataError
from training.rlhf.images import Features, ImageEncoder
from training.rlhf.pixels import padded_to_square, read_image


class Counting:
    """Stands for a model: features are the mean colour, and calls are counted."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, inputs: dict[str, Tensor]) -> Features:
        pixels = inputs["pixel_values"]
        self.batches.append(len(pixels))
        means = list(pixels.mean((2, 3))[:, None, :])
        return Features(means, layers=[[2 * mean for mean in means]])


def encoder(encode: Counting, *, pad: bool = False, budget_bytes: int = 10**9) -> ImageEncoder:
    return ImageEncoder(
        tiny.processor(),
        encode,
        placeholder="<image>",
        pad_to_square=pad,
        budget_bytes=budget_bytes,
    )


def test_each_file_is_encoded_once_and_answers_keep_their_order(image_files: list[Path]) -> None:
    model = Counting()
    encode = encoder(model)
    a, b, c = image_files
    first = encode([a, b, a])
    assert model.batches == [2]
    assert first[0] is first[2]
    again = encode([c, b, a])
    assert model.batches == [2, 1]
    assert again[1] is first[1]
    assert again[2] is first[0]
    assert first[0].placeholder_ids == [tiny.SPECIAL.index("<image>")] * 4


def test_features_outlive_their_batch(image_files: list[Path]) -> None:
    encoded = encoder(Counting())(image_files)
    for image in encoded:
        for features in (image.features, *image.layers):
            assert features.untyped_storage().nbytes() == features.nbytes
        assert torch.equal(image.layers[0], 2 * image.features)  # each its own


def test_oldest_features_make_room(image_files: list[Path]) -> None:
    model = Counting()
    encode = encoder(model, budget_bytes=2 * 2 * 3 * 4)  # two images of two rows of three floats
    a, b, c = image_files
    encode([a, b])
    encode([a])
    encode([c])
    encode([a, c])
    assert model.batches == [2, 1]
    encode([b])
    assert model.batches == [2, 1, 1]


@pytest.mark.parametrize("content", [b"", b"not a picture", b"<svg xmlns='x'/>"])
def test_broken_picture_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"images/broken\.png cannot be read"):
        read_image(path)


def test_truncated_picture_is_named(image_files: list[Path]) -> None:
    content = image_files[0].read_bytes()
    image_files[0].write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        read_image(image_files[0])


def test_padding_to_a_square_centres_the_picture() -> None:
    square = padded_to_square(Image.new("RGB", (4, 2), (255, 0, 0)), (1, 2, 3))
    assert square.size == (4, 4)
    rows = [square.getpixel((0, y)) for y in range(4)]
    assert rows == [(1, 2, 3), (255, 0, 0), (255, 0, 0), (1, 2, 3)]
    upright = padded_to_square(Image.new("RGB", (2, 4)), (1, 2, 3))
    assert upright.getpixel((0, 0)) == (1, 2, 3)
    assert upright.getpixel((1, 0)) == (0, 0, 0)


def test_padding_changes_the_features_of_an_oblong_picture(tmp_path: Path) -> None:
    path = tmp_path / "oblong.png"
    Image.new("RGB", (20, 5), (255, 0, 0)).save(path)
    plain = encoder(Counting())([path])[0].features
    padded = encoder(Counting(), pad=True)([path])[0].features
    assert not torch.allclose(plain, padded)
