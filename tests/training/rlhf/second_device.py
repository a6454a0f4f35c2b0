"""A device beside the CPU, on a machine that has none: "cuda:0", whose tensors lie in host memory.

Its tensors refuse to meet the CPU's wherever CUDA's do, it draws random numbers of its own, and
each wait of the host for it is counted. The CPU computes what it computes, so nothing is learnt
here of kernels, speed, memory, autocast or NCCL.

Autograd refuses a CUDA device in a build without CUDA. To it these tensors are of "lazy:0", a
device that every build knows and nothing here uses; to Python they are of "cuda:0".
"""

from __future__ import annotations

import contextlib
import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.optim import optimizer as optimizers
from torch.utils import _foreach_utils as foreach
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

CUDA, _BELOW, _CPU = torch.device("cuda", 0), torch.device("lazy", 0), torch.device("cpu")

_COPIES = {aten._to_copy.default, aten.copy_.default}
_INDEXING = {
    *(aten.index.Tensor, aten._unsafe_index.Tensor, aten.index_put.default),
    *(aten.index_put_.default, aten._index_put_impl_.default, aten._unsafe_index_put.default),
}
_OF_UNKNOWN_SIZE = {
    *(aten.nonzero.default, aten.masked_select.default, aten._unique2.default),
    *(aten.unique_dim.default, aten.unique_consecutive.default, aten.repeat_interleave.Tensor),
    *(aten.bincount.default, aten.equal.default, aten._local_scalar_dense.default),
}
"""What the host cannot go on behind before it has seen numbers of the device."""


class DevicesMeet(RuntimeError):
    """An operation got tensors of both devices where CUDA refuses that."""


class OnDevice(Tensor):
    """A tensor of the device; ``held`` has its numbers, on the CPU."""

    held: Tensor
    there: SecondDevice
    """The device that is there."""
    device = CUDA  # type: ignore[assignment]
    is_cuda = True  # type: ignore[assignment]
    is_cpu = False  # type: ignore[assignment]
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        made: OnDevice = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=_BELOW,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        # Only where no device is entered: in a thread that loads weights.
        return cls.there.__torch_dispatch__(operation, types, args, kwargs)

    @property
    def data(self) -> Tensor:  # type: ignore[override]
        return self.detach()

    @data.setter
    def data(self, new: Tensor) -> None:
        if not isinstance(new, OnDevice):
            raise DevicesMeet("the data of a tensor of the device became that of one of the CPU")
        Tensor.data.__set__(self, new)  # type: ignore[attr-defined]
        self.held = new.held

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def untyped_storage(self) -> Any:
        return self.held.untyped_storage()

    def __repr__(self, **_: Any) -> str:
        return f"{self.held!r} of {CUDA}"


class SecondDevice(TorchDispatchMode):
    """What the device does while it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[tuple[str, str]] = Counter()
        """How often the host waited, by operation and line of the engine."""
        self.largest = sys.maxsize
        """Bytes of the largest tensor that it has memory for."""
        self.most = 0
        """Bytes of the largest tensor that it made."""
        self.random = torch.get_rng_state()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        tensors = _tensors((*args, *kwargs.values()))
        ours = {id(tensor.held): tensor for tensor in tensors if isinstance(tensor, OnDevice)}
        there = bool(ours)
        if kwargs.get("device") is not None:
            there = torch.device(kwargs["device"]).type in (CUDA.type, _BELOW.type)
            kwargs["device"] = _CPU if there else kwargs["device"]
        if operation is aten.is_pinned.default:
            return getattr(args[0], "pinned", False)
        if operation is aten._pin_memory.default:
            return _pinned(args[0])
        if operation is aten.copy_.default:
            there = isinstance(args[0], OnDevice)
        if not ours and not there:
            return operation(*args, **kwargs)
        if operation not in _COPIES:
            _check(operation, args, tensors)
        if self._waits(operation, args, kwargs, there):
            self.waits[str(operation).removeprefix("aten."), _line()] += 1

        def seen(found: Tensor) -> Tensor:
            if id(found) in ours:
                return _unmoved(operation, ours[id(found)])
            if found.nbytes > self.largest:
                raise torch.OutOfMemoryError(f"{operation} makes {found.nbytes} bytes")
            self.most = max(self.most, found.nbytes)
            return OnDevice(found) if there and found.device == _CPU else found

        drawing = torch.Tag.nondeterministic_seeded in operation.tags
        with self._own_numbers() if drawing else contextlib.nullcontext():
            held = _each(args, _held)
            return _each(operation(*held, **{n: _each(v, _held) for n, v in kwargs.items()}), seen)

    @contextlib.contextmanager
    def _own_numbers(self) -> Iterator[None]:
        """Draw from the device's random numbers and not from the CPU's."""
        before = torch.get_rng_state()
        torch.set_rng_state(self.random)
        try:
            yield
        finally:
            self.random = torch.get_rng_state()
            torch.set_rng_state(before)

    def seed(self, number: int) -> None:
        """Begin the device's random numbers anew."""
        self.random = torch.Generator().manual_seed(number).get_state()

    def _waits(self, operation: Any, args: Any, kwargs: Any, there: bool) -> bool:
        if operation in _COPIES:
            source = args[-1] if operation is aten.copy_.default else args[0]
            beside = kwargs.get("non_blocking") and (not there or getattr(source, "pinned", False))
            return isinstance(source, OnDevice) != there and source.numel() > 0 and not beside
        if operation in _INDEXING:
            indices = [index for index in args[1] if index is not None]
            return any(i.dtype == torch.bool or not isinstance(i, OnDevice) for i in indices)
        return operation in _OF_UNKNOWN_SIZE


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
    return found


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """``value`` with all tensors in it changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)([_each(one, change) for one in value])
    return value


def _held(tensor: Tensor) -> Tensor:
    return tensor.held if isinstance(tensor, OnDevice) else tensor


def _check(operation: Any, args: Any, tensors: list[Tensor]) -> None:
    """Raise DevicesMeet for tensors of the CPU other than numbers, and than indices."""
    strangers = [tensor for tensor in tensors if not isinstance(tensor, OnDevice) and tensor.dim()]
    first = args[0] if args else None
    if operation in _INDEXING and isinstance(first, OnDevice):
        strangers = [t for t in strangers if not any(t is index for index in args[1])]
    [described, *_] = operation._schema.arguments
    written = described.alias_info is not None and described.alias_info.is_write
    if written and isinstance(first, Tensor) and not isinstance(first, OnDevice):
        strangers.append(first)
    if strangers:
        met = ", ".join(f"{tuple(tensor.shape)} on {tensor.device}" for tensor in tensors)
        raise DevicesMeet(f"{operation} of {met}")


def _unmoved(operation: Any, tensor: OnDevice) -> OnDevice:
    """What was written in place, and still has its shape."""
    if tensor.shape != tensor.held.shape or tensor.stride() != tensor.held.stride():
        raise NotImplementedError(f"{operation} gives a tensor another shape in place")
    return tensor


def _pinned(tensor: Tensor) -> Tensor:
    if isinstance(tensor, OnDevice):
        raise RuntimeError("only dense CPU tensors can be pinned")
    copy = tensor.clone()
    copy.pinned = True  # type: ignore[attr-defined]
    return copy


def _line() -> str:
    """The innermost line of the engine that is being carried out."""
    frame: Any = sys._getframe()
    while frame is not None:
        name = frame.f_code.co_filename
        if "/training/rlhf/" in name and "/tests/" not in name:
            return f"{name.rpartition('/')[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def _below(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method of tensors that takes a device, which autograd is told by its own name."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        def renamed(value: Any) -> Any:
            on_it = isinstance(value, str | torch.device) and torch.device(value).type == "cuda"
            return _BELOW if on_it else value

        args = tuple(renamed(value) for value in args)
        return original(self, *args, **{name: renamed(value) for name, value in kwargs.items()})

    return method


def _of_numbers(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``torch.tensor``, which would read numbers of the device below this."""

    def tensor(data: Any, *args: Any, **kwargs: Any) -> Tensor:
        if isinstance(data, list | tuple) and any(isinstance(one, OnDevice) for one in data):
            data = [one.tolist() if isinstance(one, OnDevice) else one for one in data]
        return original(data, *args, **kwargs)

    return tensor


@contextlib.contextmanager
def second_device() -> Iterator[SecondDevice]:
    """The device, there for as long as this lasts."""
    device = OnDevice.there = SecondDevice()

    def set_state(state: Tensor, number: Any = 0) -> None:
        device.random = state.clone()

    driver: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "device": lambda number: contextlib.nullcontext(),
        "get_rng_state": lambda number=0: device.random.clone(),
        "set_rng_state": set_state,
        "manual_seed": device.seed,
        "manual_seed_all": device.seed,
        "empty_cache": lambda: None,
        "synchronize": lambda: None,
        "is_bf16_supported": lambda: True,
        "get_device_capability": lambda number=0: (9, 0),
        "reset_peak_memory_stats": lambda: None,
        "max_memory_allocated": lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    lists = (optimizers._foreach_supported_types, foreach._foreach_supported_types)
    torch._C._set_only_lift_cpu_tensors(True)  # type: ignore[attr-defined]
    with contextlib.ExitStack() as patches:
        patches.callback(torch._C._set_only_lift_cpu_tensors, False)  # type: ignore[attr-defined]
        for name, call in driver.items():
            patches.enter_context(mock.patch.object(torch.cuda, name, call))
        # A build with CUDA would ask its driver, which is not there, whether steps are captured.
        nothing = mock.patch.object(torch.accelerator, "current_accelerator", lambda *_, **__: None)
        patches.enter_context(nothing)
        patches.enter_context(mock.patch.object(Tensor, "to", _below(Tensor.to)))
        patches.enter_context(mock.patch.object(torch, "tensor", _of_numbers(torch.tensor)))
        for kinds in lists:
            kinds.append(OnDevice)
            patches.callback(kinds.remove, OnDevice)
        patches.enter_context(device)
        yield device
