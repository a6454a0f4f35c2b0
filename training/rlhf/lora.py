"""The sum that a LoRA layer makes, in fewer steps than PEFT's own and in the base's type.

PEFT scales the update at its full width and then adds it, which reads and writes every output twice
more, and again in the backward pass. Here the narrow product is scaled, and the wide one is added
as it is multiplied. Where an adapter is kept in float32 over a base that is not, PEFT takes every
input to float32, multiplies there and keeps it for the backward pass; here the adapter is rounded
for the product, as autocast would, and its gradients are summed and applied in float32.

In bfloat16 a layer's output is rounded, and what a young adapter adds to it is less than half an
ulp: added afterwards, most of it vanishes, whether the adapter is merged or not. So there base and
adapter are one product, ``[x, A x] @ [W, B]``, which is summed in float32 and rounded once. ``W``
lies in a buffer with room for ``B`` behind each row, so that needs no second copy of the base.

In float32 nothing vanishes, and a pass over many tokens multiplies by ``W + B A`` outright: making
that sum costs less than two narrow products for each token. It is made anew for every pass and for
its backward pass, so nothing can be out of date and no memory is taken.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.rlhf import library_internals

_STEP = 16
"""Columns behind a weight come in so many at once: rows stay aligned for a GPU's matrix units."""


class AddedOnce(library_internals.LoraVariant):
    """``result + scaling * B A x``: PEFT's plain LoRA up to rounding."""

    @staticmethod
    def init(module: Any, adapter_name: str, **options: Any) -> None:
        """Nothing to prepare: the weights are PEFT's own."""

    @staticmethod
    def forward(
        module: Any, active_adapter: str, x: Tensor, result: Tensor, **options: Any
    ) -> Tensor:
        """``x`` is ``[..., in]`` and ``result`` of the base ``[..., out]``."""
        x = x.to(result.dtype)  # PEFT has cast it where another kind of LoRA is on the layer
        down = module.lora_A[active_adapter].weight.to(result.dtype)
        up = module.lora_B[active_adapter].weight.to(result.dtype)
        narrow = functional.linear(module.lora_dropout[active_adapter](x), down)
        narrow = narrow * module.scaling[active_adapter]
        return torch.addmm(result.flatten(0, -2), narrow.flatten(0, -2), up.T).view_as(result)


class _OneProduct(torch.autograd.Function):
    """``[x, narrow] @ wide.T + bias``, of which ``x``, ``narrow`` and ``up`` get gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, narrow: Tensor, up: Tensor, wide: Tensor, bias: Any) -> Tensor:
        """``up`` ``[out, rank]`` is what stands in the last columns of ``wide``."""
        ctx.save_for_backward(narrow, up)
        ctx.weight = wide[
            :, : x.shape[-1]
        ]  # frozen; the columns behind it may be another's by then
        return functional.linear(torch.cat([x, narrow], dim=-1), wide, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        [gradient] = gradients
        narrow, up = ctx.saved_tensors
        return _of_one_product(ctx, gradient, narrow, up, ctx.weight)


class _GatheredProduct(torch.autograd.Function):
    """``_OneProduct`` of a weight that is whole only for a while: it is copied beside ``up``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, narrow: Tensor, up: Tensor, weight: Tensor, bias: Any
    ) -> Tensor:
        """``up`` is ``[out, rank]``, ``weight`` ``[out, in]`` is frozen and not kept but named."""
        ctx.save_for_backward(narrow, up, weight)
        return functional.linear(torch.cat([x, narrow], -1), torch.cat([weight, up], -1), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        [gradient] = gradients
        narrow, up, weight = ctx.saved_tensors
        return _of_one_product(ctx, gradient, narrow, up, weight)


def _of_one_product(
    ctx: Any, gradient: Tensor, narrow: Tensor, up: Tensor, weight: Tensor
) -> tuple[Tensor | None, ...]:
    """Gradients of ``x``, ``narrow`` and ``up`` in ``x @ weight.T + narrow @ up.T + bias``."""
    of_x = gradient @ weight if ctx.needs_input_grad[0] else None
    of_up = gradient.flatten(0, -2).T @ narrow.flatten(0, -2)
    return of_x, gradient @ up, of_up, None, None


class _MergedProduct(torch.autograd.Function):
    """``x @ (W + scaling B A).T + bias``, of which ``x``, ``A`` and ``B`` get gradients."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, down: Tensor, up: Tensor, weight: Tensor, bias: Any, scaling: float
    ) -> Tensor:
        """``down`` is A ``[rank, in]``, ``up`` is B ``[out, rank]``, ``weight`` is frozen."""
        ctx.save_for_backward(x, down, up, weight)
        ctx.scaling = scaling
        return functional.linear(x, torch.addmm(weight, up, down, alpha=scaling), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, down, up, weight = ctx.saved_tensors
        gradient, inputs = gradients[0].flatten(0, -2), x.flatten(0, -2)
        of_x = None
        if ctx.needs_input_grad[0]:
            merged = torch.addmm(weight, up, down, alpha=ctx.scaling)
            of_x = (gradient @ merged).view_as(x)
        of_down = (gradient @ (up * ctx.scaling)).T @ inputs
        of_up = gradient.T @ (inputs @ (down.T * ctx.scaling))
        return of_x, of_down, of_up, None, None, None


class _Wide:
    """A layer's weight ``[out, in]`` and, behind it, columns to write an adapter's B into."""

    def __init__(self, weight: Tensor, room: int) -> None:
        rows, self.columns = weight.shape
        self.buffer = weight.new_zeros(rows, self.columns + room, requires_grad=False)
        self.buffer[:, : self.columns] = weight.data
        weight.data = self.buffer[:, : self.columns]
        self._written: tuple[Any, ...] = ()

    def holds(self, weight: Tensor, rank: int) -> bool:
        """Whether the weight is still what lies here, and there is room for such an adapter."""
        enough = self.columns + rank <= self.buffer.shape[1]
        return enough and weight.data_ptr() == self.buffer.data_ptr()

    def behind(self, parameter: nn.Parameter, up: Tensor) -> Tensor:
        """``[out, in + rank]`` with ``up``, which is ``parameter`` in the weight's type."""
        whole = self.buffer[:, : self.columns + up.shape[1]]
        now = (id(parameter), parameter._version)
        if torch.is_grad_enabled() or self._written != now:  # when sampling it is the same for long
            whole[:, self.columns :].copy_(up.detach())
            self._written = now
        return whole


def _forward(layer: Any, x: Tensor, *args: Any, **options: Any) -> Tensor:
    """What stands in place of PEFT's forward: one product where that is possible."""
    active = layer.active_adapters
    wide: _Wide | None = layer.__dict__.get("_wide")
    sharded: bool = layer.__dict__.get("_sharded", False)
    base = layer.get_base_layer()
    one = len(active) == 1 and isinstance(library_internals.variant_of(layer, active[0]), AddedOnce)
    one = one and (wide is not None or sharded)
    if not one or layer.disable_adapters or layer.merged or args or options:
        result: Tensor = type(layer).forward(layer, x, *args, **options)
        return result
    [adapter] = active
    parameter = layer.lora_B[adapter].weight
    if wide is not None and not wide.holds(base.weight, parameter.shape[1]):
        result = type(layer).forward(layer, x)
        return result
    down, up = (
        m.weight.to(base.weight.dtype) for m in (layer.lora_A[adapter], layer.lora_B[adapter])
    )
    narrow = functional.linear(layer.lora_dropout[adapter](x), down) * layer.scaling[adapter]
    if wide is None:
        product: Tensor = _GatheredProduct.apply(x, narrow, up, base.weight, base.bias)
        return product
    product = _OneProduct.apply(x, narrow, up, wide.behind(parameter, up), base.bias)
    return product


def _merged_forward(layer: Any, x: Tensor, *args: Any, **options: Any) -> Tensor:
    """What stands in place of PEFT's forward in float32: one product where that costs less."""
    active, base = layer.active_adapters, layer.get_base_layer()
    plain = len(active) == 1 and isinstance(
        library_internals.variant_of(layer, active[0]), AddedOnce
    )
    if plain and not (layer.disable_adapters or layer.merged or args or options):
        down, up, dropout = (
            part[active[0]] for part in (layer.lora_A, layer.lora_B, layer.lora_dropout)
        )
        drops = layer.training and not isinstance(dropout, nn.Identity)
        rows, columns = base.weight.shape
        many = x.numel() // columns * (rows + columns) > rows * columns
        if many and not drops and not base.weight.requires_grad and x.dtype == torch.float32:
            product: Tensor = _MergedProduct.apply(
                x, down.weight, up.weight, base.weight, base.bias, layer.scaling[active[0]]
            )
            return product
    result: Tensor = type(layer).forward(layer, x, *args, **options)
    return result


def _make_room(layer: Any, rank: int, *, sharded: bool) -> None:
    """Let a plain layer of a half-precision base compute ``_forward``, of another the sum."""
    base = layer.get_base_layer()
    if type(base) is nn.Linear and base.weight.dtype == torch.float32:
        layer.forward = MethodType(_merged_forward, layer)
    if type(base) is not nn.Linear or base.weight.dtype not in (torch.bfloat16, torch.float16):
        return
    wide: _Wide | None = layer.__dict__.get("_wide")
    if sharded:
        layer.__dict__["_sharded"] = True
    elif wide is None or not wide.holds(base.weight, rank):
        layer.__dict__["_wide"] = _Wide(base.weight, -(-rank // _STEP) * _STEP)
    layer.forward = MethodType(_forward, layer)


def add_once(layer: Any, adapter: str, *, sharded: bool = False) -> None:
    """Let ``layer`` compute ``adapter`` so, unless it is another kind of LoRA.

    The weights of a ``sharded`` base lie in pieces, and there is no room behind them.

    PEFT casts a layer's inputs for all its adapters or for none.
    """
    plain = adapter in layer.lora_A and library_internals.variant_of(layer, adapter) is None
    if plain and layer.lora_B[adapter].bias is None:
        library_internals.compute_by(layer, adapter, AddedOnce())
        _make_room(layer, layer.lora_B[adapter].weight.shape[1], sharded=sharded)
    variants = [library_internals.variant_of(layer, name) for name in layer.lora_A]
    library_internals.cast_inputs(layer, not all(isinstance(one, AddedOnce) for one in variants))
