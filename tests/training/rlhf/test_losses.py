from __future__ import annotations

import math

import pytest
import torch

from training.rlhf.losses import (
    anchor_loss,
    answer_loss,
    conditional_preference_loss,
    cut_share,
    direct_preference_loss,
    masked_mean,
    policy_loss,
    preference_loss,
    reduced,
    value_loss,
)

LOG2 = math.log(2)
SOFTPLUS_1 = math.log(1 + math.e)  # loss of a pair that is wrong by 1
SOFTPLUS_MINUS_1 = SOFTPLUS_1 - 1  # loss of a pair that is right by 1


def tensor(*rows: float | list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_preference_loss_is_the_mean_cross_entropy_of_differences() -> None:
    loss = preference_loss(tensor(1.0, 0.0), tensor(0.0, 1.0), center_coefficient=0.0)
    assert loss.item() == pytest.approx((SOFTPLUS_MINUS_1 + SOFTPLUS_1) / 2, abs=1e-12)


def test_preference_loss_keeps_the_mean_of_sums_near_zero() -> None:
    # sums 3 and 1, mean 2, so the extra term is 2 * 0.001
    loss = preference_loss(tensor(2.0, 1.0), tensor(1.0, 0.0))
    assert loss.item() == pytest.approx(SOFTPLUS_MINUS_1 + 0.002, abs=1e-12)
    negative = preference_loss(tensor(-1.0, 0.0), tensor(-2.0, -1.0))
    assert negative.item() == pytest.approx(SOFTPLUS_MINUS_1 + 0.002, abs=1e-12)


def test_preference_loss_subtracts_the_margin() -> None:
    loss = preference_loss(tensor(1.0), tensor(0.0), margin=tensor(1.0), center_coefficient=0.0)
    assert loss.item() == pytest.approx(LOG2, abs=1e-12)


def test_preference_loss_with_an_even_label_pulls_rewards_together() -> None:
    chosen = tensor(1.0).requires_grad_()
    loss = preference_loss(chosen, tensor(0.0), labels=tensor(0.5), center_coefficient=0.0)
    assert loss.item() == pytest.approx(SOFTPLUS_1 - 0.5, abs=1e-12)
    loss.backward()
    assert chosen.grad is not None and chosen.grad.item() > 0


def test_preference_loss_gradient_raises_the_chosen_reward() -> None:
    chosen, rejected = tensor(0.0).requires_grad_(), tensor(0.0).requires_grad_()
    preference_loss(chosen, rejected).backward()
    assert chosen.grad is not None and rejected.grad is not None
    assert chosen.grad.item() == pytest.approx(-0.5, abs=2e-3)
    assert rejected.grad.item() == pytest.approx(0.5, abs=2e-3)


def test_policy_loss_clips_only_what_would_profit() -> None:
    # ratio 1.5 and 0.5 with advantage 1 and -1: -1.2 (clipped), 1.5, -0.5, 0.8 (clipped)
    logprobs = torch.log(tensor([1.5, 1.5, 0.5, 0.5]))
    loss, clipped = policy_loss(
        logprobs,
        torch.zeros_like(logprobs),
        tensor([1.0, -1.0, 1.0, -1.0]),
        torch.ones_like(logprobs),
        clip_range=0.2,
    )
    assert loss.item() == pytest.approx(0.15, abs=1e-12)
    assert clipped.item() == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(("reduction", "expected"), [("tokens", -10 / 5), ("sequences", -8 / 3)])
@pytest.mark.parametrize("padding", [0, 3])
def test_policy_loss_averages_over_tokens_or_sequences(
    reduction: str, expected: float, padding: int
) -> None:
    # at ratio 1 the losses are the advantages: 1 1 1 of a long response, 4 and 3 of short ones
    advantages = tensor([1.0, 1.0, 1.0], [4.0, 9.0, 9.0], [3.0, 9.0, 9.0])
    mask = tensor([1, 1, 1], [1, 0, 0], [1, 0, 0])
    wide = torch.nn.functional.pad(advantages, (0, padding), value=7.0)
    loss, _ = policy_loss(
        torch.zeros_like(wide),
        torch.zeros_like(wide),
        wide,
        torch.nn.functional.pad(mask, (0, padding)),
        clip_range=0.2,
        reduction=reduction,
    )
    assert loss.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("far", [25.0, 1000.0, -1000.0])
def test_log_ratios_are_cut_as_verl_cuts_them_and_counted(far: float) -> None:
    logprobs = tensor([far, 0.0, 1000.0]).requires_grad_()
    mask = tensor([1, 1, 0])
    loss, _ = policy_loss(
        logprobs, torch.zeros_like(logprobs), -torch.ones_like(logprobs), mask, clip_range=0.2
    )
    ratio = math.exp(20) if far > 0 else 0.8  # a low ratio is clipped before it matters
    assert loss.item() == pytest.approx((ratio + 1) / 2, rel=1e-9)
    loss.backward()
    assert logprobs.grad is not None and torch.isfinite(logprobs.grad).all()
    assert logprobs.grad[0, 0] == 0 < logprobs.grad[0, 1]
    assert cut_share(logprobs, torch.zeros_like(logprobs), mask).item() == pytest.approx(0.5)


def test_a_mean_of_sequences_leaves_out_what_has_no_token() -> None:
    x, mask = tensor([2.0, 4.0], [math.nan, math.inf]), tensor([1, 1], [0, 0])
    assert reduced(x, mask, "sequences").item() == pytest.approx(3.0, abs=1e-12)
    assert reduced(x, torch.zeros_like(x), "sequences").item() == 0
    with pytest.raises(ValueError, match="'rows', not 'tokens' or 'sequences'"):
        reduced(x, mask, "rows")


def test_policy_loss_gradient_raises_a_good_token_and_ignores_clipped_ones() -> None:
    logprobs = torch.log(tensor([1.0, 1.5])).requires_grad_()
    loss, _ = policy_loss(
        logprobs, tensor([0.0, 0.0]), tensor([1.0, 1.0]), tensor([1, 1]), clip_range=0.2
    )
    loss.backward()
    assert logprobs.grad is not None
    assert logprobs.grad.flatten().tolist() == pytest.approx([-0.5, 0.0], abs=1e-12)


def test_value_loss_takes_the_worse_of_clipped_and_not() -> None:
    # (0.2 - 2)^2 = 3.24 beats 1; second value is inside the range: 1
    loss, clipped = value_loss(
        tensor([1.0, 1.0]), tensor([0.0, 0.9]), tensor([2.0, 0.0]), tensor([1, 1]), clip_range=0.2
    )
    assert loss.item() == pytest.approx((3.24 + 1) / 4, abs=1e-12)
    assert clipped.item() == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("garbage", [7.0, -1e3])
def test_padding_changes_neither_policy_nor_value_loss(garbage: float) -> None:
    mask = tensor([1.0, 1.0, 0.0])
    first, second = tensor([0.1, -0.2, garbage]), tensor([0.0, 0.1, -garbage])
    third = tensor([1.0, -2.0, garbage])
    for loss in (policy_loss, value_loss):
        padded = loss(first, second, third, mask, clip_range=0.2)
        bare = loss(first[:, :2], second[:, :2], third[:, :2], mask[:, :2], clip_range=0.2)
        assert padded[0].item() == pytest.approx(bare[0].item(), abs=1e-12)
        assert padded[1].item() == pytest.approx(bare[1].item(), abs=1e-12)


def test_masked_mean_of_nothing_is_zero() -> None:
    assert masked_mean(tensor([3.0]), tensor([0.0])).item() == 0


def test_answer_loss_weighs_tokens_or_examples() -> None:
    # a one-token answer that costs 3, and a three-token answer that costs 1 each
    logprobs = tensor([-3.0, -9.0, -9.0], [-1.0, -1.0, -1.0])
    mask = tensor([1.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    assert answer_loss(logprobs, mask, average="token").item() == pytest.approx(6 / 4)
    assert answer_loss(logprobs, mask, average="example").item() == pytest.approx((3 + 1) / 2)


@pytest.mark.parametrize(("average", "total"), [("token", 4.0), ("example", 2.0)])
def test_answer_loss_of_micro_batches_adds_up(average: str, total: float) -> None:
    logprobs = tensor([-3.0, -9.0, -9.0], [-1.0, -2.0, -1.0])
    mask = tensor([1.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    whole = answer_loss(logprobs, mask, average=average)
    parts = [
        answer_loss(logprobs[row, None], mask[row, None], average=average, total=total)
        for row in (0, 1)
    ]
    assert sum(part.item() for part in parts) == pytest.approx(whole.item(), abs=1e-12)


def test_direct_preference_loss_is_a_cross_entropy_of_log_ratios() -> None:
    # beta 0.5 makes differences of 2 and -2 into 1 and -1
    loss = direct_preference_loss(tensor(3.0, -1.0), tensor(1.0, 1.0), beta=0.5)
    assert loss.item() == pytest.approx((SOFTPLUS_MINUS_1 + SOFTPLUS_1) / 2, abs=1e-12)


def test_direct_preference_loss_of_the_reference_itself_is_log_two() -> None:
    assert direct_preference_loss(tensor(0.0), tensor(0.0), beta=0.1).item() == pytest.approx(LOG2)


def test_direct_preference_loss_weighs_both_directions_by_the_smoothing() -> None:
    loss = direct_preference_loss(tensor(1.0), tensor(0.0), beta=1.0, label_smoothing=0.25)
    assert loss.item() == pytest.approx(0.75 * SOFTPLUS_MINUS_1 + 0.25 * SOFTPLUS_1, abs=1e-12)
    # a label of 3/4 smoothed by 1/4: 3/4 * 3/4 + 1/4 * 1/4 = 5/8
    both = direct_preference_loss(
        tensor(1.0), tensor(0.0), beta=1.0, labels=tensor(0.75), label_smoothing=0.25
    )
    assert both.item() == pytest.approx(SOFTPLUS_1 - 0.625, abs=1e-12)


def test_direct_preference_loss_gradient_raises_the_chosen_answer() -> None:
    chosen, rejected = tensor(0.0).requires_grad_(), tensor(0.0).requires_grad_()
    direct_preference_loss(chosen, rejected, beta=0.2).backward()
    assert chosen.grad is not None and rejected.grad is not None
    assert chosen.grad.item() == pytest.approx(-0.1)  # -beta * sigmoid(0)
    assert rejected.grad.item() == pytest.approx(0.1)


def test_the_losses_of_image_conditioned_preferences_by_hand() -> None:
    """-log sigmoid(2 * 0.5 - 0.3) and (2 * -1 - 0.3); of the image, (0.4 * (1 - 0.25))."""
    anchored = anchor_loss(torch.tensor([0.5, -1.0], dtype=torch.float64), beta=2.0, delta=0.3)
    softplus = [math.log1p(math.exp(-0.7)), math.log1p(math.exp(2.3))]
    assert anchored.item() == pytest.approx(sum(softplus) / 2, abs=1e-12)
    one = torch.tensor([1.0], dtype=torch.float64)
    told = conditional_preference_loss(one, one / 4, beta=0.4)
    assert told.item() == pytest.approx(math.log1p(math.exp(-0.3)), abs=1e-12)
