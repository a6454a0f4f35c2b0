"""The sum that a LoRA layer makes, in fewer steps than PEFT's own.

PEFT scales the update at its full width and then adds it, which reads and writes every output twice
more, and again in the backward pass. Here the narrow product is scaled, and the wide one is added
as it is multiplied.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import LoraVariant
from torch import Tensor
from torch.nn import functional


class AddedOnce(LoraVariant):
    """``result + scaling * B A x``: PEFT's plain LoRA up to rounding."""

    @staticmethod
    def init(module: Any, adapter_name: str, **options: Any) -> None:
        """Nothing to prepare: the weights are PEFT's own."""

    @staticmethod
    def forward(
        module: Any, active_adapter: str, x: Tensor, result: Tensor, **options: Any
    ) -> Tensor:
        """``x`` is ``[..., in]`` in the adapter's type, ``result`` of the base ``[..., out]``."""
        up = module.lora_B[active_adapter].weight
        narrow = functional.linear(
            module.lora_dropout[active_adapter](x), module.lora_A[active_adapter].weight
        )
        narrow = narrow * module.scaling[active_adapter]
        if result.dtype != up.dtype:  # the adapter is in float32, the base is not
            return result + functional.linear(narrow, up)
        return torch.addmm(result.flatten(0, -2), narrow.flatten(0, -2), up.T).view_as(result)


def add_once(layer: Any, adapter: str) -> None:
    """Let ``layer`` compute ``adapter`` so, unless it is another kind of LoRA."""
    plain = adapter in layer.lora_A and adapter not in layer.lora_variant
    if plain and layer.lora_B[adapter].bias is None:
        layer.lora_variant[adapter] = AddedOnce()
