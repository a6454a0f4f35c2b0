"""What goes wrong in a backward pass of which others have a part; the rest is in test_sharding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.rlhf.errors import EngineError
from training.rlhf.trained_pieces import TrainedPieces


class Layer:
    """A layer whose gradients others have had, or not, when memory runs out."""

    def __init__(self, *, gives: int) -> None:
        self.given, self.forgotten = 7, False
        self._gives = gives

    def give_rest(self) -> None:
        self.given += self._gives
        raise torch.OutOfMemoryError

    def forget(self) -> None:
        self.forgotten = True


@pytest.mark.parametrize(("gives", "error"), [(0, torch.OutOfMemoryError), (1, EngineError)])
def test_memory_that_runs_out_is_told_where_the_pass_cannot_be_made_again(
    gives: int, error: type[Exception]
) -> None:
    """Before others had anything of it, it can; gradients are what they were, either way."""
    weight = nn.Parameter(torch.ones(2))
    pieces = TrainedPieces({"weight": weight})
    pieces.accumulate((3 * weight).sum())
    layer = Layer(gives=gives)
    pieces._layers.append(layer)  # type: ignore[arg-type]
    with pytest.raises(error):
        pieces.accumulate(weight.sum())
    assert layer.forgotten and weight.grad is not None
    assert weight.grad.tolist() == [3.0, 3.0]
