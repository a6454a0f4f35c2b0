"""The sum that a LoRA layer makes, in fewer steps than PEFT's own and in the base's type.

PEFT scales the update at its full width and then adds it, which reads and writes every output twice
more, and again in the backward pass. Here the narrow product is scaled, and the wide one is added
as it is multiplied. Where an adapter is kept in float32 over a base that is not, PEFT takes every
input to float32, multiplies there and keeps it for the backward pass; here the adapter is rounded
for the product, as autocast would, and its gradients are summed and applied in float32.
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
        """``x`` is ``[..., in]`` and ``result`` of the base ``[..., out]``."""
        x = x.to(result.dtype)  # PEFT has cast it where another kind of LoRA is on the layer
        down = module.lora_A[active_adapter].weight.to(result.dtype)
        up = module.lora_B[active_adapter].weight.to(result.dtype)
        narrow = functional.linear(module.lora_dropout[active_adapter](x), down)
        narrow = narrow * module.scaling[active_adapter]
        return torch.addmm(result.flatten(0, -2), narrow.flatten(0, -2), up.T).view_as(result)


def add_once(layer: Any, adapter: str) -> None:
    """Let ``layer`` compute ``adapter`` so, unless it is another kind of LoRA.

    PEFT casts a layer's inputs for all its adapters or for none.
    """
    plain = adapter in layer.lora_A and adapter not in layer.lora_variant
    if plain and layer.lora_B[adapter].bias is None:
        layer.lora_variant[adapter] = AddedOnce()
    variants = [layer.lora_variant.get(name) for name in layer.lora_A]
    layer.cast_input_dtype_enabled = not all(isinstance(one, AddedOnce) for one in variants)
