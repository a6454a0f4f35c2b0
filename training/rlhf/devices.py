"""The device that this process computes on: the one place that asks whether there is a GPU.

It is named with its index, as a tensor's own device is: "cuda" and "cuda:0" are not equal.
"""

from __future__ import annotations

import os

import torch


def own_device() -> torch.device:
    """The GPU that this process has taken, else the first one; the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def own_gpus() -> list[int]:
    """The number of that GPU; of none where there is none."""
    device = own_device()
    return [] if device.index is None else [device.index]


def take_gpu() -> torch.device | None:
    """From here on the GPU that the launcher names is this process's; None where there are none."""
    if not torch.cuda.is_available():
        return None
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return own_device()


def give_memory_back() -> None:
    """Let go of the GPU's memory that PyTorch keeps for tensors to come."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
