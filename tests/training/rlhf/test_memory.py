from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import last_metrics
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, OptimizerSettings, SamplingSettings
from training.rlhf.data import TokenSequence
from training.rlhf.memory import Fit
from training.rlhf.models import VisionLanguageModel
from training.rlhf.reward_model import RewardModel

STEPS = {"batch_size": 6, "micro_batch_size": 6, "max_steps": 2, "epochs": 9.0}
SETTINGS: dict[Kind, dict[str, Any]] = {
    Kind.SFT: STEPS,
    Kind.DPO: STEPS,
    Kind.REWARD: STEPS | {"center_coefficient": 0.5, "held_out": 4},
    Kind.PPO: {
        "steps": 2,
        "rollout_batch_size": 6,
        "rollout_micro_batch_size": 6,
        "responses_per_prompt": 3,
        "batch_size": 6,
        "micro_batch_size": 6,
        "sampling": SamplingSettings(temperature=1.0, query_length=48, response_length=6),
        "policy_optimizer": OptimizerSettings(learning_rate=1e-4),
        "value_optimizer": OptimizerSettings(learning_rate=1e-4),
    },
}


def small_device(patch: pytest.MonkeyPatch, *, rows: int) -> list[int]:
    """A device that runs out of memory in the middle of a pass of more than ``rows``.

    Returns the sizes of all passes that were begun.
    """
    begun: list[int] = []
    original = VisionLanguageModel.run

    def run(self: VisionLanguageModel, **inputs: Any) -> torch.Tensor:
        begun.append(len(inputs["input_ids"]))
        hidden = original(self, **inputs)
        if begun[-1] > rows:
            raise torch.OutOfMemoryError("fake: out of memory")
        if hidden.requires_grad and begun[-1] > rows - 1:
            hidden.register_hook(_out_of_memory)  # later, while gradients are computed
        return hidden

    patch.setattr(VisionLanguageModel, "run", run)
    return begun


def _out_of_memory(gradient: torch.Tensor) -> None:
    raise torch.OutOfMemoryError("fake: out of memory")


def test_parts_become_smaller_until_they_fit() -> None:
    fit, tried, done = Fit("testing"), [], []

    def work(rows: list[int]) -> None:
        tried.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError
        done.extend(rows)

    fit.in_parts(range(10), work)
    assert tried == [10, 5, 2, 2, 2, 2, 2]
    assert done == list(range(10))
    fit.in_parts(range(3), work)
    assert tried[-2:] == [2, 1]  # it is not tried again


def test_a_single_row_that_does_not_fit_is_an_error() -> None:
    def work(rows: list[int]) -> None:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        Fit("testing").in_parts(range(4), work)


def test_other_errors_are_not_mistaken_for_it() -> None:
    tried = []

    def work(rows: list[int]) -> None:
        tried.append(len(rows))
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        Fit("testing").in_parts(range(4), work)
    assert tried == [4]


@pytest.mark.parametrize("kind", SETTINGS)
def test_running_out_of_memory_changes_no_result(
    make_run: MakeRun, reward_folder: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    extra = {"reward_model": reward_folder} if kind is Kind.PPO else {}
    ample = make_run(kind, "ample", **extra, **SETTINGS[kind])
    assert main([kind, "--run-dir", str(ample)]) == 0
    scarce = make_run(kind, "scarce", **extra, **SETTINGS[kind])
    with monkeypatch.context() as patch:
        begun = small_device(patch, rows=4)
        assert main([kind, "--run-dir", str(scarce)]) == 0
    assert max(begun) > 4
    expected, found = last_metrics(events(ample)), last_metrics(events(scarce))
    assert set(expected) == set(found) == {1, 2}
    for step, figures in expected.items():
        assert found[step] == pytest.approx(figures, rel=1e-3, abs=1e-5)
    weights = "final/adapter_model.safetensors"
    one, two = load_file(ample / weights), load_file(scarce / weights)
    assert all(torch.allclose(one[name], two[name], atol=2e-4) for name in one)


@pytest.mark.parametrize(
    ("kind", "most"), [(Kind.SFT, 60), (Kind.REWARD, 300), (Kind.DPO, 150), (Kind.PPO, 60)]
)
def test_passes_of_few_tokens_change_no_result(
    make_run: MakeRun, reward_folder: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, most: int
) -> None:
    extra = {"reward_model": reward_folder} if kind is Kind.PPO else {}
    """Of a reward model also those over held-out pairs, and for the centring of all pairs."""
    settings = SETTINGS[kind] | ({"responses_per_prompt": 1} if kind is Kind.PPO else {})
    rows = make_run(kind, "rows", **extra, **settings)
    tokens = make_run(kind, "tokens", **extra, **settings, micro_batch_tokens=most)
    sizes: dict[Path, list[tuple[int, int]]] = {rows: [], tokens: []}
    run, hidden_of = VisionLanguageModel.run, RewardModel._hidden

    def learn(self: VisionLanguageModel, **inputs: Any) -> torch.Tensor:
        hidden = run(self, **inputs)
        if hidden.requires_grad:
            sizes[under_way].append((len(inputs["input_ids"]), inputs["input_ids"].numel()))
        return hidden

    def rate(self: RewardModel, sequences: list[TokenSequence]) -> Any:
        sizes[under_way].append((len(sequences), len(sequences) * max(map(len, sequences))))
        return hidden_of(self, sequences)

    if kind is Kind.REWARD:
        monkeypatch.setattr(RewardModel, "_hidden", rate)
    else:
        monkeypatch.setattr(VisionLanguageModel, "run", learn)
    for under_way in (rows, tokens):
        assert main([kind, "--run-dir", str(under_way)]) == 0
    assert all(numbers <= most for _, numbers in sizes[tokens])
    assert 1 < max(sizes[tokens])[0] < max(sizes[rows])[0]
    expected, found = last_metrics(events(rows)), last_metrics(events(tokens))
    for step, figures in expected.items():
        assert found[step] == pytest.approx(figures, rel=1e-3, abs=1e-5)


def test_a_sequence_too_long_for_the_device_ends_the_run_with_advice(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_run(Kind.SFT, **STEPS)
    small_device(monkeypatch, rows=0)
    assert main(["sft", "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    assert failure["message"].startswith("memory runs out even with one sequence at a time")
