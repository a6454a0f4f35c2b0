"""Tensors on disk: the one place that reads and writes them, and finite numbers only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

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
    file that is missing or damaged.
    """
    tensors: dict[str, Tensor] = load_file(path)
    for name, tensor in tensors.items():
        check_finite(f"tensor {name} of {path.parent.name}/{path.name}", tensor)
    return tensors
