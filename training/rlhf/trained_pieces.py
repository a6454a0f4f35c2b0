"""What an optimiser trains of a model in pieces: in each process, its own piece of every weight.

Gradients of a layer are whole for a moment, when its backward pass is over; then all processes add
them up and each keeps those of its piece. Nothing else changes: pieces are plain parameters with
plain gradients, and what is written is whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.nn import functional

from training.rlhf import library_internals
from training.rlhf.errors import EngineError
from training.rlhf.processes import processes
from training.rlhf.sharding import gatherings


class TrainedPieces:
    """Of named ``parameters`` those that are in pieces; all processes make it alike."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        cut: dict[str, Any] = {n: p for n, p in parameters.items() if isinstance(p, DTensor)}
        self.parameters = {
            name: nn.Parameter(cut[name].detach().to_local()) if name in cut else parameter
            for name, parameter in parameters.items()
        }
        """As an optimiser takes them: pieces in place of what is in pieces."""
        self._shapes = {name: parameter.shape for name, parameter in cut.items()}
        self._layers: list[_Layer] = []
        pieces = {id(parameter): self.parameters[name] for name, parameter in cut.items()}
        for number, layer in enumerate(gatherings().layers) if cut else ():
            mine = [pieces.pop(id(one), None) for one in library_internals.pieces_of(layer)]
            if any(piece is not None for piece in mine):
                self._layers.append(_Layer(layer, number, mine))
        assert not pieces, "every piece is of a layer"

    def __bool__(self) -> bool:
        return bool(self._shapes)

    @property
    def whole(self) -> dict[str, nn.Parameter]:
        """The parameters that every process has whole."""
        return {name: p for name, p in self.parameters.items() if name not in self._shapes}

    def accumulate(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``, of pieces for all processes: all, or when it fails none.

        Raises EngineError when memory runs out after others have been given some.
        """
        before = {name: parameter.grad for name, parameter in self.whole.items()}
        self._set(dict.fromkeys(before))
        given = sum(layer.given for layer in self._layers)
        try:
            loss.backward()
            for layer in self._layers:
                layer.give_rest()
        except BaseException as error:
            self._set(before)
            for layer in self._layers:
                layer.forget()
            halfway = given < sum(layer.given for layer in self._layers)
            if halfway and isinstance(error, torch.OutOfMemoryError):
                raise EngineError(
                    "memory ran out halfway through a backward pass, when other processes had its "
                    "first gradients: lower micro_batch_size or micro_batch_tokens"
                ) from error
            raise
        for name, parameter in self.whole.items():
            old, new = before[name], parameter.grad
            parameter.grad = new if old is None else old if new is None else old + new

    def norm(self) -> float:
        """Of all gradients together."""
        cut, whole = (
            [p.grad for name, p in self.parameters.items() if (name in self._shapes) is in_pieces]
            for in_pieces in (True, False)
        )
        of_pieces = processes().total(_square(cut))
        return math.sqrt(of_pieces + _square(whole))

    def joined(self, name: str, tensor: Tensor) -> Tensor:
        """The whole of which ``tensor`` is the piece that belongs to parameter ``name``.

        All processes ask for the same, after a meeting; what is whole is handed back.
        """
        if name not in self._shapes or tensor.shape != self.parameters[name].shape:
            return tensor
        shape = self._shapes[name]
        mine = _padded(tensor.detach(), _rows(shape))
        whole = mine.new_empty(processes().count * mine.shape[0], *shape[1:])
        distributed.all_gather_single(whole, mine.contiguous())
        return whole[: shape[0]]

    def piece(self, name: str, whole: Tensor) -> Tensor:
        """This process's piece of ``whole``, the parameter ``name`` or something of its shape."""
        if name not in self._shapes or whole.shape != self._shapes[name]:
            return whole
        rows = _rows(self._shapes[name])
        first = min(processes().number * rows, len(whole))
        return whole[first : first + rows]

    def _set(self, gradients: Mapping[str, Tensor | None]) -> None:
        for name, parameter in self.whole.items():
            parameter.grad = gradients[name]


class _Layer:
    """The gradients of one layer."""

    def __init__(
        self, layer: FSDPModule, number: int, pieces: Sequence[nn.Parameter | None]
    ) -> None:
        """``pieces`` stand in the layer's order of weights, None for one that is not trained."""
        self._number = number
        self._pieces = pieces
        self._shapes = [one.shape for one in library_internals.pieces_of(layer)]
        self._whole: list[nn.Parameter] = []
        self.given = 0
        """How often this process gave gradients."""
        layer.set_requires_gradient_sync(False)  # they are added up here
        layer.register_forward_pre_hook(self._watch)  # type: ignore[attr-defined]
        gatherings().learn(number, self)

    def _watch(self, layer: nn.Module, inputs: object) -> None:
        """Its weights are the same objects whenever it is whole."""
        if self._whole:
            return
        self._whole = library_internals.whole_of(layer)
        for weight in self._whole:
            if weight.requires_grad:
                weight.register_post_accumulate_grad_hook(self._arrived)

    def _arrived(self, weight: Tensor) -> None:
        if all(one.grad is not None for one in self._whole if one.requires_grad):
            self._give()

    def give_rest(self) -> None:
        """After a backward pass that did not come to all weights."""
        if any(weight.grad is not None for weight in self._whole):
            self._give()

    def forget(self) -> None:
        for weight in self._whole:
            weight.grad = None

    def _give(self) -> None:
        laid = self._laid_out([weight.grad for weight in self._whole])
        self.forget()
        self.given += 1
        gatherings().add_up(self._number, laid)

    def nothing(self) -> Tensor:
        """What a process gives that has no gradients when others have."""
        return self._laid_out([None] * len(self._pieces))

    def take(self, gradients: Tensor) -> None:
        """Those of this process's pieces, one behind the other, padding included."""
        sizes = [_rows(shape) * shape[1:].numel() for shape in self._shapes]
        for piece, part in zip(self._pieces, gradients.split(sizes), strict=True):
            if piece is None:
                continue
            mine = part[: piece.numel()].view_as(piece)
            piece.grad = mine.clone() if piece.grad is None else piece.grad + mine

    def _laid_out(self, gradients: Sequence[Tensor | None]) -> Tensor:
        """One line: all that belongs to the first process, then to the second, and so on."""
        count = processes().count
        like = next(piece for piece in self._pieces if piece is not None)
        parts = []
        for gradient, shape in zip(gradients, self._shapes, strict=True):
            found = like.new_zeros(shape) if gradient is None else gradient
            parts.append(_padded(found, count * _rows(shape)).reshape(count, -1))
        return torch.cat(parts, dim=1).flatten()


def _rows(shape: torch.Size) -> int:
    """Rows of a piece; the last processes may have fewer."""
    return -(-shape[0] // processes().count)


def _padded(tensor: Tensor, rows: int) -> Tensor:
    return functional.pad(tensor, (0, 0) * (tensor.dim() - 1) + (0, rows - len(tensor)))


def _square(gradients: Sequence[Tensor | None]) -> float:
    found = [gradient for gradient in gradients if gradient is not None]
    return float(nn.utils.get_total_norm(found)) ** 2
