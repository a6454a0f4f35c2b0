"""What captures a decoding step where there is no CUDA: operations in place of kernels.

As a CUDA graph does, ``Recorded`` keeps what a step did with the memory it did it on, runs nothing
while it records, and on replay does the same once more without any Python of the step. What a CUDA
graph cannot hold is refused: waiting for values, shapes that depend on values, and values from the
host or another device.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from training.rlhf.graphs import Step

_ATEN = torch.ops.aten
_WAITS = {
    *(_ATEN._local_scalar_dense, _ATEN.nonzero, _ATEN.masked_select, _ATEN.equal),
    *(_ATEN.is_nonzero, _ATEN._unique2, _ATEN.unique_dim, _ATEN.unique_consecutive),
}
_FROM_HOST = {_ATEN.lift_fresh, _ATEN.lift_fresh_copy}
_AT_PLACES = {_ATEN.index, _ATEN.index_put, _ATEN.index_put_, _ATEN._index_put_impl_}
_UNWRITTEN = {_ATEN.empty, _ATEN.empty_strided, _ATEN.empty_like, _ATEN.new_empty}
_ANYTHING = 77
"""What memory that a graph has of its own holds before it is replayed."""


class NotCapturable(RuntimeError):
    """Where CUDA would say that an operation is not permitted while a stream is capturing."""


class Recorded:
    """``Graphs`` on any device; counts what was captured and replayed."""

    def __init__(self) -> None:
        self.captures = self.replays = 0

    def capture(self, step: Step) -> Step:
        """See ``Graphs``."""
        step()
        self.captures += 1
        recording = _Recording()
        try:
            with recording:
                step()
        finally:
            recording.undo()

        def replay() -> None:
            self.replays += 1
            recording.replay()

        return replay


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Any, Any, list[Tensor]]] = []
        self._own: dict[int, Tensor] = {}
        self._before: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(self, call: Any, types: Any, given: Any = (), more: Any = None) -> Any:
        more = more or {}
        _refuse(call, given, more)
        for told, value in zip(call._schema.arguments, given, strict=False):
            if told.alias_info and told.alias_info.is_write:
                self._keep(value)
        # The same memory by another name: a parameter may be given other memory after this.
        fixed = tree_map_only(Tensor, Tensor.detach, (given, more))
        found = call(*given, **more)
        outputs = [output.detach() for output in _tensors(found)]
        given_memory = {_memory(tensor) for tensor in _tensors((given, more))}
        self._own |= {_memory(o): o for o in outputs if _memory(o) not in given_memory}
        if not call.is_view and call.overloadpacket not in _UNWRITTEN:
            self._calls.append((call, fixed, outputs))
        return found

    def _keep(self, tensor: Tensor) -> None:
        """What the memory holds before the step writes to it the first time."""
        if _memory(tensor) not in self._own and _memory(tensor) not in self._before:
            whole = _whole(tensor)
            self._before[_memory(tensor)] = whole, whole.clone()

    def undo(self) -> None:
        """Capturing runs nothing: what was written is as before."""
        for whole, before in self._before.values():
            whole.copy_(before)
        for tensor in self._own.values():
            _whole(tensor).fill_(_ANYTHING)

    @torch.no_grad()
    def replay(self) -> None:
        for call, (given, more), outputs in self._calls:
            for output, new in zip(outputs, _tensors(call(*given, **more)), strict=True):
                if _memory(output) != _memory(new):
                    output.copy_(new)


def _refuse(call: Any, given: Any, more: Any) -> None:
    packet = call.overloadpacket
    if packet in _WAITS:
        raise NotCapturable(f"{call} waits for values")
    if packet in _FROM_HOST:
        raise NotCapturable(f"{call} brings values from the host")
    places = given[1] if packet in _AT_PLACES else ()
    if any(place is not None and place.dtype == torch.bool for place in places):
        raise NotCapturable(f"{call} makes a shape that depends on values")
    devices = {tensor.device for tensor in _tensors((given, more)) if tensor.dim()}
    wanted = {torch.device(more["device"])} if more.get("device") else set()
    if len(devices | wanted) > 1:
        raise NotCapturable(f"{call} goes from one device to another")


def _tensors(found: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _whole(tensor: Tensor) -> Tensor:
    """All of the memory that ``tensor`` is a part of."""
    size = tensor.untyped_storage().nbytes() // tensor.element_size()
    return tensor.detach().as_strided((size,), (1,), 0)
