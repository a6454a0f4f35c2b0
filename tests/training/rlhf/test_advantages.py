from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from training.rlhf.advantages import (
    adapt_kl_coefficient,
    generalized_advantage_estimation,
    group_relative,
    groups_without_spread,
    kl_penalty,
    last_token_index,
    leave_one_out,
    shape_rewards,
    truncated_importance_weights,
    whiten,
)


def tensor(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        ("k1", [0.5, -0.5]),
        ("k1_clamped", [0.5, 0.0]),
        ("k3", [math.exp(-0.5) - 0.5, math.exp(0.5) - 1.5]),
    ],
)
def test_kl_penalty_of_each_estimator(estimator: str, expected: list[float]) -> None:
    kl = kl_penalty(tensor([-1.0, -1.5]), tensor([-1.5, -1.0]), estimator=estimator)
    assert kl.flatten().tolist() == pytest.approx(expected, abs=1e-12)


def test_k3_of_probabilities_far_apart_is_finite() -> None:
    kl = kl_penalty(tensor([-1000.0, 1000.0]), tensor([0.0, 0.0]), estimator="k3")
    assert kl.flatten().tolist() == pytest.approx([math.exp(20) - 21, math.exp(-20) + 19])


def test_kl_penalty_rejects_another_estimator() -> None:
    with pytest.raises(ValueError, match="k2"):
        kl_penalty(tensor([0.0]), tensor([0.0]), estimator="k2")


def test_k1_and_k3_estimate_the_same_divergence() -> None:
    policy, reference = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.4, 0.4, 0.2])
    exact = float((policy * (policy / reference).log()).sum())
    for estimator in ("k1", "k3"):
        kl = kl_penalty(policy.log(), reference.log(), estimator=estimator)
        assert float((policy * kl).sum()) == pytest.approx(exact, abs=1e-6)


def test_shape_rewards_adds_the_score_on_the_last_token() -> None:
    kl, mask = tensor([0.1, 0.2, 9.0]), tensor([1, 1, 0])
    rewards = shape_rewards(torch.tensor([5.0]), kl, mask, kl_coefficient=0.5)
    assert rewards.flatten().tolist() == pytest.approx([-0.05, 4.9, 0.0], abs=1e-12)


def test_shape_rewards_adds_the_score_on_the_last_slot() -> None:
    kl, mask = tensor([0.1, 0.2, 0.0]), tensor([1, 1, 1])
    rewards = shape_rewards(torch.tensor([5.0]), kl, mask, kl_coefficient=0.5, position="last_slot")
    assert rewards.flatten().tolist() == pytest.approx([-0.05, -0.1, 5.0], abs=1e-12)


def test_shape_rewards_rejects_another_position() -> None:
    with pytest.raises(ValueError, match="first"):
        shape_rewards(torch.ones(1), tensor([0.0]), tensor([1]), kl_coefficient=0, position="first")


def test_last_token_index_is_of_the_last_one() -> None:
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]])
    assert last_token_index(mask).tolist() == [1, 0, 2, 0]


@pytest.mark.parametrize(
    ("gamma", "lam", "expected"),
    [
        # deltas -0.1, -0.1, 0.7
        (1.0, 0.95, [0.43675, 0.565, 0.7]),
        # deltas -0.14, -0.13, 0.7
        (0.9, 0.5, [-0.05675, 0.185, 0.7]),
        # the whole future reward minus the value
        (1.0, 1.0, [0.5, 0.6, 0.7]),
    ],
)
def test_advantages_by_hand(gamma: float, lam: float, expected: list[float]) -> None:
    values = tensor([0.5, 0.4, 0.3])
    advantages, returns = generalized_advantage_estimation(
        tensor([0, 0, 1]), values, tensor([1, 1, 1]), gamma=gamma, lam=lam
    )
    assert advantages.flatten().tolist() == pytest.approx(expected, abs=1e-12)
    assert returns.tolist() == (advantages + values).tolist()


def test_advantages_ignore_what_stands_in_the_padding() -> None:
    rewards, values = tensor([0.1, 1.0]), tensor([0.5, 0.2])
    bare = generalized_advantage_estimation(rewards, values, tensor([1, 1]), gamma=0.9, lam=0.8)
    padded = generalized_advantage_estimation(
        tensor([0.1, 1.0, 50.0, float("nan")]),
        tensor([0.5, 0.2, -70.0, float("inf")]),
        tensor([1, 1, 0, 0]),
        gamma=0.9,
        lam=0.8,
    )
    for one, two in zip(bare, padded, strict=True):
        assert two[:, :2].tolist() == one.tolist()
        assert two[:, 2:].tolist() == [[0.0, 0.0]]


def test_whiten_by_hand() -> None:
    root = math.sqrt(1.5)
    x, mask = tensor([1, 2, 3]), tensor([1, 1, 1])
    centred = whiten(x, mask, shift_mean=True)
    assert centred.flatten().tolist() == pytest.approx([-root, 0, root], abs=1e-6)
    kept = whiten(x, mask, shift_mean=False)
    assert kept.flatten().tolist() == pytest.approx([2 - root, 2, 2 + root], abs=1e-6)


def test_whiten_leaves_the_padding_out() -> None:
    bare = whiten(tensor([1, 2, 3]), tensor([1, 1, 1]), shift_mean=True)
    padded = whiten(tensor([1, 2, 3, 1e6]), tensor([1, 1, 1, 0]), shift_mean=True)
    assert padded[:, :3].tolist() == bare.tolist()
    assert padded[0, 3].item() == 0


@pytest.mark.parametrize(
    ("kl", "expected"),
    [(6.0, 0.1), (6.6, 0.101), (60.0, 0.102), (0.0, 0.098)],
)
def test_kl_coefficient_follows_the_target(kl: float, expected: float) -> None:
    adapted = adapt_kl_coefficient(0.1, kl, target=6.0, rollouts=100, horizon=1000)
    assert adapted == pytest.approx(expected, abs=1e-12)


def test_importance_weights_are_ratios_up_to_a_cap() -> None:
    own = torch.tensor([[0.4, 0.2, 0.9, 0.5]], dtype=torch.float64).log()
    other = torch.tensor([[0.2, 0.4, 0.1, 0.1]], dtype=torch.float64).log()
    mask = torch.tensor([[1, 1, 1, 0]])
    weights = truncated_importance_weights(own, other, mask, cap=3.0)
    assert weights.tolist() == [pytest.approx([2.0, 0.5, 3.0, 0.0])]


SCORES = torch.tensor([1.0, 2.0, 6.0, 5.0, 5.0, 5.0], dtype=torch.float64)


def test_leave_one_out_compares_with_the_mean_of_the_others() -> None:
    # 1 - (2 + 6) / 2, 2 - (1 + 6) / 2, 6 - (1 + 2) / 2
    expected = [-3.0, -1.5, 4.5, 0.0, 0.0, 0.0]
    assert leave_one_out(SCORES, 3).tolist() == pytest.approx(expected, abs=1e-12)


def test_group_relative_is_over_the_unbiased_deviation() -> None:
    # mean 3, squares 4 + 1 + 9 = 14 over 2, deviation sqrt(7)
    scale = math.sqrt(7) + 1e-4
    expected = [-2 / scale, -1 / scale, 3 / scale, 0.0, 0.0, 0.0]
    assert group_relative(SCORES, 3).tolist() == pytest.approx(expected, abs=1e-12)
    plain = group_relative(SCORES, 3, divide_by_deviation=False)
    assert plain.tolist() == pytest.approx([-2.0, -1.0, 3.0, 0.0, 0.0, 0.0], abs=1e-12)


def test_another_group_changes_nothing() -> None:
    for of in (leave_one_out, group_relative):
        torch.testing.assert_close(of(SCORES, 3)[:3], of(SCORES[:3], 3), atol=0, rtol=0)


def test_groups_without_spread_give_nothing_and_are_counted() -> None:
    """0.1 three times is not 0.1 on average, and what rounding leaves must not push."""
    scores = torch.tensor([0.1, 0.1, 0.1, -0.7, -0.7, -0.7 + 6e-8, 0.0, 0.0, 0.0, 1.0, 1.1, 1.0])
    assert groups_without_spread(scores, 3) == 3
    for advantages in (leave_one_out(scores, 3), group_relative(scores, 3)):
        assert advantages[:9].tolist() == [0.0] * 9
        assert advantages[10] > 0 > advantages[9]


@pytest.mark.parametrize("of", [leave_one_out, group_relative, groups_without_spread])
@pytest.mark.parametrize("size", [1, 4])
def test_scores_that_are_no_groups_are_refused(of: Callable[..., object], size: int) -> None:
    with pytest.raises(ValueError, match=f"6 scores are no groups of {size}, at least 2"):
        of(SCORES, size)
