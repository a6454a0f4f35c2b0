"""The LoRA sum in fewer steps: PEFT's numbers and PEFT's files."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear
from torch import Tensor, nn

from training.rlhf.lora import AddedOnce, add_once


def layer(*, dtype: torch.dtype = torch.float32, **options: Any) -> Linear:
    """A linear layer of 6 to 5 with an adapter, in float32, whose two matrices are random."""
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(6, 5, dtype=dtype))
    config = LoraConfig(r=3, lora_alpha=12, target_modules=["0"], **options)
    get_peft_model(base, config, adapter_name="policy")
    made = base[0]
    assert isinstance(made, Linear)
    with torch.no_grad():
        for weight in (made.lora_A["policy"].weight, made.lora_B["policy"].weight):
            weight.copy_(torch.randn(weight.shape))
    return made


def passed(made: Linear, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The output, and the gradients of input and of both matrices."""
    x = x.clone().requires_grad_()
    weights = [made.lora_A["policy"].weight, made.lora_B["policy"].weight]
    result = made(x)
    weighing = torch.linspace(-1, 1, result.numel()).view_as(result)
    return result.detach(), list(torch.autograd.grad((result * weighing).sum(), [x, *weights]))


@pytest.mark.parametrize("shape", [(7, 6), (2, 3, 6)])
def test_output_and_gradients_are_those_of_peft(shape: tuple[int, ...]) -> None:
    plain = layer()
    ours = copy.deepcopy(plain)
    add_once(ours, "policy")
    assert isinstance(ours.lora_variant["policy"], AddedOnce)
    x = torch.randn(shape)
    expected, gradients = passed(plain, x)
    result, own = passed(ours, x)
    torch.testing.assert_close(result, expected)
    for mine, theirs in zip(own, gradients, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_float32_adapter_of_a_bfloat16_base_loses_nothing_on_the_way() -> None:
    plain = layer(dtype=torch.bfloat16)
    assert plain.lora_A["policy"].weight.dtype == torch.float32
    ours = copy.deepcopy(plain)
    add_once(ours, "policy")
    x = torch.randn(2, 3, 6, dtype=torch.bfloat16)
    assert ours(x).dtype == plain(x).dtype
    torch.testing.assert_close(ours(x), plain(x), rtol=2e-2, atol=2e-2)


def test_dropout_is_that_of_the_adapter() -> None:
    plain = layer(lora_dropout=0.5)
    ours = copy.deepcopy(plain)
    add_once(ours, "policy")
    x = torch.randn(4, 6)
    results = []
    for made in (plain, ours):
        torch.manual_seed(3)
        results.append(made(x))
    torch.testing.assert_close(*results)


def test_files_stay_those_of_peft() -> None:
    plain = layer()
    ours = copy.deepcopy(plain)
    add_once(ours, "policy")
    assert list(ours.state_dict()) == list(plain.state_dict())


def test_other_kinds_of_lora_are_left_to_peft() -> None:
    dora, biased = layer(use_dora=True), layer(lora_bias=True)
    theirs = dora.lora_variant["policy"]
    add_once(dora, "policy")
    add_once(biased, "policy")
    add_once(biased, "of another layer")
    assert dora.lora_variant["policy"] is theirs
    assert dict(biased.lora_variant) == {}
