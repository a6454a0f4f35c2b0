"""What PPO asks of its reward model, and in which words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import (
    last_metrics,
)
from tests.training.rlhf.test_train_ppo import FOUR_ROUNDS, change_spec, train
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind
from training.rlhf.data import TokenSequence
from training.rlhf.reward_model import RewardModel


def test_scoring_asks_in_the_same_tokens_as_reward_training(
    make_run: MakeRun, reward_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[TokenSequence] = []
    original = RewardModel.score_by_head

    def score(self, sequences: Sequence[TokenSequence], **options):  # type: ignore[no-untyped-def]
        scored.extend(sequences)
        return original(self, sequences, **options)

    directory = make_run(
        Kind.PPO, reward_model=reward_folder, **FOUR_ROUNDS | {"steps": 1, "samples_every": 1}
    )
    monkeypatch.setattr(RewardModel, "score_by_head", score)
    assert train(directory) == 0
    shown = events(directory, "sample")  # the last ones scored, text and all
    questions = ["what is there ?" if n % 2 else "is there a cross ?" for n in range(4)]
    tokenizer = tiny.tokenizer()
    for sequence, sample, question in zip(scored[-4:], shown, questions, strict=True):
        expected = (
            f"<s> USER: <image> <image> <image> <image> {question} facts : a red circle "
            f"ASSISTANT: {sample['response']} </s> USER: rate : ASSISTANT:"
        )
        assert " ".join(tokenizer.convert_ids_to_tokens(sequence.ids)) == " ".join(expected.split())


@pytest.mark.parametrize(("with_facts", "count"), [(True, 1), (False, 0)])
def test_facts_are_shown_to_the_reward_model_only_if_asked(
    make_run: MakeRun,
    reward_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_facts: bool,
    count: int,
) -> None:
    shown: list[int] = []
    original = RewardModel.sequences

    def sequences(self, conversation, image, responses, captions=()):  # type: ignore[no-untyped-def]
        shown.append(len(captions))
        return original(self, conversation, image, responses, captions)

    directory = make_run(
        Kind.PPO,
        reward_model=reward_folder,
        **FOUR_ROUNDS | {"steps": 1},
        with_facts=with_facts,
    )
    monkeypatch.setattr(RewardModel, "sequences", sequences)
    assert train(directory) == 0
    golden = 5  # shown as they were trained, whatever PPO is told
    assert set(shown[golden:]) == {count}


def test_reward_model_must_be_named(make_run: MakeRun) -> None:
    directory = make_run(Kind.PPO, **FOUR_ROUNDS)
    assert train(directory) == 1
    [failure] = events(directory, "error")
    assert failure["message"].startswith("spec.json, reward_model: ppo needs one")


def test_reward_model_may_have_a_base_of_its_own(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the paper, where a larger base rates the answers of a smaller one."""
    larger = tmp_path / "larger"
    tiny.model(seed=9, hidden_size=48, layers=3).save_pretrained(larger)
    tiny.processor().save_pretrained(larger)
    rewarding = make_run(Kind.REWARD, "rewarding", max_steps=4, batch_size=4)
    change_spec(rewarding, base_model=str(larger))
    assert main(["reward", "--run-dir", str(rewarding)]) == 0

    earned: list[tuple[tuple[str, ...], torch.Tensor]] = []
    original = RewardModel.score_by_head

    def score(self, sequences, **options):  # type: ignore[no-untyped-def]
        found = original(self, sequences, **options)
        earned.append((self.model.base.config.name_or_path, found))
        return found

    monkeypatch.setattr(RewardModel, "score_by_head", score)
    directory = make_run(Kind.PPO, reward_model=rewarding / "final", **FOUR_ROUNDS | {"steps": 2})
    assert train(directory) == 1  # one base alone does not fit both
    change_spec(directory, reward_base=str(larger))
    assert train(directory) == 0
    assert {name for name, _ in earned} == {str(larger)}
    metrics = last_metrics(events(directory))
    assert metrics[2]["ppo/value_gradient_norm"] > 0
    weights = load_file(directory / "final" / "adapter_model.safetensors")
    assert not any(48 in tensor.shape for tensor in weights.values())
    first = json.loads((rewarding / "final" / "reward_model.json").read_text())
    rollout = next(scores for _, scores in earned if len(scores) == 6)
    normalised = (rollout - first["mean"]) / first["deviation"]
    assert metrics[1]["ppo/score"] == pytest.approx(float(normalised.mean()), abs=1e-5)

    # The critic may be on that base too: then it begins as the reward model, and is resumed there.
    changes = FOUR_ROUNDS | {"steps": 2, "checkpoint_every": 1, "critic_on": "reward"}
    above = make_run(Kind.PPO, "above", reward_model=rewarding / "final", **changes)
    change_spec(above, reward_base=str(larger))
    assert train(above) == 0
    values = load_file(above / "checkpoints" / "step-1" / "value" / "adapter_model.safetensors")
    began = load_file(rewarding / "final" / "adapter_model.safetensors")
    assert all(tensor.shape == began[name].shape for name, tensor in values.items())
    near = {name: float((values[name] - began[name]).abs().max()) for name in began}
    assert 0 < max(near.values()) < 0.05
    final = load_file(above / "final" / "adapter_model.safetensors")
    shutil.rmtree(above / "checkpoints" / "step-2")
    assert train(above) == 0
    again = load_file(above / "final" / "adapter_model.safetensors")
    assert all(torch.equal(again[name], tensor) for name, tensor in final.items())


def test_reward_model_and_policy_train_on_a_bfloat16_base(make_run: MakeRun) -> None:
    """Adapters and heads stay in float32: what bfloat16 would round away is what is learnt."""
    reward = make_run(Kind.REWARD, "reward", max_steps=2, batch_size=6)
    policy = make_run(Kind.PPO, "policy", **FOUR_ROUNDS | {"steps": 2})
    for directory in (reward, policy):
        spec = json.loads((directory / "spec.json").read_text())
        spec["model"]["dtype"] = "bfloat16"
        if directory is policy:
            spec["reward_model"] = "adapters/reward"
            shutil.copytree(reward / "final", policy / "adapters" / "reward")
        (directory / "spec.json").write_text(json.dumps(spec))
        assert main([spec["kind"], "--run-dir", str(directory)]) == 0
        for path in (directory / "final").glob("*.safetensors"):
            assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float32}
    assert abs(last_metrics(events(policy))[1]["ppo/kl"]) < 1e-6
