"""The layers of a frozen language model, cut into pieces over the processes by FSDP2.

A process keeps its piece of every layer, and has a layer whole only while it computes with it,
forward or backward. FSDP takes for granted that all processes run the same passes in the same
order. Ours do not: shares differ in size, sampling goes on until its longest answer has ended, and
a part that does not fit in memory is halved. So before a layer is put together every process says
which one it wants, or that it waits for the others, and all put together the one that is lowest of
those wanted; who does not want it gives its piece and waits on. Nothing else has to be the same.
Gradients of a layer that is trained itself are added up the same way: who has none gives zeros.

FSDP puts a layer together again in the backward pass when a gradient of its output arrives. Where
only its keys and values were used none does. So whatever a layer keeps for the backward pass is
handed back with the layer whole.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from training.rlhf import library_internals
from training.rlhf.errors import LeftAlone
from training.rlhf.processes import processes, serve_before_meetings

_SUMS = 2**32
"""From here on a number says that gradients are added up, below it that a layer is wanted."""

_WAITS, _LEAVES = -1, -2
"""What a process says that wants no layer: it has come to a meeting, or to the end of the run."""


class Pieces:
    """The ``layers`` of one model, cut over the processes of this run, which all call this."""

    def __init__(self, layers: nn.ModuleList, device: torch.device) -> None:
        mesh = init_device_mesh(device.type, (processes().count,))
        self._layers: list[FSDPModule] = []
        self._computing: list[FSDPModule] = []
        for layer in layers:
            cut: Any = fully_shard(layer, mesh=mesh, reshard_after_forward=True)
            library_internals.begin_alone(cut)
            gatherings().add(cut)
            cut.register_forward_pre_hook(self._enter)
            cut.register_forward_hook(self._leave, always_call=True)
            self._layers.append(cut)

    @contextlib.contextmanager
    def passing(self) -> Iterator[None]:
        """Around a forward pass: what it keeps is handed back with its layer whole."""
        if not torch.is_grad_enabled():
            yield
            return
        with torch.autograd.graph.saved_tensors_hooks(self._kept, _with_its_layer):
            yield

    @contextlib.contextmanager
    def whole(self, name: str, base: nn.Module) -> Iterator[Tensor]:
        """The parameter ``name`` of ``base``, whole; all processes ask for the same in turn."""
        parts = name.split(".")
        above = (base.get_submodule(".".join(parts[:end])) for end in range(1, len(parts)))
        layer = next((one for one in above if isinstance(one, FSDPModule)), None)
        if layer is not None:
            layer.unshard()
        try:
            yield base.get_parameter(name)
        finally:
            if layer is not None:
                layer.reshard()

    def _enter(self, layer: Any, inputs: Any) -> None:
        self._computing.append(layer)

    def _leave(self, layer: Any, inputs: Any, output: Any) -> None:
        self._computing.pop()
        if output is None:  # it was given up: memory ran out, or enough was known
            layer.reset_iter_state()

    def _kept(self, tensor: Tensor) -> tuple[FSDPModule | None, Tensor]:
        return (self._computing[-1] if self._computing else None), tensor.detach()


def _with_its_layer(kept: tuple[FSDPModule | None, Tensor]) -> Tensor:
    layer, tensor = kept
    if layer is not None:
        layer.unshard()  # nothing is done where it is whole
    return tensor


class Learner(Protocol):
    """The gradients of one layer; a line of them is as FSDP cuts weights, process by process."""

    def nothing(self) -> Tensor:
        """Zeros of all processes' pieces."""

    def take(self, gradients: Tensor) -> None:
        """Add those of this process's pieces."""


class Gatherings:
    """Which layer all processes put together next."""

    def __init__(self) -> None:
        self._talk = distributed.new_group(backend="gloo")  # words travel beside a GPU's work
        self.layers: list[FSDPModule] = []  # until all part: who is done gives its pieces still
        self._learners: dict[int, Learner] = {}
        self._alone = False

    def add(self, layer: FSDPModule) -> None:
        """Let ``layer`` be put together here; in one order in all processes."""
        gather = functools.partial(self._gather, len(self.layers))
        layer.set_custom_all_gather(library_internals.AskingFirst(gather))
        self.layers.append(layer)

    def learn(self, number: int, learner: Learner) -> None:
        """Let gradients of a layer be added up; in all processes."""
        self._learners[number] = learner

    def add_up(self, number: int, gradients: Tensor) -> None:
        """Gradients of a layer here and, if it has them, in every other process."""
        self._come_to(_SUMS + number)
        self._sum(number, gradients)

    def tidy(self) -> None:
        """Every layer in pieces and at rest, whatever became of the pass before."""
        for layer in self.layers:
            layer.reset_iter_state()

    def serve(self, *, leaving: bool) -> None:
        """Give pieces until all processes are at a meeting, or this one leaves.

        Raises LeftAlone where another has left.
        """
        self.tidy()
        mine = _LEAVES if leaving else _WAITS
        while not self._alone:
            said = self._say(mine)
            wanted = [number for number in said if number >= 0]
            if wanted:
                self._give(min(wanted))
            elif leaving or all(one == mine for one in said):
                return
            else:
                self._alone = True
                raise LeftAlone("another process of this run has ended before this one")

    def _gather(self, number: int, whole: Tensor, piece: Tensor, group: Any) -> None:
        self._come_to(number)
        self._exchange(whole, piece, group)

    def _come_to(self, number: int) -> None:
        """Give to the others what they want until it is the turn of ``number``."""
        while (turn := min(one for one in self._say(number) if one >= 0)) != number:
            self._give(turn)

    def _give(self, number: int) -> None:
        if number >= _SUMS:
            self._sum(number - _SUMS)
            return
        with self._broken_off_for_good():
            piece = library_internals.piece_of(self.layers[number])
            whole = piece.new_empty(piece.numel() * processes().count)
        self._exchange(whole, piece)

    def _sum(self, number: int, gradients: Tensor | None = None) -> None:
        learner = self._learners[number]
        with self._broken_off_for_good():
            line = learner.nothing() if gradients is None else gradients
            mine = line.new_empty(line.numel() // processes().count)
            distributed.reduce_scatter_single(mine, line)
            learner.take(mine)

    def _say(self, mine: int) -> list[int]:
        said = torch.empty(processes().count, dtype=torch.long)
        self._exchange(said, torch.tensor([mine]), self._talk)
        numbers: list[int] = said.tolist()
        return numbers

    def _exchange(self, whole: Tensor, piece: Tensor, group: Any = None) -> None:
        with self._broken_off_for_good():
            distributed.all_gather_single(whole, piece, group)

    @contextlib.contextmanager
    def _broken_off_for_good(self) -> Iterator[None]:
        """Others wait for what failed here: only when this process has gone will they know."""
        try:
            yield
        except BaseException:
            self._alone = True
            raise


_current: Gatherings | None = None


def gatherings() -> Gatherings:
    """Those of the processes that are joined now."""
    global _current
    if _current is None:
        _current = Gatherings()
        serve_before_meetings(_current.serve, _forget)
    return _current


def tidy() -> None:
    """After a backward pass, also one that failed: no layer is left whole."""
    if _current is not None:
        _current.tidy()


def _forget() -> None:
    global _current
    _current = None
    library_internals.forget_layouts()
