"""Adapters that other tools have made: loaded right, or refused with the member at fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

from training.rlhf.contract import ModelSettings, Turn
from training.rlhf.data import Batch
from training.rlhf.errors import ModelError
from training.rlhf.models import VisionLanguageModel

# PEFT asks for an attribute that transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")


def peft_adapter(base: Path, folder: Path, **config: object) -> Path:
    """An adapter that PEFT itself has made, with random weights."""
    model = LlavaForConditionalGeneration.from_pretrained(base)
    torch.manual_seed(4)
    made = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, **config))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    made.save_pretrained(folder)
    return folder


def hidden_under(model: VisionLanguageModel, files: list[Path]) -> torch.Tensor:
    prompts = [
        model.chat.prompt((Turn(speaker="human", text="<image>\nwhat ?"),), image)
        for image in model.encode_images(files)
    ]
    batch = Batch.pad(prompts, pad_id=model.pad_id, device=model.device, side="left")
    with torch.no_grad(), model.using("policy"):
        return model.hidden_states(batch)


@pytest.mark.parametrize(
    "config",
    [{"target_modules": ["q_proj", "v_proj"]}, {"target_modules": "all-linear"}],
    ids=["bare names", "all-linear"],
)
def test_an_adapter_that_changes_the_eyes_is_refused_in_words(
    base_folder: Path, tmp_path: Path, config: dict[str, object]
) -> None:
    folder = peft_adapter(base_folder, tmp_path / "theirs", **config)
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    with pytest.raises(ModelError, match=r"theirs: it changes .*, which is outside the language"):
        model.load_adapter("policy", folder)


def test_whole_modules_in_an_adapter_are_refused_in_words(
    base_folder: Path, tmp_path: Path
) -> None:
    only = r"model\.language_model\..*\.(q_proj|v_proj)"
    folder = peft_adapter(
        base_folder, tmp_path / "theirs", target_modules=only, modules_to_save=["lm_head"]
    )
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    with pytest.raises(ModelError, match="lm_head; modules_to_save"):
        model.load_adapter("policy", folder)


SETTINGS = {
    "not an object": ([], "is not an object of settings"),
    "another kind": ({"peft_type": "LOHA"}, "peft_type is 'LOHA'; only LORA is known"),
    "no kind": ({"peft_type": None}, "peft_type is 'None'"),
    "no rank": ({"r": None}, "r: is not a whole number from 1"),
    "a rank in words": ({"r": "four"}, "r: is not a whole number from 1"),
    "no alpha": ({"lora_alpha": None}, "lora_alpha: is not a number"),
    "more layers": ({"layer_replication": [[0, 1], [0, 1]]}, "layer_replication is set"),
    "another rank": ({"r": 8}, r"lora_A.weight is 4 x .*, and 8 x .* by adapter_config.json"),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_configuration_is_refused_by_its_setting(
    base_folder: Path, tmp_path: Path, kind: str
) -> None:
    only = r"model\.language_model\..*\.(q_proj|v_proj)"
    folder = peft_adapter(base_folder, tmp_path / "theirs", target_modules=only)
    changed, reason = SETTINGS[kind]
    path = folder / "adapter_config.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, **changed} if isinstance(changed, dict) else changed))
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    with pytest.raises(ModelError, match=reason) as refused:
        model.load_adapter("policy", folder)
    assert "theirs" in str(refused.value) and "\n" not in str(refused.value)


def test_weights_of_the_base_itself_are_refused(base_folder: Path, tmp_path: Path) -> None:
    """As PEFT saves them with bias="all": under any adapter they would be those of all."""
    only = r"model\.language_model\..*\.(q_proj|v_proj)"
    folder = peft_adapter(base_folder, tmp_path / "theirs", target_modules=only)
    weights = load_file(folder / "adapter_model.safetensors")
    key = next(iter(weights)).partition(".lora_")[0]
    save_file({**weights, f"{key}.bias": torch.ones(4)}, folder / "adapter_model.safetensors")
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    with pytest.raises(ModelError, match=r"it changes .*q_proj\.bias of the base model itself"):
        model.load_adapter("policy", folder)


def today(key: str) -> str:
    return key


def before_transformers_4_52(key: str) -> str:
    return key.replace("model.language_model.layers", "language_model.model.layers")


def of_the_language_model_alone(key: str) -> str:
    return key.replace("model.language_model.layers", "model.layers")


def compiled(key: str) -> str:
    return key.replace("base_model.model.", "base_model.model._orig_mod.")


def sharded(key: str) -> str:
    return key.replace(".layers.", "._fsdp_wrapped_module.layers.")


@pytest.mark.parametrize(
    "names",
    [today, before_transformers_4_52, of_the_language_model_alone, compiled, sharded],
)
@pytest.mark.parametrize("bare", [False, True])
def test_names_of_other_versions_mean_the_same(
    base_folder: Path,
    tmp_path: Path,
    image_files: list[Path],
    names: Callable[[str], str],
    bare: bool,
) -> None:
    """Also where the configuration's bare names would match the eyes, but the file has none."""
    only = r"model\.language_model\..*\.(q_proj|v_proj)"
    folder = peft_adapter(base_folder, tmp_path / "theirs", target_modules=only)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({names(k): v for k, v in weights.items()}, folder / "adapter_model.safetensors")
    if bare:
        config = json.loads((folder / "adapter_config.json").read_text())
        config["target_modules"] = ["q_proj", "v_proj"]
        (folder / "adapter_config.json").write_text(json.dumps(config))
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    model.load_adapter("policy", folder)
    assert model.adapter_weights("policy").keys() == weights.keys()
    for key, tensor in model.adapter_weights("policy").items():
        assert torch.equal(tensor, weights[key])
    plain = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    plain.load_adapter("policy", peft_adapter(base_folder, tmp_path / "own", target_modules=only))
    torch.testing.assert_close(hidden_under(model, image_files), hidden_under(plain, image_files))
