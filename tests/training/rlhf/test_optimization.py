from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from training.rlhf.contract import Kind, OptimizerSettings, PpoSettings
from training.rlhf.errors import CheckpointError
from training.rlhf.optimization import (
    Optimizer,
    clip_gradients,
    learning_rate,
    seed_step,
    steps_in,
)
from training.rlhf.ppo import rate_steps, updates_in
from training.rlhf.presets import preset_spec


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1.0, 1.0, 0.853553, 0.5, 0.146447]),
    ],
)
def test_learning_rate_warms_up_then_follows_its_schedule(
    schedule: str, rates: list[float]
) -> None:
    settings = OptimizerSettings(learning_rate=1.0, schedule=schedule, warmup_steps=2)
    found = [learning_rate(settings, step, 6) for step in range(6)]
    assert found == pytest.approx(rates, abs=1e-6)


@pytest.mark.parametrize(
    ("epochs", "count", "batch", "limit", "steps"),
    [(1.0, 10, 4, 0, 3), (0.5, 10, 5, 0, 1), (2.0, 10, 5, 3, 3), (0.0, 10, 5, 0, 1)],
)
def test_steps_in_a_run(epochs: float, count: int, batch: int, limit: int, steps: int) -> None:
    assert steps_in(epochs, count, batch, limit) == steps


def parameters() -> dict[str, nn.Parameter]:
    return {
        "a": nn.Parameter(torch.tensor([1.0, 2.0])),
        "b": nn.Parameter(torch.tensor([[3.0]])),
    }


def train(optimizer: Optimizer, steps: range) -> None:
    for step in steps:
        for number, parameter in enumerate(optimizer.parameters.values()):
            parameter.grad = torch.full_like(parameter, 0.1 * (step + 1) + number)
        optimizer.step(step)


def test_state_taken_back_continues_exactly() -> None:
    settings = OptimizerSettings(learning_rate=0.1, schedule="cosine", weight_decay=0.01)
    whole = Optimizer(parameters(), settings, total_steps=5)
    train(whole, range(5))

    first = Optimizer(parameters(), settings, total_steps=5)
    train(first, range(2))
    second = Optimizer(copy.deepcopy(first.parameters), settings, total_steps=5)
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()})
    train(second, range(2, 5))
    for name in whole.parameters:
        assert torch.equal(whole.parameters[name], second.parameters[name])


def test_state_of_other_parameters_is_refused() -> None:
    optimizer = Optimizer(parameters(), OptimizerSettings(), total_steps=1)
    with pytest.raises(CheckpointError, match="unknown parameter c"):
        optimizer.load_state({"c/exp_avg": torch.zeros(1)})


def test_clipping_scales_all_gradients_together() -> None:
    found = parameters()
    found["a"].grad = torch.tensor([0.0, 3.0])
    found["b"].grad = torch.tensor([[4.0]])
    assert clip_gradients(found, 1.0) == pytest.approx(5.0)
    assert found["a"].grad.tolist() == pytest.approx([0.0, 0.6], abs=1e-5)
    assert found["b"].grad.item() == pytest.approx(0.8, abs=1e-5)
    assert clip_gradients(found, 0.0) == pytest.approx(1.0, abs=1e-5)
    assert found["b"].grad.item() == pytest.approx(0.8, abs=1e-5)


def test_seed_of_a_step_depends_on_all_its_parts() -> None:
    def drawn(seed: int, purpose: str, step: int) -> float:
        seed_step(seed, purpose, step)
        return float(torch.rand(()))

    first = drawn(1, "ppo", 0)
    assert drawn(1, "ppo", 0) == first
    assert len({first, drawn(2, "ppo", 0), drawn(1, "sft", 0), drawn(1, "ppo", 1)}) == 4


def test_warm_up_from_nothing_changes_nothing_first() -> None:
    settings = OptimizerSettings(learning_rate=1.0, warmup_steps=4, warmup_from_zero=True)
    assert [learning_rate(settings, step, 9) for step in range(5)] == [0, 0.25, 0.5, 0.75, 1]


def test_rates_of_the_paper_count_rounds() -> None:
    """Four updates a round, six rounds: 3.6e-4 in all, where counting steps gave 6.6e-4."""
    found = preset_spec(Kind.PPO, "paper").settings
    assert isinstance(found, PpoSettings)
    assert updates_in(found) == 4
    total = rate_steps(found, 10**6)
    assert total == 10**6
    rates = [learning_rate(found.policy_optimizer, step, total) for step in range(6)]
    assert 4 * sum(rates) == pytest.approx(3.6e-4, rel=1e-4)
