"""All that the engine uses of other libraries without their having promised it, in one place.

Any version may change any of it without a word, which is why `pyproject.toml` has upper bounds.
Each is named and tried by ``tests/training/rlhf/test_library_internals.py``: raising a bound begins
there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from peft.tuners.lora.layer import LoraVariant
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.distributed.fsdp._fully_shard._fsdp_api import AllGather
from torch.distributed.tensor.debug import _clear_sharding_prop_cache
from transformers.cache_utils import Cache, DynamicLayer
from transformers.processing_utils import ProcessorMixin
from transformers.utils import is_torchvision_available

__all__ = ["Cache", "DynamicLayer", "LoraVariant"]

ENCODED_IMAGES = "mm_encoder_outputs"
"""The input of a family's forward by which it takes images that are encoded already."""
AnyMask = ("sdpa", "eager")
"""Kinds of attention that add a mask from outside, whatever it says."""

# ---- transformers ----------------------------------------------------------------------------


@contextlib.contextmanager
def images_only() -> Iterator[None]:
    """Without torchvision, load and save processors without the part that reads videos.

    transformers would refuse the whole processor of a family that also takes videos.
    """
    if is_torchvision_available():
        yield
        return
    parts = ProcessorMixin.__dict__["get_attributes"]

    def without_video(cls: type) -> list[str]:
        return [name for name in parts.__get__(None, cls)() if name != "video_processor"]

    type.__setattr__(ProcessorMixin, "get_attributes", classmethod(without_video))
    try:
        yield
    finally:
        type.__setattr__(ProcessorMixin, "get_attributes", parts)


def has_own_positions(base: Any) -> bool:
    """Whether the family places image tokens in several dimensions and works that out itself."""
    return hasattr(base.model, "get_rope_index")


def position_shift(base: Any) -> Tensor | None:
    """What the last images moved the positions behind them by, ``[batch, 1]``, if they did."""
    shift: Tensor | None = getattr(base.model, "rope_deltas", None)
    return shift


def deeper_features(output: Any) -> Any:
    """Features that an image encoder made for deeper layers of the language model, by layer."""
    return getattr(output, "deepstack_features", None) or ()


def encoder_output(kind: type[Any], features: Any, layers: list[Any]) -> Any:
    """Encoded images in the form in which the family's own encoder hands them on."""
    if not layers:
        return kind(pooler_output=features)
    return kind(pooler_output=features, deepstack_features=layers)


def takes_outside_masks(config: Any) -> bool:
    """Whether attention of this kind adds any mask that it is given."""
    return config._attn_implementation in AnyMask


def changes_frequencies(base: Any) -> bool:
    """Whether frequencies of positions are worked out anew for long sequences, by Python."""
    kinds = [getattr(module, "rope_type", None) for module in base.modules()]
    return any("dynamic" in (k.values() if isinstance(k, dict) else [k]) for k in kinds)


def checkpoints_activations(base: Any) -> bool:
    """Whether a forward pass with gradients is computed again in the backward pass."""
    return bool(getattr(base, "is_activation_checkpointing", False))


# ---- PEFT ------------------------------------------------------------------------------------


def adapted_layers(base: Any) -> list[Any]:
    """The layers of ``base`` that adapters are on."""
    return [module for module in base.modules() if isinstance(module, BaseTunerLayer)]


def adapter_in_use(layer: Any) -> tuple[list[str], bool]:
    """Active adapters of a layer, and whether all are switched off."""
    return layer._active_adapter, layer._disable_adapters


def use_adapter(layer: Any, active: list[str], disabled: bool) -> None:
    """As ``set_adapter``, which would also change what is trained."""
    layer._active_adapter, layer._disable_adapters = active, disabled


def variant_of(layer: Any, adapter: str) -> Any:
    """What computes an adapter on a layer in place of PEFT's own sum, if anything does."""
    return layer.lora_variant.get(adapter)


def compute_by(layer: Any, adapter: str, variant: LoraVariant) -> None:
    """Let ``variant`` compute an adapter on a layer."""
    layer.lora_variant[adapter] = variant


def cast_inputs(layer: Any, cast: bool) -> None:
    """Whether PEFT brings a layer's inputs to the type of its adapters."""
    layer.cast_input_dtype_enabled = cast


# ---- FSDP2 -----------------------------------------------------------------------------------


class AskingFirst(AllGather):
    """Puts a layer together by ``gather(whole, piece, group)``, which returns when it is whole."""

    def __init__(self, gather: Callable[[Tensor, Tensor, Any], None]) -> None:
        self._gather = gather

    def allocate(self, size: Any, *, dtype: torch.dtype, device: torch.device) -> Tensor:
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(
        self, output_tensor: Tensor, input_tensor: Tensor, group: Any, async_op: bool = False
    ) -> None:
        self._gather(output_tensor, input_tensor, group)


def begin_alone(layer: Any) -> None:
    """Let a layer be a root of its own, whichever is run first."""
    layer._get_fsdp_state()._lazy_init()


def forget_layouts() -> None:
    """Let go of what is remembered of tensors in pieces: it holds the processes' group."""
    _clear_sharding_prop_cache()


def piece_of(layer: Any) -> Tensor:
    """What this process gives when a layer in pieces or whole is put together, flat."""
    return torch.cat([part._sharded_param_data for part in _parts(layer)])


def pieces_of(layer: Any) -> list[nn.Parameter]:
    """The weights of a layer in pieces, as its modules have them then."""
    return [part.sharded_param for part in _parts(layer)]


def whole_of(layer: Any) -> list[nn.Parameter]:
    """The same weights whole, of a layer that has been so before."""
    return [part.unsharded_param for part in _parts(layer)]


def _parts(layer: Any) -> Any:
    [group] = layer._get_fsdp_state()._fsdp_param_groups
    return group.fsdp_params


# ---- bitsandbytes ----------------------------------------------------------------------------


def keep_gradients(base: Any) -> None:
    """Let layers in four bits be learnt through in evaluation mode, whatever the processor.

    On a CPU with bfloat16 instructions they would be laid out anew for a product without gradients.
    """
    for module in base.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
