"""Tensors on disk: the one place that reads and writes them, and finite numbers only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.rlhf.contract.weights import instead_of_weights
from training.rlhf.finite import check_finite


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file; raises NonFinite, and writes nothing, for what is not finite."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    for name, tensor in whole.items():
        check_finite(f"tensor {name}", tensor)
    save_file(whole, path, metadata={"format": "pt"})


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, on the CPU.

    Raises NonFinite for one that holds what is no finite number, OSError or SafetensorError for a
    file that is missing or damaged; the latter says in words which file, and what it is instead.
    """
    with _said_in_words(path):
        tensors: dict[str, Tensor] = load_file(path)
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and tensor.element_size() < 2:
                kind = str(tensor.dtype).removeprefix("torch.")
                raise _OfAByte(f"holds {name} in {kind}, of which no scale is read here")
    for name, tensor in tensors.items():
        check_finite(f"tensor {name} of {path.parent.name}/{path.name}", tensor)
    return tensors


def check_whole(path: Path) -> None:
    """Raises SafetensorError, as ``read_tensors`` does, without reading the tensors."""
    with _said_in_words(path), safe_open(path, framework="pt"):
        pass


class _OfAByte(ValueError):
    """Numbers that a file of tensors holds without what they are multiplied by."""


@contextmanager
def _said_in_words(path: Path) -> Iterator[None]:
    """Of a damaged file: which it is, and what it is instead."""
    try:
        yield
    except _OfAByte as error:
        raise SafetensorError(f"{path.parent.name}/{path.name} {error}") from None
    except SafetensorError:
        instead = instead_of_weights(path)
        raise SafetensorError(f"{path.parent.name}/{path.name} {instead}") from None
