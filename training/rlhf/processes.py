"""Several processes on one host that train together, as ``accelerate launch`` starts them.

Each holds the whole model and computes its share of every batch; gradients are summed before the
optimiser's step, so weights stay equal and a run gives what one process gives. The first process
writes. Everything here does nothing when there is only one.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from training.rlhf.devices import take_gpu
from training.rlhf.errors import EngineError

T = TypeVar("T")

_BUCKET = 2**24
"""Numbers summed at once: enough to be fast, few enough to take little memory."""


@dataclass(frozen=True)
class Processes:
    """This process among the others. Calls that exchange something are made by all, in one order.

    ``number`` counts from 0.
    """

    number: int = 0
    count: int = 1
    device: torch.device | None = None

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.number == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """This process's part of ``items``; the first ones, often the largest, are dealt out."""
        return list(items[self.number :: self.count])

    def collect(self, items: Sequence[T]) -> list[T]:
        """Of all processes, in the order in which ``share`` deals out."""
        return _dealt(self.each(items))

    def each(self, items: Sequence[T]) -> list[list[T]]:
        """What every process has, by process."""
        everyone: list[list[T]] = [[*items] for _ in range(self.count)]
        if self.count > 1:
            _meet()
            distributed.all_gather_object(everyone, [*items])
        return everyone

    def in_order(self, items: Sequence[T], count: int) -> list[T]:
        """``count`` items, one process's after the other's, in the order ``share`` deals out."""
        rest = iter(items)
        sizes = [len(range(number, count, self.count)) for number in range(self.count)]
        return _dealt([list(itertools.islice(rest, size)) for size in sizes])

    def any_of(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether any process has it set."""
        return [any(each) for each in zip(*self.each(flags), strict=True)]

    def exchange(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """All processes' tensors, one process's after the other's; those of one are of one type."""
        if self.count == 1:
            return [*tensors]
        found: list[Tensor] = []
        for number, forms in enumerate(self.each([(t.shape, t.dtype) for t in tensors])):
            if not forms:
                continue
            sizes = [shape.numel() for shape, _ in forms]
            flat = torch.empty(sum(sizes), dtype=forms[0][1], device=self.device)
            if number == self.number:
                torch.cat([tensor.flatten() for tensor in tensors], out=flat)
            distributed.broadcast(flat, number)
            parts = zip(flat.split(sizes), forms, strict=True)
            found += [part.view(shape).clone() for part, (shape, _) in parts]
        return found

    def part_size(self, size: int, count: int) -> int:
        """``size`` or what gives each process something of ``count`` rows to do."""
        return min(size, max(-(-count // self.count), 1))

    def sum_(self, *tensors: Tensor) -> None:
        """Each tensor becomes the sum over all processes, in place."""
        if self.count > 1:
            _meet()
            for tensor in tensors:
                moved = tensor.to(self.device)  # NCCL sums on the device only
                distributed.all_reduce(moved)
                tensor.copy_(moved)

    def totals(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Sums of figures that every process has under the same names."""
        values = torch.tensor(list(figures.values()), dtype=torch.float64)
        self.sum_(values)
        return dict(zip(figures, values.tolist(), strict=True))

    def total(self, value: float) -> float:
        return self.totals({"": value})[""]

    def agree(self, flag: bool) -> bool:
        """Whether any process says so."""
        return flag if self.count == 1 else self.total(float(flag)) > 0

    def check_alike(self, what: str, value: object) -> None:
        """Raises EngineError, in all processes, where one of them has another ``value``."""
        if len({said for [said] in self.each([repr(value)])}) > 1:
            raise EngineError(f"the processes of this run disagree about the {what}")

    def wait(self) -> None:
        """Until all processes are here."""
        self.agree(False)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Gradients become their sums; one that a process does not have counts as zero."""
        if self.count == 1:
            return
        _meet()
        bucket: list[nn.Parameter] = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            bucket.append(parameter)
            if sum(p.numel() for p in bucket) >= _BUCKET:
                _sum_bucket(bucket)
                bucket = []
        if bucket:
            _sum_bucket(bucket)


_current = Processes()
_serve: Callable[..., None] | None = None
_forget: Callable[[], None] | None = None


def serve_before_meetings(serve: Callable[..., None], forget: Callable[[], None]) -> None:
    """Call ``serve`` before anything is exchanged: others may need this process until they come.

    Before they part it is ``serve(leaving=True)``, and then ``forget`` is called.
    """
    global _serve, _forget
    _serve, _forget = serve, forget


def _meet(*, leaving: bool = False) -> None:
    if _serve is not None:
        _serve(leaving=leaving)


def processes() -> Processes:
    """The processes of this run."""
    return _current


@contextlib.contextmanager
def together() -> Iterator[Processes]:
    """Join the processes that the launcher's environment names, and part when done."""
    global _current, _serve, _forget
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or _current.count > 1:
        yield _current
        return
    # Its functions take the group of all as a default argument. Imported later, by whatever library
    # needs it, they would keep the group and its threads alive until the interpreter is taken down,
    # where a thread that lets go of a tensor aborts the process.
    importlib.import_module("torch.distributed.nn.functional")
    # A launcher's file may speak of FSDP. Read by transformers, that would leave the weights of all
    # processes but the first empty; here spec.json says whether a base is cut.
    os.environ.pop("ACCELERATE_USE_FSDP", None)
    device = take_gpu()
    distributed.init_process_group("nccl" if device else "gloo")
    _current = Processes(int(os.environ["RANK"]), count, device)
    try:
        yield _current
        _meet(leaving=True)
    finally:
        if _forget is not None:
            _forget()
        _serve = _forget = None
        _current = Processes()
        gc.collect()  # what is left of the run may hold the group
        if distributed.is_initialized():  # vLLM may have parted us when it was let go
            distributed.destroy_process_group()


def _dealt(everyone: Sequence[Sequence[T]]) -> list[T]:
    longest = max(map(len, everyone))
    return [row[place] for place in range(longest) for row in everyone if place < len(row)]


def _sum_bucket(bucket: list[nn.Parameter]) -> None:
    gradients = [p.grad for p in bucket if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
