"""Adapters of other tools and times, brought to the names that this base has.

An adapter may change the language model only. Pictures are encoded once, under no adapter, and the
head is run outside of it: one that changes vision tower, projector, embeddings or head would be
half applied, so it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from training.rlhf.errors import ModelError

_PEFT = "base_model.model."
_LAYER = re.compile(r"(?:^|\.)(layers\.\d+\..+)$")
_LANGUAGE = ("model", "language_model", "text_model")
"""What the parts of a path to the language model's layers have been called."""


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
