from __future__ import annotations

import math

import pytest
import torch

from training.rlhf.evaluation import calibration_error, correlation, preference_metrics


def test_metrics_by_hand() -> None:
    # right by 1, wrong by 1, undecided
    rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    first_better = torch.tensor([True, True, False])
    lengths = torch.tensor([[3, 1], [2, 4], [5, 5]])
    figures = preference_metrics(rewards, first_better, lengths)
    assert figures["accuracy"] == pytest.approx(1.5 / 3)
    right = math.log(1 + math.exp(-1))
    assert figures["loss"] == pytest.approx((right + right + 1 + math.log(2)) / 3, abs=1e-6)
    assert figures["mean_reward"] == pytest.approx(0.5)


def test_accuracy_does_not_depend_on_which_output_is_better() -> None:
    rewards, lengths = torch.tensor([[2.0, 1.0], [3.0, 0.0]]), torch.ones(2, 2, dtype=torch.long)
    better = preference_metrics(rewards, torch.tensor([True, False]), lengths)
    swapped = preference_metrics(rewards.flip(1), torch.tensor([False, True]), lengths)
    assert better["accuracy"] == swapped["accuracy"] == 0.5
    assert better["loss"] == pytest.approx(swapped["loss"])


def test_calibration_error_by_hand() -> None:
    # bin 0.8: says 0.85, happens half the time; bin 0.1: says 0.15, never happens
    probabilities = torch.tensor([0.85, 0.85, 0.15, 0.15])
    outcomes = torch.tensor([True, False, False, False])
    error = calibration_error(probabilities, outcomes)
    assert error == pytest.approx((2 * 0.35 + 2 * 0.15) / 4, abs=1e-6)
    assert calibration_error(torch.tensor([1.0, 0.0]), torch.tensor([True, False])) == 0


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], 1.0),
        ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0], -1.0),
        ([1.0, 2.0, 3.0], [1.0, 3.0, 2.0], 0.5),
        ([1.0, 1.0, 1.0], [1.0, 3.0, 2.0], 0.0),
    ],
)
def test_correlation(x: list[float], y: list[float], expected: float) -> None:
    assert correlation(torch.tensor(x), torch.tensor(y)) == pytest.approx(expected, abs=1e-6)
