"""Rewards of a trained reward model for both responses of each pair."""

from __future__ import annotations

import json

import torch

from training.rlhf import checkpoints
from training.rlhf.contract import PreferencePair, ScoreSettings
from training.rlhf.errors import EngineError
from training.rlhf.evaluation import figures_of, pair_rewards
from training.rlhf.models import VisionLanguageModel
from training.rlhf.reward_model import RewardModel
from training.rlhf.run_directory import Run

SCORES = "scores.jsonl"
_PAIRS_A_TIME = 256


def score(run: Run) -> None:
    """Score the pairs of ``data/train.jsonl`` into ``final/scores.jsonl``.

    A line is ``{"id": ..., "reward_1": ..., "reward_2": ...}``, normalised rewards of the outputs.
    """
    settings = run.spec.settings
    assert isinstance(settings, ScoreSettings)
    if run.spec.reward_model is None:
        raise EngineError("spec.json, reward_model: score needs one")
    run.events.stage("reading preference pairs")
    pairs = run.records(PreferencePair)
    run.events.stage("loading the reward model")
    model = VisionLanguageModel.load(run.base_model(), run.spec.model)
    reward_model = RewardModel.load(model, run.folder(run.spec.reward_model, field="reward_model"))
    run.events.stage("scoring")
    lines: list[str] = []
    rewards = []
    for start in range(0, len(pairs), _PAIRS_A_TIME):
        run.check_termination()
        group = pairs[start : start + _PAIRS_A_TIME]
        raw = pair_rewards(run, reward_model, group, batch_size=settings.batch_size)
        rewards.append(raw)
        for pair, (one, two) in zip(group, reward_model.normalised(raw).tolist(), strict=True):
            lines.append(json.dumps({"id": pair.id, "reward_1": one, "reward_2": two}) + "\n")
        run.events.progress(len(lines), len(pairs), unit="pair")
    with checkpoints.atomic_folder(run.final) as folder:
        (folder / SCORES).write_text("".join(lines), encoding="utf-8")
    figures = figures_of(reward_model, torch.cat(rewards), pairs)
    run.events.checkpoint(
        len(lines),
        run.final.name,
        final=True,
        metrics={f"score/{name}": value for name, value in figures.items()},
    )
