"""Decoding steps as CUDA graphs: hundreds of kernels that the processor launches as one.

A graph is the kernels of one step with the addresses they read and write. It is replayed without
any Python, so a step must be the same kernels on the same memory each time, must not wait for the
GPU, and must take nothing from the host (PyTorch's notes on CUDA semantics, "CUDA Graphs").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from training.rlhf import bases, library_internals
from training.rlhf.adapters import AdaptedBase
from training.rlhf.contract import ModelSettings
from training.rlhf.errors import EngineError

Step = Callable[[], None]


class Graphs(Protocol):
    """Captures steps that are never under way together."""

    def capture(self, step: Step) -> Step:
        """Make a step once, and return what makes it again."""


class CudaGraphs:
    """Graphs of one rollout in one pool of memory, which is free again once they are let go."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()

    def capture(self, step: Step) -> Step:
        """See ``Graphs``. What is only done a first time belongs to the step that is made."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            step()
        torch.cuda.current_stream().wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may go on: that of NCCL asks the GPU how far it is.
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                step()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise EngineError(
                f"a decoding step could not be captured ({reason}); set model.cuda_graphs to false"
            ) from error
        return graph.replay


def graphs_for(model: AdaptedBase, settings: ModelSettings) -> Callable[[], Graphs] | None:
    """What captures the decoding steps of ``model``; None where they are launched one by one."""
    wanted = settings.cuda_graphs and model.device.type == "cuda"
    return CudaGraphs if wanted and has_fixed_steps(model) else None


def has_fixed_steps(model: AdaptedBase) -> bool:
    """Whether a decoding step is the same kernels whatever the rows under way are.

    It is not where layers are put together of pieces, where positions change frequencies, and where
    layers attend in ways that no mask from outside says. What bitsandbytes does beside its kernels
    was not looked into.
    """
    base = model.base
    if model.pieces is not None or getattr(base, "is_quantized", False):
        return False
    return bool(bases.attention_windows(base)) and not library_internals.changes_frequencies(base)
