"""The ways from the base to better answers that the study compares, and the sceptic's controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from training.rlhf.contract import Kind

REWARD_MODELS = {"plain": False, "fact": True}
"""Reward models of the study: whether each is shown the facts."""
GROUP = 4
"""Responses to a prompt where these are compared with each other, not with a critic."""


@dataclass(frozen=True)
class Arm:
    """Training of a kind; PPO is against the reward model ``judged_by``."""

    name: str
    title: str
    kind: Kind
    judged_by: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Control:
    """The base without any training: asked otherwise, or the best of several of its answers."""

    name: str
    title: str
    temperature: float
    samples: int = 1
    judged_by: str | None = None


def _critic_free(advantage: str) -> dict[str, Any]:
    return {"advantage": advantage, "responses_per_prompt": GROUP}


_IMAGE_CONDITIONED = {
    "image_coefficient": 1.0,
    "image_damage": "exchange",  # a crop of a grid of nine cells may show all that was asked about
    "anchor_coefficient": 1.0,
}

ARMS = (
    Arm("fact_rlhf", "PPO, facts and symbolic rewards (Fact-RLHF)", Kind.PPO, "fact"),
    Arm("rlhf", "PPO, symbolic rewards alone (RLHF)", Kind.PPO, "plain"),
    Arm("facts_alone", "PPO, facts alone", Kind.PPO, "fact", {"symbolic_rewards": False}),
    Arm("neither", "PPO, neither", Kind.PPO, "plain", {"symbolic_rewards": False}),
    Arm("dpo", "DPO", Kind.DPO),
    Arm("dense_dpo", "dense DPO from marked words", Kind.DPO, changes={"dense": True}),
    Arm("image_dpo", "image-conditioned DPO", Kind.DPO, changes=_IMAGE_CONDITIONED),
    Arm(
        "rloo", "RLOO, facts and symbolic rewards", Kind.PPO, "fact", _critic_free("leave_one_out")
    ),
    Arm("grpo", "GRPO, facts and symbolic rewards", Kind.PPO, "fact", _critic_free("group")),
    Arm("corrections", "Fine-tuning on corrected answers", Kind.SFT),
)
CONTROLS = (
    Control("base_sampled", "base at temperature 1", 1.0),
    Control("base_cool", "base at temperature 0.5", 0.5),
    Control("best_plain", "best of 8 by the reward model without facts", 1.0, 8, "plain"),
    Control("best_fact", "best of 8 by the reward model with facts", 1.0, 8, "fact"),
)
NAMES = tuple(one.name for one in (*ARMS, *CONTROLS))
TITLES = {"base": "base", **{one.name: one.title for one in (*ARMS, *CONTROLS)}}
