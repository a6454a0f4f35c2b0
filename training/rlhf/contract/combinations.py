"""Settings that do not go together, of a run and of a run and the reward model that it is given.

Here and not where they are used, so that a run is refused when it is asked for: what this lets
pass no stage of the engine refuses because of its settings. What only data, base, packages or the
machine can decide is decided there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.rlhf.contract.ppo_settings import PpoSettings
from training.rlhf.contract.settings import SftSettings
from training.rlhf.contract.wire import ContractError

if TYPE_CHECKING:
    from training.rlhf.contract.spec import RunSpec


def check_together(spec: RunSpec) -> None:
    """Raises ContractError for what the kind's settings and the loading of models rule out."""
    if isinstance(spec.settings, SftSettings):
        _check_full_model(spec, spec.settings)
    if isinstance(spec.settings, PpoSettings) and spec.settings.sampler == "vllm":
        _check_shared_base(spec)


def check_reward_model(settings: PpoSettings, *, knows_marks: bool, heads: int) -> None:
    """Raises ContractError where PPO asks of its reward model what that was not trained for."""
    if settings.token_reward_coefficient > 0 and not knows_marks:
        raise ContractError(
            "settings.token_reward_coefficient",
            "needs a reward model that was trained on marked words (its settings.token_coefficient "
            "above 0), and this one is not",
        )
    if settings.ensemble_pessimism > 0 and heads == 1:
        raise ContractError(
            "settings.ensemble_pessimism",
            "needs a reward model with several heads (its settings.ensemble above 1), and this one "
            "has one",
        )


def _check_full_model(spec: RunSpec, settings: SftSettings) -> None:
    if settings.mixed_precision and not settings.full_model:
        raise ContractError(
            "settings.mixed_precision", "is for full_model; an adapter's base is of model.dtype"
        )
    if not settings.full_model:
        return
    if spec.model.dtype != "float32":
        raise ContractError(
            "settings.full_model",
            "small steps vanish in bfloat16; use dtype float32, and mixed_precision to multiply in "
            "bfloat16",
        )
    if spec.model.quantization != "none":
        raise ContractError("settings.full_model", "a 4-bit base cannot be trained itself")
    if spec.policy_adapter is not None:
        raise ContractError("settings.full_model", "cannot begin from an adapter (policy_adapter)")


def _check_shared_base(spec: RunSpec) -> None:
    instead = "use sampler vllm_servers or transformers"
    if spec.model.quantization != "none":
        raise ContractError(
            "settings.sampler", f"vllm in the run's process takes no base in 4 bits; {instead}"
        )
    if spec.model.sharded:
        raise ContractError(
            "settings.sampler",
            "vllm in the run's process needs the base whole on each GPU, and model.sharded cuts "
            f"it; {instead}",
        )
