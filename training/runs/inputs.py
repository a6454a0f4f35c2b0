"""Whether the settings of a run fit the models that it is given or will get from runs before it.

Asked when the run is asked for: the reward model of a chain may take days to train before a worker
would find out.
"""

from __future__ import annotations

from dataclasses import replace

from training.models import Checkpoint, Run
from training.rlhf.contract import ContractError, PpoSettings, RunSpec, check_reward_model
from training.runs import kinds


def coming(after: Run | None, name: str) -> Run | None:
    """The nearest of ``after`` and the runs before it that makes a checkpoint of this kind."""
    while after is not None and kinds.get(after.kind).produces != name:
        after = after.after
    return after


def check(spec: RunSpec, run: Run) -> None:
    """Raises ContractError with the field at fault; ``run`` need not be saved."""
    takes = kinds.get(run.kind).takes
    if "policy" in takes:
        _check_policy(spec, run)
    made_by = _maker(run.reward_model, run.after, "reward_model")
    if isinstance(spec.settings, PpoSettings) and made_by is not None:
        asked = made_by.settings
        check_reward_model(
            spec.settings,
            knows_marks=asked.get("token_coefficient", 0) > 0,
            heads=asked.get("ensemble", 1),
        )


def _check_policy(spec: RunSpec, run: Run) -> None:
    made_by = None if run.policy is not None else coming(run.after, "policy")
    if made_by is not None and made_by.settings.get("full_model"):
        raise ContractError(
            "after",
            f"“{made_by}” trains a whole model (full_model), which is a base and no policy to go "
            "on from: let it end, and start from that base",
        )
    if run.policy is not None or made_by is not None:
        replace(spec, policy_adapter="adapters/policy")  # which not all settings go with


def _maker(chosen: Checkpoint | None, after: Run | None, name: str) -> Run | None:
    return chosen.run if chosen is not None else coming(after, name)
