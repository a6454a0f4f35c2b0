from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.rlhf import tiny
from training.rlhf.contract import LoraSettings, ModelSettings, Turn
from training.rlhf.data import Batch
from training.rlhf.merging import MergedAdapter
from training.rlhf.models import VisionLanguageModel


def adapted(base_folder: Path, dtype: str = "float32") -> VisionLanguageModel:
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype=dtype))
    model.add_adapter("policy", LoraSettings(rank=4, alpha=8))
    with torch.no_grad():
        for parameter in model.trainable("policy").values():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def batch_of(model: VisionLanguageModel, files: list[Path]) -> Batch:
    prompts = [
        model.chat.prompt((Turn(speaker="human", text="<image>\nwhat ?"),), image)
        for image in model.encode_images(files)
    ]
    return Batch.pad(prompts, pad_id=model.pad_id, device=model.device, side="left")


@torch.no_grad()
def test_merged_weights_compute_what_the_adapter_does(
    base_folder: Path, image_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = adapted(base_folder)
    batch = batch_of(model, image_files)
    with model.using("policy"):
        expected = model.hidden_states(batch)
    merged = MergedAdapter(model, "policy")
    for name, module in model.base.named_modules():
        if name.endswith("lora_A.policy"):
            monkeypatch.setattr(module, "forward", None)  # the adapter itself takes no part
    with merged.applied():
        torch.testing.assert_close(model.hidden_states(batch), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_in_bfloat16_nothing_is_merged(base_folder: Path) -> None:
    model = adapted(base_folder, "bfloat16")
    before = {name: p.clone() for name, p in model.base.named_parameters()}
    assert not model.can_merge("policy")
    with MergedAdapter(model, "policy").applied():
        for name, parameter in model.base.named_parameters():
            assert torch.equal(parameter, before[name]), name


@torch.no_grad()
def test_base_weights_come_back_bit_for_bit(base_folder: Path) -> None:
    model = adapted(base_folder)
    before = {name: p.clone() for name, p in model.base.named_parameters()}
    merged = MergedAdapter(model, "policy")
    changed = 0
    with pytest.raises(RuntimeError), merged.applied():
        for name, parameter in model.base.named_parameters():
            changed += not torch.equal(parameter, before[name])
        raise RuntimeError
    assert changed == 7 * 2
    for name, parameter in model.base.named_parameters():
        assert torch.equal(parameter, before[name]), name
        assert parameter.dtype == before[name].dtype


@torch.no_grad()
def test_a_base_in_four_bits_is_not_merged(
    base_folder: Path, image_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = adapted(base_folder)
    weight = model.base.get_decoder().layers[0].self_attn.q_proj.weight
    before = weight.clone()
    monkeypatch.setattr(model.base, "is_quantized", True, raising=False)
    with model.using("policy"):
        expected = model.hidden_states(batch_of(model, image_files))
    with MergedAdapter(model, "policy").applied():
        assert torch.equal(weight, before)
        assert torch.equal(model.hidden_states(batch_of(model, image_files)), expected)


def test_no_adapter_means_the_bare_base(base_folder: Path, image_files: list[Path]) -> None:
    model = adapted(base_folder)
    with torch.no_grad(), MergedAdapter(model, None).applied():
        hidden = model.hidden_states(batch_of(model, image_files))
        plain = VisionLanguageModel(tiny.model(), tiny.processor(), device=torch.device("cpu"))
        assert torch.equal(hidden, plain.hidden_states(batch_of(plain, image_files)))
