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


def young_layer(steps: int, *, coherent: bool) -> tuple[Linear, Tensor]:
    """A layer of LLaVA-1.5's width in bfloat16, rank 64, and inputs that have something in common.

    B is what Adam makes of so many steps at 3e-5: all in the gradient's direction, or at random.
    """
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(4096, 4096, bias=False))
    base[0].weight.data.normal_(std=0.02)
    base.to(torch.bfloat16)
    get_peft_model(
        base, LoraConfig(r=64, lora_alpha=16, target_modules=["0"]), adapter_name="policy"
    )
    made: Any = base[0]
    add_once(made, "policy")
    common = torch.randn(4096)
    x = (0.5 * common + 0.87 * torch.randn(16, 4096)).bfloat16()
    down, up = made.lora_A["policy"].weight, made.lora_B["policy"].weight
    direction = torch.outer(torch.randn(4096), down.detach() @ common)
    way = direction if coherent else torch.randn(4096, 64)
    up.data.copy_(3e-5 * (steps if coherent else steps**0.5) * way.sign())
    up.requires_grad_(False).add_(0)  # a change that PyTorch counts
    return made, x


@torch.no_grad()
@pytest.mark.parametrize(("steps", "coherent"), [(4, True), (20, True), (100, False)])
def test_a_young_adapter_is_not_lost_in_bfloat16_at_published_widths(
    steps: int, coherent: bool
) -> None:
    """Merged, 7, 29 and 15 % of these are left, and 15, 63 and 16 % when added after rounding."""
    made, x = young_layer(steps, coherent=coherent)
    up, down = made.lora_B["policy"].weight, made.lora_A["policy"].weight
    truth = 16 / 64 * x.float() @ down.T @ up.T
    effect = made(x).float() - made.base_layer(x).float()
    assert float((truth * effect).sum() / (truth * truth).sum()) == pytest.approx(1.0, abs=0.1)


def test_adapters_of_one_layer_do_not_see_each_other_in_bfloat16() -> None:
    """Also when one is used between another's forward and backward pass, or has changed."""
    torch.manual_seed(0)  # rounding in bfloat16 is large against some numbers, and no matter here
    base = nn.Sequential(nn.Linear(6, 5, dtype=torch.bfloat16))
    model = get_peft_model(base, LoraConfig(r=3, target_modules=["0"]), adapter_name="policy")
    model.add_adapter("value", LoraConfig(r=20, target_modules=["0"]))
    made: Any = base[0]
    x = torch.randn(4, 6, dtype=torch.bfloat16)
    for name in ("policy", "value"):
        nn.init.normal_(made.lora_B[name].weight)
    plain = copy.deepcopy(made)
    for name in ("policy", "value"):
        add_once(made, name)

    def gradient_of(layer: Any, *, between: bool) -> Tensor:
        layer.set_adapter("policy")
        result = layer(x).square().sum()
        if between:
            layer.set_adapter("value")
            layer(x)
            layer.set_adapter("policy")
        return torch.autograd.grad(result, layer.lora_B["policy"].weight)[0]

    assert torch.equal(gradient_of(made, between=True), gradient_of(made, between=False))
    torch.testing.assert_close(
        gradient_of(made, between=True), gradient_of(plain, between=False), rtol=0.05, atol=0.05
    )
    with torch.no_grad():
        for layer in (made, plain):
            layer.lora_B["policy"].weight.mul_(-2)
        torch.testing.assert_close(made(x), plain(x), rtol=0.02, atol=0.02)
        made.set_adapter("value")
        plain.set_adapter("value")
        torch.testing.assert_close(made(x), plain(x), rtol=0.02, atol=0.02)
        made.enable_adapters(False)
        assert torch.equal(made(x), plain.base_layer(x))


class Products(TorchDispatchMode):
    """Notes the types that matrices are multiplied in, and how wide the products are."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[torch.dtype] = set()
        self.widths: set[int] = set()

    def __torch_dispatch__(
        self, operation: Any, types: Any, given: Any = (), more: Any = None
    ) -> Any:
        if operation.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
            self.types |= {tensor.dtype for tensor in given}
            self.widths.add(given[-1].shape[-1])
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


@pytest.mark.parametrize("bias", [True, False])
def test_many_tokens_are_multiplied_once_by_the_sum(bias: bool) -> None:
    """PEFT's numbers and gradients, and no product per token that is as narrow as the rank."""
    plain = layer()
    if not bias:
        plain.get_base_layer().bias = None
    ours = copy.deepcopy(plain)
    add_once(ours, "policy")
    plain.get_base_layer().requires_grad_(False)
    ours.get_base_layer().requires_grad_(False)
    x = torch.randn(2, 20, 6)
    expected, gradients = passed(plain, x)
    result, own = passed(ours, x)
    torch.testing.assert_close(result, expected)
    for mine, theirs in zip(own, gradients, strict=True):
        torch.testing.assert_close(mine, theirs)
    with torch.no_grad(), Products() as products:
        ours(x)
    assert products.widths == {6, 5}, "the sum, and the product with it"
    with torch.no_grad(), Products() as products:
        ours(x[0, :1])
    assert 3 in products.widths, "for one token the sum would cost more"
    ours.lora_B["policy"].weight.data.mul_(2)
    plain.lora_B["policy"].weight.data.mul_(2)
    torch.testing.assert_close(ours(x), plain(x))
