"""Records from files, and token sequences to padded batches.

An error names file, line number and field. An image is looked up only inside ``images/``: a record
cannot name a file elsewhere.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from training.rlhf.contract import ContractError, Record
from training.rlhf.errors import DataError
from training.rlhf.images import EncodedImage
from training.rlhf.names import is_file
from training.rlhf.reading import records

R = TypeVar("R", bound=Record, covariant=True)
T = TypeVar("T")


class RecordType(Protocol[R]):
    """A record class of the contract."""

    def from_json(self, data: dict[str, object]) -> R: ...


def read_records(
    path: Path, record_type: RecordType[R], *, images: Path, ids_once: bool = False
) -> list[R]:
    """All records of a file of JSON lines or of one array; blank lines are skipped.

    Raises DataError for a missing or empty file, a line that is not JSON, a field that does not
    follow the contract, and an image that is not in ``images``. ``ids_once``: also for an id that
    stands twice, where results are told by it.
    """
    name = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise DataError(f"{name} is missing")
    found: list[R] = []
    places: dict[str, str] = {}
    for where, value in records(path, name):
        try:
            record = record_type.from_json(value)
            for image in record.images:
                image_path(images, image)
        except (ContractError, DataError) as error:
            raise DataError(f"{where}: {error}") from None
        first = places.setdefault(record.id, where) if ids_once else where
        if first != where:
            line = first.rpartition(", ")[2]
            raise DataError(f"{where}: id: {record.id[:100]!r} is the id of {line} too")
        found.append(record)
    if not found:
        raise DataError(f"{name} has no records")
    return found


def image_path(images: Path, name: str) -> Path:
    """The file of an image; DataError when it is missing or outside the folder."""
    path = images / name
    try:
        inside = path.resolve().is_relative_to(images.resolve())
    except (OSError, ValueError):  # a name that no system holds
        inside = True
    if not inside:
        raise DataError(f"image: {name[:100]!r} is outside the images folder")
    if not is_file(path):
        raise DataError(f"image: {name[:100]!r} is not in the images folder")
    return path


def batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Consecutive groups of ``size``; the last may be smaller."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def by_length(lengths: Sequence[int]) -> list[int]:
    """Indices from longest to shortest: a batch holds like lengths and memory peaks first."""
    return sorted(range(len(lengths)), key=lambda index: -lengths[index])


def rows_within(size: int, tokens: int, longest: int) -> int:
    """How many rows go together when the longest has ``longest`` tokens and the others are padded.

    At most ``size`` and, unless ``tokens`` is 0, as many as make so many; one in any case.
    """
    return min(size, max(tokens // longest, 1)) if tokens else size


def length_batches(lengths: Sequence[int], size: int, tokens: int = 0) -> Iterator[list[int]]:
    """Indices ``by_length`` in batches of as many as ``rows_within`` allows."""
    left = by_length(lengths)
    while left:
        count = rows_within(size, tokens, lengths[left[0]])
        yield left[:count]
        left = left[count:]


@functools.lru_cache(maxsize=4)  # a step needs the epoch of the step before, or the next one too
def _epoch(count: int, seed: int, number: int) -> tuple[int, ...]:
    order = list(range(count))
    random.Random(f"order-{seed}-{number}").shuffle(order)
    return tuple(order)


@dataclass(frozen=True)
class EndlessOrder:
    """A shuffled order over ``count`` items, epoch after epoch, computed from the seed alone.

    Any position can be asked for at any time, so a resumed run needs no saved iterator.
    """

    count: int
    seed: int

    def epoch(self, number: int) -> list[int]:
        """All items in the order of one epoch."""
        return [*_epoch(self.count, self.seed, number)]

    def slice(self, start: int, size: int) -> list[tuple[int, int]]:
        """``(epoch, index)`` of ``size`` items from position ``start`` on, crossing epochs."""
        result: list[tuple[int, int]] = []
        while len(result) < size:
            epoch, offset = divmod(start + len(result), self.count)
            wanted = _epoch(self.count, self.seed, epoch)[offset : offset + size - len(result)]
            result.extend((epoch, index) for index in wanted)
        return result


@dataclass(frozen=True)
class TokenSequence:
    """Token ids, image placeholders included, and the image that fills them."""

    ids: list[int]
    image: EncodedImage
    shared: int = 0
    """So many tokens at the beginning that other sequences are likely to begin with, too."""
    response: int = 0
    """So many tokens behind those that are a response, where something follows it."""

    def __len__(self) -> int:
        return len(self.ids)

    def beginning(self, length: int) -> TokenSequence:
        """Its first ``length`` tokens; the image must be among them."""
        return TokenSequence(self.ids[:length], self.image)


@dataclass(frozen=True)
class Batch:
    """Padded sequences; ``images[i]`` belongs to row ``i``, ``NO_IMAGE`` to one of text alone."""

    input_ids: Tensor
    """``[batch, sequence]``"""
    attention_mask: Tensor
    """``[batch, sequence]``, 1 on tokens and 0 on padding."""
    images: list[EncodedImage]

    @property
    def shown(self) -> list[EncodedImage]:
        """Of the rows that have any, in their order."""
        return [image for image in self.images if image.placeholder_ids]

    @classmethod
    def pad(
        cls, sequences: Sequence[TokenSequence], *, pad_id: int, device: torch.device, side: str
    ) -> Self:
        """``side`` is "left" for prompts that go on, "right" for finished sequences."""
        width = max(len(sequence) for sequence in sequences)
        ids, mask = [], []
        for sequence in sequences:
            gap = width - len(sequence)
            padding, zeros, ones = [pad_id] * gap, [0] * gap, [1] * len(sequence)
            ids.append(padding + sequence.ids if side == "left" else sequence.ids + padding)
            mask.append(zeros + ones if side == "left" else ones + zeros)
        return cls(
            input_ids=torch.tensor(ids, device=device),
            attention_mask=torch.tensor(mask, device=device),
            images=[sequence.image for sequence in sequences],
        )
