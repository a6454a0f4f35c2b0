"""Adapters of other tools and times, brought to the names that this base has.

An adapter may change the language model only. Pictures are encoded once, under no adapter, and the
head is run outside of it: one that changes vision tower, projector, embeddings or head would be
half applied, so it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import LoraConfig
from torch import Tensor

from training.rlhf.errors import DataError, ModelError
from training.rlhf.reading import document

_PEFT = "base_model.model."
_LAYER = re.compile(r"(?:^|\.)(layers\.\d+\..+)$")
_LANGUAGE = ("model", "language_model", "text_model")
"""What the parts of a path to the language model's layers have been called."""
_NOT_HERE = (
    *("layer_replication", "alora_invocation_tokens", "lora_bias", "target_parameters"),
    *("trainable_token_indices", "megatron_config", "use_qalora", "arrow_config"),
)
"""Settings of PEFT that change more than the matrices, or how they are used."""


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
    rank, alpha = settings.get("r"), settings.get("lora_alpha")
    if type(rank) is not int or rank < 1:
        raise ModelError(f"adapter {name}: r is no whole number from 1")
    if type(alpha) not in (int, float):
        raise ModelError(f"adapter {name}: lora_alpha is no number")
    for setting in _NOT_HERE:
        if settings.get(setting):
            raise ModelError(f"adapter {name}: {setting} is set, which is not known here")
    try:
        return LoraConfig.from_pretrained(str(path.parent))
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"adapter {name}: {path.name} is no configuration of LoRA") from error


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
        path = key.removeprefix(_PEFT)
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
