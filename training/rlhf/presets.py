"""Starting settings per kind of run: the paper's, ours, and those of the small world.

The paper's are those of its text and, where it is silent, of the scripts it was published with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from training.rlhf.contract import (
    SETTINGS,
    DpoSettings,
    GenerateSettings,
    Kind,
    LoraSettings,
    ModelSettings,
    OptimizerSettings,
    PpoSettings,
    RewardSettings,
    RunSpec,
    SamplingSettings,
    ScoreSettings,
    Settings,
    SftSettings,
)

PRESETS = ("default", "paper", "small-world")
"""What every kind of run has."""
RLOO, GRPO = "rloo", "grpo"
"""PPO without a critic. Other kinds of run have nothing of their own to say to them."""
OFFERED = (*PRESETS, RLOO, GRPO)
"""What runs that belong together can be asked for by; see ``preset_for``."""
PAPER_FULL = "paper-full"
"""The paper fine-tunes twice: first the whole model, as this says; then, as "paper", an adapter."""

_PAPER_LORA = LoraSettings(rank=64, alpha=16, dropout=0.0)

# Of rounds, not steps: the first round's rate is 0.
_PAPER_PPO_RATE = OptimizerSettings(
    learning_rate=3e-5,
    schedule="cosine",
    warmup_steps=5,
    warmup_from_zero=True,
    gradient_norm=1.0,
)

_PAPER: dict[Kind, Settings] = {
    # The adapter that PPO begins from: one pass over 15k conversations is 118 steps.
    Kind.SFT: SftSettings(
        lora=_PAPER_LORA,
        optimizer=OptimizerSettings(
            learning_rate=1e-4,
            schedule="cosine",
            warmup_steps=4,
            warmup_from_zero=True,
            gradient_norm=0.3,
        ),
        epochs=1.0,
        batch_size=128,
        max_length=2048,
    ),
    # The warm-up is 3 % of the 297 steps of its 9,500 pairs, of which it then took the 200th.
    Kind.REWARD: RewardSettings(
        lora=_PAPER_LORA,
        optimizer=OptimizerSettings(
            learning_rate=2e-5,
            schedule="constant",
            warmup_steps=9,
            warmup_from_zero=True,
            gradient_norm=0.3,
        ),
        facts_position="after_response",
        corrections="leave_out",
        epochs=1.0,
        batch_size=32,
        max_steps=200,
        keep_best=False,
        rating_prefix="Measured by all of this, my last response is rated",
        normalise=False,
        max_length=2048,
    ),
    Kind.PPO: PpoSettings(
        lora=_PAPER_LORA,
        policy_optimizer=_PAPER_PPO_RATE,
        value_optimizer=_PAPER_PPO_RATE,
        rate_per="round",
        critic_on="reward",
        joint_clipping=True,
        sampling=SamplingSettings(temperature=1.0, query_length=128, response_length=896),
        steps=0,
        epochs=4.0,
        rollout_batch_size=512,
        batch_size=256,
        update_epochs=2,
        clip_range=0.2,
        value_clip_range=0.2,
        value_coefficient=0.1,
        gamma=1.0,
        lam=1.0,
        kl_coefficient=0.1,
        kl_estimator="k1_clamped",
        kl_target=0.0,
        kl_stop=0.0,
        score_position="last_slot",
        mask_padding=False,
        whiten_advantages=True,
        reward_scale=10.0,
        bonus_match="start",
        cut_at="?",
        importance_cap=0.0,
    ),
    # the paper has no DPO: its adapters, and the settings of DPO's own paper
    Kind.DPO: DpoSettings(lora=_PAPER_LORA),
    Kind.GENERATE: GenerateSettings(sampling=SamplingSettings(temperature=0.7)),
    Kind.SCORE: ScoreSettings(),
}

# Three passes over 212k conversations are 4,969 steps, of which 3 % are warm-up.
_PAPER_FULL = SftSettings(
    optimizer=OptimizerSettings(
        learning_rate=2e-5, schedule="cosine", warmup_steps=150, warmup_from_zero=True
    ),
    epochs=3.0,
    batch_size=128,
    full_model=True,
    mixed_precision=True,
    gradient_checkpointing=True,
    max_length=1280,
)

_RLOO = PpoSettings(
    advantage="leave_one_out",
    rollout_batch_size=512,
    responses_per_prompt=4,
    update_epochs=1,
)
# The paper's beta and its form; 64 responses to a prompt are more than pictures leave room for.
_GRPO = PpoSettings(
    advantage="group",
    rollout_batch_size=512,
    responses_per_prompt=8,
    update_epochs=1,
    reduction="sequences",
    kl_in="loss",
    kl_coefficient=0.04,
    kl_target=0.0,
)

_SMALL_LORA = LoraSettings(rank=32, alpha=32)
_SMALL_SAMPLING = SamplingSettings(temperature=1.0, query_length=64, response_length=20)

_SMALL_WORLD: dict[Kind, Settings] = {
    Kind.SFT: SftSettings(
        lora=_SMALL_LORA,
        optimizer=OptimizerSettings(learning_rate=1e-3, schedule="cosine", warmup_steps=10),
        batch_size=64,
        micro_batch_size=64,
        average="example",
        max_length=128,
    ),
    Kind.REWARD: RewardSettings(
        lora=_SMALL_LORA,
        optimizer=OptimizerSettings(learning_rate=1e-3, schedule="cosine", warmup_steps=10),
        facts_position="before_response",
        facts_introduction="Facts:",
        fact_format="- {caption}",
        rating_prompt="How many are wrong?",
        batch_size=32,
        micro_batch_size=32,
        evaluate_every=50,
        epochs=2.0,
        max_length=160,
    ),
    Kind.PPO: PpoSettings(
        lora=_SMALL_LORA,
        policy_optimizer=OptimizerSettings(learning_rate=1.5e-3, schedule="cosine"),
        value_optimizer=OptimizerSettings(learning_rate=1.5e-3, schedule="cosine"),
        sampling=_SMALL_SAMPLING,
        steps=20,
        rollout_batch_size=256,
        rollout_micro_batch_size=256,
        batch_size=64,
        micro_batch_size=64,
        update_epochs=2,
        kl_target=0.0,
        kl_horizon=1000.0,  # the share of this preset's rollouts that the default is of its own
        kl_stop=0.0,
        length_coefficient=-4.0,
        no_end_token_penalty=-2.0,
    ),
    Kind.DPO: DpoSettings(
        lora=_SMALL_LORA,
        optimizer=OptimizerSettings(learning_rate=3e-4, schedule="linear", warmup_steps=5),
        batch_size=32,
        micro_batch_size=32,
        max_length=128,
    ),
    Kind.GENERATE: GenerateSettings(sampling=_SMALL_SAMPLING, batch_size=128),
    Kind.SCORE: ScoreSettings(batch_size=64),
}

_MORE: dict[Kind, dict[str, Settings]] = {
    Kind.SFT: {PAPER_FULL: _PAPER_FULL},
    Kind.PPO: {RLOO: _RLOO, GRPO: _GRPO},
}

_PAPER_MODEL = ModelSettings(quantization="nf4", pad_images_to_square=True, max_pixels=0)
_MODELS = {
    "default": ModelSettings(),
    "paper": _PAPER_MODEL,
    "small-world": ModelSettings(dtype="float32"),
}


def presets_of(kind: Kind) -> tuple[str, ...]:
    """Names of the presets that ``kind`` has."""
    return (*PRESETS, *_MORE.get(kind, {}))


def preset_for(kind: Kind, offered: str) -> str:
    """What a run of ``kind`` takes where runs are asked for by ``offered``: its own, or default."""
    return offered if offered in presets_of(kind) else "default"


def preset_spec(kind: Kind, preset: str, **changes: Any) -> RunSpec:
    """A spec of ``kind`` with the settings of ``preset``; ``changes`` replace fields of the spec.

    Raises ValueError for an unknown preset.
    """
    if preset not in presets_of(kind):
        raise ValueError(f"preset is {preset!r}, not one of {', '.join(presets_of(kind))}")
    spec = RunSpec(
        kind=kind, settings=_settings(kind, preset), model=_model(kind, preset), preset=preset
    )
    return replace(spec, **changes)


def _settings(kind: Kind, preset: str) -> Settings:
    if preset in _MORE.get(kind, {}):
        return _MORE[kind][preset]
    return {"default": {}, "paper": _PAPER, "small-world": _SMALL_WORLD}[preset].get(
        kind, SETTINGS[kind]()
    )


def _model(kind: Kind, preset: str) -> ModelSettings:
    if preset == PAPER_FULL:  # its bfloat16 had master weights in float32 beside it
        return replace(_PAPER_MODEL, quantization="none", dtype="float32")
    if preset == "paper" and kind is Kind.SFT:
        return replace(_PAPER_MODEL, quantization="none")
    return _MODELS.get(preset, _MODELS["default"])
