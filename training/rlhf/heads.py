"""What makes numbers of a hidden state: one head, or an ensemble of them on one backbone.

One linear head is stored as it always was, and several as the rows of its matrix, so a file says by
itself what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

Form = Literal["linear", "mlp"]


class Perceptrons(nn.Module):
    """``count`` heads of two layers with SiLU between them; ``[..., hidden]`` to ``[..., count]``.

    The first layer is as wide as the hidden state.
    """

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_perceptron(width) for _ in range(count))

    def forward(self, hidden: Tensor) -> Tensor:
        return torch.cat([head(hidden) for head in self.heads], -1)


def new(width: int, *, form: Form = "linear", count: int = 1, zero: bool = True) -> nn.Module:
    """``count`` heads on hidden states of ``width``, in float32 on the CPU.

    Their last layers are zeros, or, without ``zero``, what torch draws for each; biases are 0.
    """
    if form == "mlp":
        several = Perceptrons(width, count)
        for head in several.heads:
            assert isinstance(head, nn.Sequential)
            _begin(head[-1], zero=zero)
        return several
    return _begin(nn.Linear(width, count, dtype=torch.float32), zero=zero)  # drawn row by row


def like(tensors: Mapping[str, Tensor], width: int) -> nn.Module:
    """Heads of the form and number that stored ``tensors`` have, without their values."""
    several = {name.split(".")[1] for name in tensors if name.startswith("heads.")}
    if several:
        return Perceptrons(width, len(several))
    weight = tensors.get("weight")
    return new(width, count=len(weight) if weight is not None and weight.dim() == 2 else 1)


def count_of(module: nn.Module) -> int:
    """How many numbers it makes of a hidden state."""
    if isinstance(module, Perceptrons):
        return len(module.heads)
    assert isinstance(module, nn.Linear)
    return module.out_features


def spread(values: Tensor) -> Tensor:
    """How far heads are apart: the standard deviation of ``[..., heads]`` over them, ``[...]``.

    Of these heads, not an estimate for more of them (no Bessel's correction), as in Coste et al.
    2023 (arXiv 2310.02743), section 3: 0 for one head.
    """
    return values.std(-1, correction=0)


def _perceptron(width: int) -> nn.Sequential:
    layers = (nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))
    return nn.Sequential(*layers).to(torch.float32)


def _begin(last: nn.Module, *, zero: bool) -> nn.Module:
    assert isinstance(last, nn.Linear)
    if zero:
        nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return last
