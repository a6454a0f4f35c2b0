"""A run that diverges ends, says where, and leaves nothing that is not finite."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.training.rlhf.conftest import MakeLearner, MakeRun, events
from tests.training.rlhf.test_train_ppo import FOUR_ROUNDS
from training.rlhf import ppo
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, OptimizerSettings, PromptRecord
from training.rlhf.experience import rollout
from training.rlhf.finite import NonFinite, check_finite
from training.rlhf.images import EncodedImage, ImageEncoder
from training.rlhf.optimization import Optimizer
from training.rlhf.tensors import read_tensors, write_tensors

WILD = OptimizerSettings(learning_rate=1e20)
STEPS: dict[str, Any] = {"max_steps": 6, "epochs": 9.0, "batch_size": 4, "checkpoint_every": 1}
PPO: dict[str, Any] = FOUR_ROUNDS | {"batch_size": 6, "checkpoint_every": 1}
GRPO: dict[str, Any] = PPO | {"advantage": "group", "responses_per_prompt": 3, "kl_in": "loss"}
RUNS: dict[str, tuple[Kind, dict[str, Any], str]] = {
    "sft": (Kind.SFT, STEPS, "optimizer"),
    "reward": (Kind.REWARD, STEPS, "optimizer"),
    "dpo": (Kind.DPO, STEPS, "optimizer"),
    "ppo": (Kind.PPO, PPO, "policy_optimizer"),
    "ppo, value": (Kind.PPO, PPO, "value_optimizer"),
    "grpo": (Kind.PPO, GRPO, "policy_optimizer"),
}


def failure_of(directory: Path, kind: Kind) -> str:
    assert main([kind.value, "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    assert not (directory / "final").exists()
    return str(failure["message"])


@pytest.mark.parametrize("name", RUNS)
def test_a_diverging_run_fails_and_leaves_finite_checkpoints(
    make_run: MakeRun, reward_folder: Path, name: str
) -> None:
    kind, settings, optimizer = RUNS[name]
    reward = reward_folder if kind is Kind.PPO else None
    directory = make_run(kind, reward_model=reward, **settings | {optimizer: WILD})
    message = failure_of(directory, kind)
    unit = "round" if kind is Kind.PPO else "step"
    assert message.startswith(f"{unit} ") and "no finite number" in message
    for path in (directory / "checkpoints").rglob("*.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(path).values()), path


@pytest.mark.parametrize("name", ["sft", "reward", "dpo", "ppo", "generate"])
def test_the_record_behind_a_number_that_is_none_is_named(
    make_run: MakeRun, reward_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """An image of which the vision tower makes nothing; the fifth record has it."""
    original = ImageEncoder.__call__

    def call(self: ImageEncoder, paths: Sequence[Any], **how: Any) -> list[EncodedImage]:
        encoded = original(self, paths, **how)
        return [
            replace(image, features=torch.full_like(image.features, math.nan))
            if "004-" in str(path)
            else image
            for path, image in zip(paths, encoded, strict=True)
        ]

    monkeypatch.setattr(ImageEncoder, "__call__", call)
    kind, settings, _ = RUNS.get(name, (Kind.GENERATE, {}, ""))
    reward = reward_folder if kind is Kind.PPO else None
    message = failure_of(make_run(kind, reward_model=reward, **settings), kind)
    ids = {Kind.SFT: "conversation", Kind.REWARD: "pair", Kind.DPO: "pair"}
    assert f"of record {ids.get(kind, 'prompt')}-4 is nan" in message


def test_each_number_of_an_optimisers_step_is_looked_at() -> None:
    """Each by itself: what one lets pass the next would tell of, by another name and later."""
    weight = nn.Parameter(torch.tensor([3.39e38]))
    optimizer = Optimizer({"a": weight}, OptimizerSettings(learning_rate=1e37), total_steps=1)
    weight.grad = torch.tensor([math.nan])
    with pytest.raises(NonFinite, match="the norm of the gradient is nan"):
        optimizer.clip()
    weight.grad = torch.tensor([-1.0])
    optimizer.clip()
    with pytest.raises(NonFinite, match="the norm of the weights is inf"):
        optimizer.step(0)


def test_an_advantage_that_is_none_is_told_before_anything_is_learnt_from_it(
    make_learner: MakeLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_learner()
    records = made.run.records(PromptRecord)[:6]
    trajectory, scores = rollout(made, records)
    before = {name: p.detach().clone() for name, p in made.policy.parameters.items()}

    def advantages_of(*_: Any) -> tuple[torch.Tensor, torch.Tensor]:
        broken = torch.zeros_like(trajectory.logprobs)
        broken[4, 0] = math.inf
        return broken, torch.zeros_like(broken)

    monkeypatch.setattr(ppo, "advantages_of", advantages_of)
    with pytest.raises(NonFinite, match=f"the advantage of record {records[4].id} is inf"):
        ppo.update(made, trajectory, scores, round_number=0)
    assert all(torch.equal(before[name], p) for name, p in made.policy.parameters.items())


def test_a_reward_that_is_none_is_told_with_its_record(
    make_learner: MakeLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_learner()
    records = made.run.records(PromptRecord)[:6]

    def score_by_head(*_: Any, **__: Any) -> torch.Tensor:
        return torch.tensor([0.0, 0.0, math.nan, 0.0, 0.0, 0.0])[:, None]

    monkeypatch.setattr(made.reward_model, "score_by_head", score_by_head)
    with pytest.raises(NonFinite, match=f"the reward of record {records[2].id} is nan"):
        rollout(made, records)


def test_a_value_that_is_none_is_told_before_its_loss(
    make_learner: MakeLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_learner()
    trajectory, scores = rollout(made, made.run.records(PromptRecord)[:6])
    original = made.valuing.head_values
    monkeypatch.setattr(made.valuing, "head_values", lambda *given: original(*given) * math.inf)
    with pytest.raises(NonFinite, match="the value is "):
        ppo.update(made, trajectory, scores, round_number=0)


def test_what_is_named_is_the_first_wrong_row() -> None:
    values = torch.tensor([[0.0, 1.0], [math.inf, math.nan]])
    with pytest.raises(NonFinite, match="the reward of record b is inf, no finite number"):
        check_finite("reward", values, ["a", "b"])
    check_finite("reward", values[:1], ["a"])
    with pytest.raises(NonFinite, match="the loss is nan"):
        check_finite("loss", math.nan)


def test_tensors_that_are_not_finite_are_neither_written_nor_read(tmp_path: Path) -> None:
    good, bad = torch.ones(2), torch.tensor([1.0, math.nan])
    with pytest.raises(NonFinite, match="tensor b is nan"):
        write_tensors(tmp_path / "new.safetensors", {"a": good, "b": bad})
    assert not (tmp_path / "new.safetensors").exists()
    save_file({"a": good, "b": bad}, tmp_path / "old.safetensors")
    with pytest.raises(NonFinite, match="tensor b of"):
        read_tensors(tmp_path / "old.safetensors")


def test_tensors_go_to_disk_in_one_place_only() -> None:
    root = Path(__file__).parents[3] / "training" / "rlhf"
    importing = {
        path.name
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "safetensors.torch"
    }
    assert importing == {"tensors.py"}
