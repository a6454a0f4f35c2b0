"""One engine run, complete."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Literal, Self

from training.rlhf.contract.combinations import check_together
from training.rlhf.contract.ppo_settings import PpoSettings
from training.rlhf.contract.settings import (
    DpoSettings,
    GenerateSettings,
    RewardSettings,
    ScoreSettings,
    SftSettings,
    setting,
)
from training.rlhf.contract.wire import ContractError, build, to_json


class Kind(enum.StrEnum):
    """What an engine process is asked to do; also the subcommand of ``python -m training.rlhf``."""

    SFT = "sft"
    GENERATE = "generate"
    REWARD = "reward"
    SCORE = "score"
    PPO = "ppo"
    DPO = "dpo"


Settings = (
    SftSettings | RewardSettings | PpoSettings | DpoSettings | GenerateSettings | ScoreSettings
)

SETTINGS: dict[Kind, type[Settings]] = {
    Kind.SFT: SftSettings,
    Kind.REWARD: RewardSettings,
    Kind.PPO: PpoSettings,
    Kind.DPO: DpoSettings,
    Kind.GENERATE: GenerateSettings,
    Kind.SCORE: ScoreSettings,
}


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How the base model is loaded."""

    dtype: Literal["float32", "bfloat16"] = setting(
        "bfloat16", "Type of the base weights.", source="paper: bfloat16"
    )
    quantization: Literal["none", "nf4"] = setting(
        "none",
        "4-bit language model (NF4, double quantised); needs bitsandbytes and, for speed, a GPU.",
        source="paper: nf4",
    )
    sharded: bool = setting(
        False,
        "Of several processes each keeps a piece of every layer of the language model (FSDP2), for "
        "bases that do not fit one GPU. Not with 4 bits, or with sampler vllm.",
        source="ours",
    )
    cuda_graphs: bool = setting(
        False,
        "On a GPU, launch a step of decoding as one captured CUDA graph where the base allows: not "
        "sharded, not in 4 bits. Not yet tried on a GPU.",
        source="ours",
    )
    pad_images_to_square: bool = setting(
        False, "Pad an image to a square before resizing.", source="paper: on"
    )
    max_pixels: int = setting(
        1_003_520,
        "Images of more pixels are made smaller first, so that one photograph cannot make a row "
        "that never fits in memory; 0 is no limit.",
        source="Qwen2.5-VL's advice: 1280 tokens of 28 x 28; paper: none",
        minimum=0,
    )

    def __post_init__(self) -> None:
        """ContractError for a base that cannot be loaded so."""
        if self.sharded and self.quantization != "none":
            raise ContractError("sharded", "a base in 4 bits cannot be cut; use quantization none")


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One engine run, complete: the same spec and data give the same result (CPU, one process)."""

    kind: Kind
    settings: Settings
    base_model: str = "base"
    """Folder in the run directory, absolute path, or hub id."""
    policy_adapter: str | None = None
    """Folder in the run directory: the policy to begin from, or to sample (generate)."""
    reward_model: str | None = None
    """Folder in the run directory: the reward model (ppo, score)."""
    reward_base: str | None = None
    """The reward model's base where it is another than ``base_model`` (ppo): both are loaded."""
    model: ModelSettings = ModelSettings()
    preset: str = "default"
    seed: int = 0

    def __post_init__(self) -> None:
        """ContractError for settings that do not go together."""
        check_together(self)

    def to_json(self) -> dict[str, Any]:
        return to_json(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Raises ContractError that names the first unknown, missing or ill-typed field."""
        if not isinstance(data, dict):
            raise ContractError("kind", "is missing: the file holds no object of settings")
        try:
            kind = Kind(data["kind"])
        except KeyError:
            raise ContractError("kind", "is missing") from None
        except ValueError:
            raise ContractError(
                "kind", f"is {data['kind']!r}, not one of {', '.join(Kind)}"
            ) from None
        return build(cls, data, "", overrides={"settings": SETTINGS[kind], "kind": Kind})


def settings_from_json(kind: Kind, data: dict[str, Any]) -> Settings:
    """Settings of ``kind`` with defaults for what is absent; ContractError names a bad field."""
    return build(SETTINGS[kind], data, "settings")
