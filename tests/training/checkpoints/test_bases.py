"""What a base model must be, found out from names, JSON and headers alone."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from demo.loop import BASE_MODEL
from training.checkpoints import bases
from training.checkpoints.bases import BaseRefused

CONFIG = {"model_type": "llava", "architectures": ["Llava"], "vision_config": {}}


def make_base_folder(folder: Path) -> Path:
    """A folder that looks like a base model of two tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, "config.json", CONFIG)
    write(folder, "tokenizer.json", {})
    write(folder, "preprocessor_config.json", {})
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    weights = {name: np.zeros((2, 3), dtype=np.float32) for name in ("a", "b")}
    save_file(weights, folder / "model.safetensors")
    return folder


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_base_folder(tmp_path / "base")


def test_a_real_base_model_is_described() -> None:
    found = bases.check_folder(BASE_MODEL)
    assert (found.family, found.architecture) == ("llava", "LlavaForConditionalGeneration")
    assert found.tensors > 50
    assert found.bytes == (BASE_MODEL / "model.safetensors").stat().st_size


@pytest.mark.parametrize("name", ["processor_config.json", "tokenizer_config.json"])
def test_a_chat_template_may_stand_in_the_settings_of_others(folder: Path, name: str) -> None:
    (folder / "chat_template.jinja").unlink()
    write(folder, name, {"chat_template": "{{ messages }}"})
    assert bases.check_folder(folder).family == "llava"


def test_shards_and_their_index_are_looked_at_together(folder: Path) -> None:
    save_file({"c": np.zeros(4, dtype=np.float32)}, folder / "more.safetensors")
    placed = {"a": "model.safetensors", "b": "model.safetensors", "c": "more.safetensors"}
    write(folder, bases.INDEX, {"weight_map": placed})
    assert bases.check_folder(folder).tensors == 3


BREAK: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), "config.json is not JSON"),
    "config is a list": (lambda f: write(f, "config.json", []), "names no model_type"),
    "a language model": (
        lambda f: write(f, "config.json", {"model_type": "llama"}),
        "llama, which sees no images",
    ),
    "a model of LLaVA's own repository": (
        lambda f: write(f, "config.json", {"model_type": "llava", "mm_vision_tower": "clip"}),
        r"form of LLaVA's own repository \(mm_vision_tower\)",
    ),
    "no chat template": (
        lambda f: (f / "chat_template.jinja").unlink(),
        "no chat template: neither chat_template.jinja nor",
    ),
    "own code": (
        lambda f: write(f, "config.json", {**CONFIG, "auto_map": {"AutoModel": "evil.Model"}}),
        "config.json asks for code of its own",
    ),
    "own code of the processor": (
        lambda f: write(f, "preprocessor_config.json", {"auto_map": {}}),
        "preprocessor_config.json asks for code",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
    "no image processor": (
        lambda f: (f / "preprocessor_config.json").unlink(),
        "no image processor",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights in a safetensors"),
    "a short file": (
        lambda f: (f / "model.safetensors").write_bytes(
            (f / "model.safetensors").read_bytes()[:-5]
        ),
        "model.safetensors is no whole file of safetensors: it is damaged",
    ),
    "a pointer": (
        lambda f: (f / "model.safetensors").write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
        ),
        "model.safetensors is a pointer of Git LFS",
    ),
    "an adapter": (
        lambda f: (f / "config.json").rename(f / "adapter_config.json"),
        "it is an adapter, and what is wanted is the model that it belongs to",
    ),
    "no safetensors file at all": (
        lambda f: (f / "model.safetensors").write_bytes(b"\x80\x04N."),
        "model.safetensors is no whole file of safetensors",
    ),
    "a missing shard": (
        lambda f: write(f, bases.INDEX, {"weight_map": {"a": "gone.safetensors"}}),
        "gone.safetensors is missing",
    ),
    "a missing tensor": (
        lambda f: write(f, bases.INDEX, {"weight_map": {"z": "model.safetensors"}}),
        "model.safetensors lacks z",
    ),
    "an index of nothing": (lambda f: write(f, bases.INDEX, []), "has no weight_map"),
}


@pytest.mark.parametrize("name", BREAK)
def test_what_is_wrong_is_named(name: str, folder: Path) -> None:
    damage, reason = BREAK[name]
    damage(folder)
    with pytest.raises(BaseRefused, match=reason):
        bases.check_folder(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "x/optimizer.pt", "w.PKL", "modeling.py"])
def test_what_could_carry_code_is_refused_unread(name: str, folder: Path) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps("canary"))
    with pytest.raises(BaseRefused, match="could carry code"):
        bases.check_folder(folder)


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(BaseRefused, match="no folder that this worker sees"):
        bases.check_folder(tmp_path / "nowhere")


def test_names_on_a_hub_must_be_enough() -> None:
    whole = ["config.json", "model.safetensors", "tokenizer.json", "processor_config.json"]
    bases.check_names(whole)
    for missing in whole:
        with pytest.raises(BaseRefused):
            bases.check_names([name for name in whole if name != missing])
