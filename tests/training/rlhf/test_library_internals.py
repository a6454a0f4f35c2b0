"""Each private interface of transformers and PEFT that the engine uses, by name."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
from peft.tuners.lora.layer import Linear, LoraVariant
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.distributed.fsdp._fully_shard._fsdp_param import FSDPParam
from torch.distributed.fsdp._fully_shard._fsdp_state import FSDPState
from transformers import (
    LlavaModel,
    PreTrainedModel,
    Qwen2_5_VLModel,
    Qwen3VLModel,
)
from transformers.cache_utils import Cache, DynamicLayer
from transformers.models.qwen3_vl import modeling_qwen3_vl
from transformers.processing_utils import ProcessorMixin

import training.rlhf
from training.rlhf import library_internals
from training.rlhf.models import VisionLanguageModel

ENGINE = Path(training.rlhf.__file__).parent
PROMISED = {"transformers", "transformers.utils", "transformers.modeling_outputs", "peft"}
"""Modules of both that anybody may import from."""
PRIVATE = {
    *("_active_adapter", "_disable_adapters", "lora_variant", "cast_input_dtype_enabled"),
    *("_attn_implementation", "is_activation_checkpointing", "get_attributes"),
    "support_avx512bf16_for_cpu",
    *("_get_fsdp_state", "_lazy_init", "_fsdp_param_groups", "_sharded_param_data"),
    *("sharded_param", "unsharded_param"),
    *("get_rope_index", "rope_deltas", "rope_type", "deepstack_features", "mm_encoder_outputs"),
}


def names_in(path: Path) -> set[str]:
    """Modules imported and private names used: as attributes, strings or keywords."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] in ("transformers", "peft", "accelerate"):
                found.add(node.module)
        elif isinstance(node, ast.Attribute):
            found |= {node.attr} & PRIVATE
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {node.value} & PRIVATE
        elif isinstance(node, ast.keyword):
            found |= {node.arg or ""} & PRIVATE
    return found


@pytest.mark.parametrize("path", sorted(ENGINE.rglob("*.py")), ids=lambda path: path.stem)
def test_they_are_used_in_one_module_only(path: Path) -> None:
    found = names_in(path) - PROMISED
    assert bool(found) is (path.name == "library_internals.py"), found


def test_that_module_uses_what_is_named_here() -> None:
    assert names_in(ENGINE / "library_internals.py") >= PRIVATE - {"get_attributes"}


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (BaseTunerLayer, ["_active_adapter", "_disable_adapters", "active_adapters"]),
        (LoraVariant, ["init", "forward"]),
        (DynamicLayer, ["lazy_initialization", "update", "is_initialized"]),
        (ProcessorMixin, ["get_attributes"]),
        (PreTrainedModel, ["is_activation_checkpointing"]),
        (FSDPState, ["_lazy_init", "_fsdp_param_groups"]),
        (FSDPParam, ["_sharded_param_data", "sharded_param", "unsharded_param"]),
        (Qwen2_5_VLModel, ["get_rope_index"]),
        (Qwen3VLModel, ["get_rope_index"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_they_are_there(owner: Any, names: list[str]) -> None:
    source = inspect.getsource(owner)
    for name in names:
        assert hasattr(owner, name) or name in source, name


@pytest.mark.parametrize("owner", [LlavaModel, Qwen2_5_VLModel, Qwen3VLModel])
def test_a_forward_takes_encoded_images(owner: Any) -> None:
    assert library_internals.ENCODED_IMAGES in inspect.signature(owner.forward).parameters


def test_a_cache_is_made_of_layers() -> None:
    assert "layers" in inspect.signature(Cache.__init__).parameters


def test_deeper_features_have_their_name() -> None:
    assert "deepstack_features" in inspect.getsource(modeling_qwen3_vl)
    assert "rope_deltas" in inspect.getsource(modeling_qwen3_vl)


def test_a_layer_has_what_is_set_on_it(model: VisionLanguageModel) -> None:
    from tests.training.rlhf.conftest import LORA

    model.add_adapter("policy", LORA)
    layer = library_internals.adapted_layers(model.base)[0]
    assert isinstance(layer, Linear)
    assert isinstance(library_internals.variant_of(layer, "policy"), LoraVariant)
    assert layer.cast_input_dtype_enabled is False
    with model.using("policy"):
        assert library_internals.adapter_in_use(layer) == (["policy"], False)
        assert (layer.active_adapters, layer.disable_adapters) == (["policy"], False)
    assert library_internals.takes_outside_masks(model.base.config)
    assert library_internals.checkpoints_activations(model.base) is False
    assert library_internals.changes_frequencies(model.base) is False
    assert any(hasattr(module, "rope_type") for module in model.base.modules())
