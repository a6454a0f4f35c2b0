"""Adapters of other tools and times, brought to the names that this base has.

An adapter may change the language model only. Pictures are encoded once, under no adapter, and the
head is run outside of it: one that changes vision tower, projector, embeddings or head would be
half applied, so it is refused.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from peft import LoraConfig, TaskType
from torch import Tensor

from training.rlhf.contract.wire import is_one_of
from training.rlhf.errors import DataError, ModelError
from training.rlhf.reading import document

_PEFT = "base_model.model."
_WORD = re.compile(r"\w+")
_LAYER = re.compile(r"(?:^|\.)(layers\.\d+\..+)$")
_LANGUAGE = ("model", "language_model", "text_model")
"""What the parts of a path to the language model's layers have been called."""
_NOT_HERE = (
    *("layer_replication", "alora_invocation_tokens", "lora_bias", "target_parameters"),
    *("trainable_token_indices", "megatron_config", "use_qalora", "arrow_config"),
)
"""Settings of PEFT that change more than the matrices, or how they are used."""
_PLAIN_BEGINNINGS = ("gaussian", "orthogonal", "eva")
"""Initialisations that change the matrices alone; the weights are then all there is to it."""
_OUT_OF_THE_BASE = re.compile(r"pissa(?:_niter_\d{1,4})?|olora|corda|loftq|lora_ga")
"""Those that take what the matrices begin with out of the base's own weights."""
_WRAPPERS = re.compile(r"\b(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What compiling and sharding put into the names of a model's parts."""
_TRAINED_BESIDE = ("non_lora_trainables.bin", "mm_projector.bin", "mm_projector.safetensors")
"""Files of LLaVA's own program, with projector and more as they were trained with the matrices."""


def read_config(name: str, path: Path) -> LoraConfig:
    """The adapter's configuration. Raises ModelError that names the setting at fault."""
    try:
        settings = document(path)
    except DataError as error:
        raise ModelError(f"adapter {name}: {error}") from error
    if not isinstance(settings, dict):
        raise ModelError(f"adapter {name}: {path.name} is not an object of settings")
    kind = settings.get("peft_type")
    if kind != "LORA":
        raise ModelError(f"adapter {name}: peft_type is {str(kind)[:40]!r}; only LORA is known")
    for setting in ("r", "lora_alpha"):  # PEFT has defaults, which these weights do not fit
        settings.setdefault(setting, None)
    for setting, value in settings.items():
        wanted = _against(setting, value)
        if wanted:
            raise ModelError(f"adapter {name}: {path.name}, {setting}: is not {wanted}")
    for pattern, like in _PATTERNS.items():
        wanted, fits = _NUMBERS[like]
        for layer, value in (settings.get(pattern) or {}).items():
            if not fits(value):
                member = f"{pattern}.{layer[:60]}"
                raise ModelError(f"adapter {name}: {path.name}, {member}: is not {wanted}")
    for setting in _NOT_HERE:
        if settings.get(setting):
            raise ModelError(f"adapter {name}: {setting} is set, which is not known here")
    begun = settings.get("init_lora_weights")
    if isinstance(begun, str) and begun not in _PLAIN_BEGINNINGS:
        why = "which is not known here"
        if _OUT_OF_THE_BASE.fullmatch(begun):
            why = (
                "which changes the base's own weights, and all adapters share these: save it as "
                "plain LoRA (PEFT's path_initial_model_for_weight_conversion)"
            )
        raise ModelError(
            f"adapter {name}: {path.name}, init_lora_weights: is {begun[:40]!r}, {why}"
        )
    beside = next((one for one in _TRAINED_BESIDE if (path.parent / one).exists()), None)
    if beside is not None:
        raise ModelError(
            f"adapter {name}: {beside} lies beside it, so more than LoRA matrices was trained "
            "(LLaVA's projector): merge both into a base first"
        )
    try:
        config = LoraConfig.from_pretrained(str(path.parent))
    except (TypeError, ValueError, AttributeError) as error:
        # PEFT names those that do not go together; its words are for programmers.
        words = set(_WORD.findall(str(error)))
        named = [one for one in _HINTS if one in words]
        which = f" ({', '.join(named)} do not go together)" if named else ""
        raise ModelError(
            f"adapter {name}: {path.name} is no configuration of LoRA{which}"
        ) from error
    config.init_lora_weights = False  # the weights are there
    return config


def _against(setting: str, value: Any) -> str:
    """What a setting has to be where ``value`` is of another kind; empty where it is right.

    The kinds are those of PEFT's own fields; what it does not know, it passes over.
    """
    if setting in _NUMBERS:
        wanted, fits = _NUMBERS[setting]
        return "" if fits(value) else wanted
    if setting == "task_type":
        known = [one.value for one in TaskType]
        right = value is None or is_one_of(value, known)
        return "" if right else f"null or one of {', '.join(known)}"
    if setting == "init_lora_weights":
        return "" if isinstance(value, bool | str) else "true, false or a text"
    hint = _HINTS.get(setting)
    return "" if hint is None or _is(value, hint) else _in_words(hint)


def _is(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_is(value, one) for one in inner)
    if origin is typing.Literal:
        return is_one_of(value, inner)
    if origin in (list, tuple):
        return isinstance(value, list) and all(_is(one, inner[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(_is(one, inner[1]) for one in value.values())
    if dataclasses.is_dataclass(hint) or hint is dict:
        return isinstance(value, dict)
    return type(value) is hint


def _in_words(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_in_words, inner)))
    if origin is typing.Literal:
        return " or ".join(map(repr, inner))
    if origin in (list, tuple):
        return f"a list, each part of which is {_in_words(inner[0])}"
    if isinstance(hint, type) and issubclass(hint, str):  # an enumeration of PEFT's
        return "a text"
    return _WORDS.get(hint, "an object")


def _is_rank(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 2**31


def _is_alpha(value: Any) -> bool:
    return type(value) in (int, float) and -1e9 < value < 1e9


_WORDS = {str: "a text", int: "a whole number", bool: "true or false", type(None): "null"}
_NUMBERS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "r": ("a whole number from 1", _is_rank),
    "lora_alpha": ("a number", _is_alpha),
    "lora_dropout": (
        "a number from 0 to 1",
        lambda value: type(value) in (int, float) and 0 <= value <= 1,
    ),
}
_PATTERNS = {"rank_pattern": "r", "alpha_pattern": "lora_alpha"}
_HINTS = typing.get_type_hints(LoraConfig)


def renamed(
    name: str, weights: Mapping[str, Tensor], config: Any, *, decoder: str
) -> dict[str, Tensor]:
    """``weights`` by the names they have on a base whose language model is called ``decoder``.

    Raises ModelError that names the first member that is no part of the language model.
    """
    if config.modules_to_save:
        raise ModelError(
            f"adapter {name}: it holds whole modules ({', '.join(config.modules_to_save)}; "
            "modules_to_save) and not only LoRA matrices of the language model"
        )
    found: dict[str, Tensor] = {}
    at_fault = next((key for key in weights if ".lora_" not in key and _LAYER.search(key)), None)
    if at_fault is not None:
        raise ModelError(
            f"adapter {name}: it changes {at_fault.removeprefix(_PEFT)} of the base model itself "
            "(bias), which all adapters share"
        )
    for key, tensor in weights.items():
        path = _WRAPPERS.sub("", key.removeprefix(_PEFT))
        layer = _LAYER.search(path)
        before = path[: layer.start()] if layer else ""
        known = before == decoder or all(part in _LANGUAGE for part in before.split(".") if part)
        if layer is None or not known:
            raise ModelError(
                f"adapter {name}: it changes {path}, which is outside the language model. Pictures "
                "are encoded once for all adapters, so train one on the language model only"
            )
        found[f"{_PEFT}{decoder}.{layer[1]}"] = tensor
    return found


def modules_of(weights: Mapping[str, Tensor]) -> list[str]:
    """Names of the modules that ``renamed`` weights are on."""
    return sorted({key.removeprefix(_PEFT).partition(".lora_")[0] for key in weights})
