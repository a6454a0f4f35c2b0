"""The presets say what the method's description says they do."""

from __future__ import annotations

from typing import Any

import pytest

from training.rlhf.contract import Kind
from training.rlhf.presets import OFFERED, PRESETS, preset_for, preset_spec, presets_of

OPTIMIZER = {"weight_decay": 0.0, "warmup_from_zero": True}
PPO_OPTIMIZER = OPTIMIZER | {
    "learning_rate": 3e-5,
    "schedule": "cosine",
    "warmup_steps": 5,
    "gradient_norm": 1.0,
}
LORA = {"rank": 64, "alpha": 16, "dropout": 0.0}
PAPER: dict[tuple[Kind, str], dict[str, Any]] = {
    (Kind.SFT, "paper-full"): {
        "full_model": True,
        "epochs": 3.0,
        "batch_size": 128,
        "optimizer": OPTIMIZER
        | {"learning_rate": 2e-5, "schedule": "cosine", "warmup_steps": 150, "gradient_norm": 1.0},
    },
    (Kind.SFT, "paper"): {
        "full_model": False,
        "epochs": 1.0,
        "batch_size": 128,
        "lora": LORA,
        "optimizer": OPTIMIZER
        | {"learning_rate": 1e-4, "schedule": "cosine", "warmup_steps": 4, "gradient_norm": 0.3},
    },
    (Kind.REWARD, "paper"): {
        "facts_position": "after_response",
        "with_facts": True,
        "center_coefficient": 1e-3,
        "epochs": 1.0,
        "batch_size": 32,
        "max_steps": 200,
        "keep_best": False,
        "normalise": False,
        "lora": LORA,
        "optimizer": OPTIMIZER
        | {"learning_rate": 2e-5, "schedule": "constant", "warmup_steps": 9, "gradient_norm": 0.3},
    },
    (Kind.PPO, "paper"): {
        "steps": 0,
        "epochs": 4.0,
        "rollout_batch_size": 512,
        "batch_size": 256,
        "update_epochs": 2,
        "responses_per_prompt": 1,
        "kl_estimator": "k1_clamped",
        "kl_coefficient": 0.1,
        "kl_target": 0.0,
        "kl_stop": 0.0,
        "gamma": 1.0,
        "lam": 1.0,
        "clip_range": 0.2,
        "value_clip_range": 0.2,
        "value_coefficient": 0.1,
        "joint_clipping": True,
        "rate_per": "round",
        "critic_on": "reward",
        "bonus_match": "start",
        "cut_at": "?",
        "whiten_advantages": True,  # it is the rewards that are scaled instead of whitened
        "reward_scale": 10.0,
        "score_position": "last_slot",
        "mask_padding": False,
        "symbolic_rewards": True,
        "no_end_token_penalty": -8.0,
        "length_coefficient": -10.0,
        "sampling": {
            "temperature": 1.0,
            "top_p": 1.0,
            "query_length": 128,
            "response_length": 896,
        },
        "lora": LORA,
        "policy_optimizer": PPO_OPTIMIZER,
        "value_optimizer": PPO_OPTIMIZER,
    },
}
PROPERLY = {
    "mask_padding": True,
    "score_position": "last_token",
    "kl_estimator": "k1",
    "joint_clipping": False,
    "whiten_advantages": True,
    "reward_scale": 1.0,
    "lam": 0.95,
}


@pytest.mark.parametrize(("kind", "preset"), list(PAPER))
def test_paper_presets_are_the_paper(kind: Kind, preset: str) -> None:
    settings = preset_spec(kind, preset).to_json()["settings"]
    assert {name: settings[name] for name in PAPER[kind, preset]} == PAPER[kind, preset]


def test_paper_loads_its_base_in_four_bits_but_to_fine_tune() -> None:
    loading = {
        (kind, preset): preset_spec(kind, preset).model
        for kind in Kind
        for preset in ("paper", "paper-full")
        if preset in presets_of(kind)
    }
    assert all(model.pad_images_to_square for model in loading.values())
    plain = {where for where, model in loading.items() if model.quantization == "none"}
    assert plain == {(Kind.SFT, "paper"), (Kind.SFT, "paper-full")}
    assert loading[Kind.SFT, "paper-full"].dtype == "float32"  # full_model takes no other


def test_default_is_the_same_method_done_properly() -> None:
    settings = preset_spec(Kind.PPO, "default").to_json()["settings"]
    assert {name: settings[name] for name in PROPERLY} == PROPERLY
    assert settings["kl_target"] > 0 and settings["kl_stop"] > settings["kl_target"]
    assert preset_spec(Kind.REWARD, "default").to_json()["settings"]["normalise"]


def test_beta_adapts_over_the_same_share_of_a_run_in_every_preset() -> None:
    shares = {}
    for preset in ("default", "small-world"):
        settings = preset_spec(Kind.PPO, preset).to_json()["settings"]
        rollouts = settings["steps"] * settings["rollout_batch_size"]
        shares[preset] = settings["kl_horizon"] / rollouts
    assert shares["small-world"] == pytest.approx(shares["default"], rel=1e-3)


def test_presets_without_a_critic_are_the_default_but_for_what_their_papers_say() -> None:
    default = preset_spec(Kind.PPO, "default").to_json()["settings"]
    changed = {
        name: {
            k: v
            for k, v in preset_spec(Kind.PPO, name).to_json()["settings"].items()
            if v != default[k]
        }
        for name in ("rloo", "grpo")
    }
    assert changed == {
        "rloo": {"advantage": "leave_one_out", "responses_per_prompt": 4, "update_epochs": 1},
        "grpo": {
            "advantage": "group",
            "responses_per_prompt": 8,
            "update_epochs": 1,
            "reduction": "sequences",
            "kl_in": "loss",
            "kl_coefficient": 0.04,
            "kl_target": 0.0,
        },
    }


def test_kinds_without_a_preset_of_that_name_take_the_default_in_a_chain() -> None:
    assert {kind: preset_for(kind, "grpo") for kind in Kind} == {
        kind: "grpo" if kind is Kind.PPO else "default" for kind in Kind
    }
    assert all(preset_for(kind, preset) == preset for kind in Kind for preset in PRESETS)


@pytest.mark.parametrize("preset", ["paper-full", "best"])
def test_a_preset_that_the_kind_has_not_is_refused(preset: str) -> None:
    assert presets_of(Kind.PPO) == OFFERED == (*PRESETS, "rloo", "grpo")
    with pytest.raises(ValueError, match=f"preset is '{preset}', not one of default, paper"):
        preset_spec(Kind.PPO, preset)
