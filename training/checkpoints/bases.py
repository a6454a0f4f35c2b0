"""Whether a folder is a base model that the engine can open, looked at without loading anything.

Only text and the headers of safetensors files are read. A file that could carry code, such as a
pickle, is a reason to refuse, and so is a configuration that asks for code of its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from config.json_words import named_twice, not_json
from training.rlhf.contract import instead_of_weights

ADAPTER = "adapter_config.json"
INDEX = "model.safetensors.index.json"
LARGEST_JSON = 64 << 20
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
TAKEN = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
"""What is fetched of a model on a hub; other files stay there."""
_OF_LLAVA_ITSELF = ("mm_vision_tower", "mm_projector_type", "mm_hidden_size")
TEMPLATES = ("chat_template.jinja", "chat_template.json")
CODE = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack", ".npz", ".npy", ".py")


class BaseRefused(ValueError):
    """It is no base model that can be taken; the message is for people."""


@dataclass(frozen=True)
class Description:
    """What was found out about a base model."""

    family: str
    """``model_type`` of its configuration."""
    architecture: str
    tensors: int
    bytes: int
    """Of the weights."""


def check_folder(folder: Path) -> Description:
    """Raises BaseRefused, naming the file, for what the engine could not or should not open."""
    if not folder.is_dir():
        raise BaseRefused(f"{folder} is no folder that this worker sees")
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in CODE:
            raise BaseRefused(
                f"{path.name} could carry code: only safetensors weights are taken, and no programs"
            )
    if (folder / ADAPTER).is_file() and not (folder / "config.json").exists():
        raise BaseRefused(
            f"there is {ADAPTER} and no config.json: it is an adapter, and what is wanted is the "
            "model that it belongs to"
        )
    config = check_config(read_json(folder / "config.json"))
    _one_of(folder, TOKENIZERS, "tokenizer")
    _one_of(folder, PROCESSORS, "image processor")
    settings = {
        name: read_settings(folder / name)
        for name in (*PROCESSORS, "tokenizer_config.json")
        if (folder / name).exists()
    }
    for name, found in settings.items():
        _no_code(found, name)
    _check_template(folder, settings)
    weights = {path.name: _tensors(path) for path in sorted(folder.glob("*.safetensors"))}
    if not weights:
        raise BaseRefused("there are no weights in a safetensors file")
    if (folder / INDEX).exists():
        _check_index(read_json(folder / INDEX), weights)
    return Description(
        family=config["model_type"],
        architecture=next(iter(config.get("architectures") or []), ""),
        tensors=sum(len(names) for names in weights.values()),
        bytes=sum((folder / name).stat().st_size for name in weights),
    )


def _check_template(folder: Path, settings: dict[str, dict[str, Any]]) -> None:
    """A model without a chat template was not made to be talked to, or was saved in parts."""
    found = any((folder / name).is_file() for name in TEMPLATES)
    for name, members in settings.items():
        template = members.get("chat_template")
        _one_kind(name, "chat_template", template, (str, list, dict), "a text or named texts")
        found = found or bool(template)
    if not found:
        raise BaseRefused(
            f"there is no chat template: neither {' nor '.join(TEMPLATES)}, nor chat_template in "
            "processor_config.json or tokenizer_config.json"
        )


def check_config(config: Any) -> dict[str, Any]:
    """The configuration if it is one of a vision-language model; raises BaseRefused."""
    if not isinstance(config, dict) or config.get("model_type") is None:
        raise BaseRefused("config.json names no model_type")
    _one_kind("config.json", "model_type", config["model_type"], (str,), "a text")
    named = config.get("architectures")
    _one_kind("config.json", "architectures", named, (list,), "a list of texts")
    for one in named or []:
        _one_kind("config.json", "architectures", one, (str,), "a list of texts", null=False)
    _no_code(config, "config.json")
    tower = next((name for name in _OF_LLAVA_ITSELF if name in config), None)
    if tower is not None and "vision_config" not in config:
        raise BaseRefused(
            f"config.json has the form of LLaVA's own repository ({tower}), which transformers "
            "does not read: take the converted model (llava-hf on the hub), or convert it"
        )
    _one_kind("config.json", "vision_config", config.get("vision_config"), (dict,), "an object")
    if config.get("vision_config") is None:
        raise BaseRefused(
            f"config.json describes {config['model_type']}, which sees no images: it has no "
            "vision_config"
        )
    return config


def check_names(names: list[str]) -> None:
    """Raises BaseRefused when files of these names are not enough for a base model."""
    if "config.json" not in names:
        raise BaseRefused("there is no config.json")
    if not any(name.endswith(".safetensors") and "/" not in name for name in names):
        raise BaseRefused("there are no weights in a safetensors file")
    for wanted, what in ((TOKENIZERS, "tokenizer"), (PROCESSORS, "image processor")):
        if not set(wanted) & set(names):
            raise BaseRefused(f"there is no {what}: none of {', '.join(wanted)}")


def _no_code(content: Any, name: str) -> None:
    if isinstance(content, dict) and "auto_map" in content:
        raise BaseRefused(f"{name} asks for code of its own (auto_map), which is never run here")


def _one_kind(
    file: str, member: str, value: Any, kinds: tuple[type, ...], wanted: str, *, null: bool = True
) -> None:
    """Raises BaseRefused for a member of another kind; null, unless told, is not there."""
    if not isinstance(value, kinds) and not (value is None and null):
        raise BaseRefused(f"{file}, {member}: is not {wanted}")


def _one_of(folder: Path, names: tuple[str, ...], what: str) -> None:
    if not any((folder / name).is_file() for name in names):
        raise BaseRefused(f"there is no {what}: none of {', '.join(names)}")


def read_json(path: Path) -> Any:
    """A file of a model. Raises BaseRefused, which names it."""
    if not path.is_file():
        raise BaseRefused(f"there is no {path.name}: it is not a model folder")
    if path.stat().st_size > LARGEST_JSON:
        raise BaseRefused(f"{path.name} is larger than {LARGEST_JSON >> 20} MB")
    try:
        return _JSON.decode(path.read_text(encoding="utf-8-sig"))
    except BaseRefused as error:
        raise BaseRefused(f"{path.name} {error}") from None
    except json.JSONDecodeError as error:
        raise BaseRefused(f"{path.name} {not_json(error)}") from None
    except UnicodeDecodeError:
        raise BaseRefused(f"{path.name} is not UTF-8 text") from None
    except (ValueError, RecursionError):
        raise BaseRefused(f"{path.name} is not JSON that is read here") from None


def read_settings(path: Path) -> dict[str, Any]:
    """``read_json`` of a file that holds an object."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise BaseRefused(f"{path.name} is not an object of settings")
    return found


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if twice := named_twice(members):
        raise BaseRefused(twice)
    return dict(members)


def _integer(text: str) -> int | float:
    """A number that nobody holds is infinite, and no file is refused for a member not read here."""
    return int(text) if len(text) <= _MOST_DIGITS else float(text)


_MOST_DIGITS = 400
_JSON = json.JSONDecoder(object_pairs_hook=_each_once, parse_int=_integer)


def _tensors(path: Path) -> set[str]:
    """The names in a safetensors file, whose header and size are checked by opening it."""
    try:
        with safe_open(path, framework="numpy") as weights:
            return set(weights.keys())
    except SafetensorError:
        raise BaseRefused(f"{path.name} {instead_of_weights(path)}") from None
    except OSError as error:
        raise BaseRefused(f"{path.name} cannot be read: {error}") from None


def _check_index(index: Any, weights: dict[str, set[str]]) -> None:
    placed = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(placed, dict):
        raise BaseRefused(f"{INDEX} has no weight_map")
    for tensor, file in placed.items():
        _one_kind(INDEX, f"weight_map.{tensor[:60]}", file, (str,), "a file's name", null=False)
        if file not in weights:
            raise BaseRefused(f"{file} is missing: {INDEX} names it")
        if tensor not in weights[file]:
            raise BaseRefused(f"{file} lacks {tensor}, which {INDEX} says is in it")
