"""Weights that the engine is brought and cannot use are refused by file and tensor, in words."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.inputs.test_engine_words import BASE_MODEL, in_words
from tests.training.rlhf.conftest import base_folder  # noqa: F401  (a fixture)
from tests.training.rlhf.test_foreign_adapters import peft_adapter
from training.rlhf.contract import (
    ModelSettings,
)
from training.rlhf.errors import ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.tensors import read_tensors

TENSORS = {
    "cut off": lambda data: data[:-20],
    "empty": lambda data: b"",
    "a pointer": lambda data: b"version https://git-lfs.github.com/spec/v1\n",
    "a page": lambda data: b"<html>",
    "noise": lambda data: bytes(range(256)),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_a_damaged_file_of_tensors_is_called_what_it_is(kind, tmp_path):
    path = tmp_path / "x" / "adapter_model.safetensors"
    path.parent.mkdir()
    save_file({"a": torch.ones(8)}, path)
    path.write_bytes(TENSORS[kind](path.read_bytes()))
    with pytest.raises(Exception) as refused:
        read_tensors(path)
    assert in_words(refused.value, "x/adapter_model.safetensors is ")


FITS = {
    "one too few": (lambda t: dict([*t.items()][1:]), "adapter_model.safetensors lacks base_model"),
    "another layer": (
        lambda t: {key.replace("layers.0", "layers.9"): value for key, value in t.items()},
        "layers.9.",
    ),
    "names of a state dict": (
        lambda t: {key.replace(".weight", ".default.weight"): v for key, v in t.items()},
        "default.weight, which nothing in the base model takes",
    ),
    "whole numbers": (
        lambda t: {key: value.to(torch.int32) for key, value in t.items()},
        "holds whole numbers (int32)",
    ),
    "turned over": (lambda t: {key: value.T.contiguous() for key, value in t.items()}, " x "),
    "no numbers": (
        lambda t: {key: value * float("nan") for key, value in t.items()},
        "is nan, no finite number: its training broke down",
    ),
    "numbers of a byte": (
        lambda t: {key: value.to(torch.float8_e4m3fn) for key, value in t.items()},
        "in float8_e4m3fn, of which no scale is read here",
    ),
}


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("kind", FITS)
def test_an_adapter_is_refused_by_the_tensor(kind, base_folder: Path, tmp_path):  # noqa: F811
    only = r"model\.language_model\..*\.(q_proj|v_proj)"
    folder = peft_adapter(base_folder, tmp_path / "theirs", target_modules=only)
    change, reason = FITS[kind]
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    with pytest.raises(ModelError) as refused:
        model.load_adapter("policy", folder)
    assert in_words(refused.value, "theirs", reason)


BEGUN = {
    **dict.fromkeys(
        ("pissa", "pissa_niter_4", "olora", "loftq", "corda"), "the base's own weights"
    ),
    "mica": "which is not known here",
    **dict.fromkeys((True, False, "gaussian", "orthogonal"), ""),
}


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("begun", BEGUN)
def test_how_an_adapter_began_changes_nothing_of_the_base(begun, base_folder, tmp_path):  # noqa: F811
    """PiSSA and its like would change, on loading, the weights that all adapters share."""
    only = r"model\.language_model\..*\.(q_proj|v_proj)"
    folder = peft_adapter(base_folder, tmp_path / "theirs", target_modules=only)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "init_lora_weights": begun}))
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    if BEGUN[begun]:
        with pytest.raises(ModelError) as refused:
            model.load_adapter("policy", folder)
        assert in_words(refused.value, "theirs: adapter_config.json, init_lora_weights: ")
        assert BEGUN[begun] in str(refused.value)
        return
    model.load_adapter("policy", folder)
    stored = load_file(folder / "adapter_model.safetensors")
    assert all(torch.equal(stored[k], v) for k, v in model.adapter_weights("policy").items())


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("beside", ["non_lora_trainables.bin", "mm_projector.bin"])
def test_weights_beside_an_adapter_are_not_left_out_in_silence(beside, base_folder, tmp_path):  # noqa: F811
    only = r"model\.language_model\..*\.(q_proj|v_proj)"
    folder = peft_adapter(base_folder, tmp_path / "theirs", target_modules=only)
    (folder / beside).write_bytes(b"x")
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    with pytest.raises(ModelError) as refused:
        model.load_adapter("policy", folder)
    assert in_words(refused.value, "theirs", f"{beside} lies beside it")


@pytest.mark.parametrize("name", ["/nowhere/model", __file__])
def test_a_base_that_is_no_folder_is_said_so(name):
    with pytest.raises(ModelError) as refused:
        VisionLanguageModel.load(name, ModelSettings(dtype="float32"))
    assert in_words(refused.value, "base model '", "folder")


def settings(**changed):
    def change(folder):
        for name, members in changed.items():
            path = folder / f"{name}.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), **members}))

    return change


def written(name, data):
    return lambda folder: (folder / name).write_bytes(data)


WEIGHTS = "model.safetensors"


def tensors(changed):
    def change(folder):
        found = load_file(folder / WEIGHTS)
        name = next(name for name in found if name.endswith("up_proj.weight"))
        save_file({**found, name: changed(found[name])}, folder / WEIGHTS, {"format": "pt"})

    return change


BASES = {
    "weights of noise": (written(WEIGHTS, b"\x10" * 100), "is no whole file of safetensors"),
    "a pointer of Git LFS": (
        written(WEIGHTS, b"version https://git-lfs.x"),
        "a pointer of Git LFS",
    ),
    "an empty file": (written(WEIGHTS, b""), "model.safetensors is empty"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "there are no *.safetensors"),
    "pickled weights": (
        lambda f: (f / WEIGHTS).rename(f / "pytorch_model.bin"),
        "*.bin is not read: it may run a program",
    ),
    "weights that are no numbers": (
        tensors(lambda value: value * float("nan")),
        "holds numbers that are not finite",
    ),
    "weights of whole numbers": (
        tensors(lambda value: value.to(torch.int8)),
        "in I8, and config.json has no quantization_config",
    ),
    "another token for pictures": (
        settings(config={"image_token_index": 7}),
        "puts no token 7 where a picture is",
    ),
    "a model without eyes": (
        settings(config={"model_type": "llama", "architectures": ["LlamaForCausalLM"]}),
        "(LlamaConfig) that takes no pictures",
    ),
    "settings that are no JSON": (written("config.json", b"{"), "config.json: is not JSON"),
    "settings that are a list": (
        written("processor_config.json", b"[]"),
        "processor_config.json holds no object of settings",
    ),
    "an adapter": (
        lambda f: (f / "config.json").rename(f / "adapter_config.json"),
        "there is no config.json: it is an adapter",
    ),
    "a processor of no name": (
        settings(processor_config={"processor_class": "ZzzProcessor"}),
        "names no processor that transformers knows",
    ),
    "a template that says nothing": (
        written("chat_template.jinja", b"{% for m in messages %}-{% endfor %}"),
        "leaves out what turns say",
    ),
    "a tokenizer of nothing": (
        written("tokenizer.json", b"{}"),
        "cannot be loaded: its files lack what transformers looks for",
    ),
}


@pytest.mark.parametrize("kind", BASES)
def test_a_base_is_refused_by_its_file(kind, tmp_path):
    folder = tmp_path / "theirs"
    shutil.copytree(BASE_MODEL, folder)
    damage, reason = BASES[kind]
    damage(folder)
    with pytest.raises(ModelError) as refused:
        VisionLanguageModel.load(str(folder), ModelSettings(dtype="float32"))
    assert in_words(refused.value, reason)
