"""The LoRA sum in fewer steps: PEFT's numbers and PEFT's files."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

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


class Products(TorchDispatchMode):
    """Notes the types that matrices are multiplied in."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[torch.dtype] = set()

    def __torch_dispatch__(
        self, operation: Any, types: Any, given: Any = (), more: Any = None
    ) -> Any:
        if operation.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
            self.types |= {tensor.dtype for tensor in given}
        return operation(*given, **(more or {}))


def test_a_float32_adapter_of_a_bfloat16_base_is_multiplied_in_bfloat16() -> None:
    """On a GPU that is ten times as fast, and the inputs kept for gradients take half the room."""
    plain = layer(dtype=torch.bfloat16)
    assert plain.lora_A["policy"].weight.dtype == torch.float32
    ours = copy.deepcopy(plain)
    add_once(ours, "policy")
    x = torch.randn(2, 3, 6, dtype=torch.bfloat16)
    expected, gradients = passed(plain, x)
    with Products() as products:
        result, own = passed(ours, x)
    assert products.types == {torch.bfloat16}
    for mine, theirs in zip([result, *own], [expected, *gradients], strict=True):
        assert mine.dtype == theirs.dtype
        assert float((mine - theirs).float().norm() / theirs.float().norm()) < 0.01


@pytest.mark.parametrize("last", ["plain", "dora"])
def test_peft_still_casts_for_an_adapter_of_its_own_on_the_same_layer(last: str) -> None:
    base = nn.Sequential(nn.Linear(6, 5, dtype=torch.bfloat16))
    kinds = ["plain", "dora"] if last == "dora" else ["dora", "plain"]
    configs = {
        name: LoraConfig(r=3, target_modules=["0"], use_dora=name == "dora") for name in kinds
    }
    model = get_peft_model(base, configs[kinds[0]], adapter_name=kinds[0])
    model.add_adapter(kinds[1], configs[kinds[1]])
    made: Any = base[0]
    for name in kinds:
        add_once(made, name)
    for name in kinds:
        made.set_adapter(name)
        assert made(torch.randn(2, 6, dtype=torch.bfloat16)).dtype == torch.bfloat16


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
