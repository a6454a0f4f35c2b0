"""AdamW with a learning rate that is a function of the step, and state that is plain tensors.

There is no scheduler object and no generator to save: the rate follows from the step, and every
step seeds the random numbers from the run's seed and its own number.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training.rlhf import sharding
from training.rlhf.contract import OptimizerSettings
from training.rlhf.errors import CheckpointError
from training.rlhf.finite import check_finite
from training.rlhf.processes import processes


class Optimizer:
    """AdamW over named parameters (betas 0.9 and 0.999)."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        settings: OptimizerSettings,
        *,
        total_steps: int,
    ) -> None:
        self.settings = settings
        self.total_steps = total_steps
        self.parameters = dict(parameters)
        self._adamw = torch.optim.AdamW(
            self.parameters.values(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )

    def accumulate(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``: all of them or, when memory runs out, none."""
        parameters = list(self.parameters.values())
        try:
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        finally:
            sharding.tidy()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is None:
                continue
            if parameter.grad is None:
                parameter.grad = gradient.contiguous()
            else:
                parameter.grad += gradient

    def gather(self) -> None:
        """Add up what all processes have accumulated."""
        processes().sum_gradients(self.parameters.values())

    def clip(self) -> float:
        """Clip the gradient norm as the settings say; returns the norm before.

        Raises NonFinite when it is not finite.
        """
        return clip_gradients(self.parameters, self.settings.gradient_norm)

    def step(self, number: int) -> float:
        """Apply the gradients as step ``number`` (from 0), forget them; returns the rate used.

        Raises NonFinite when a weight is not finite afterwards.
        """
        rate = learning_rate(self.settings, number, self.total_steps)
        for group in self._adamw.param_groups:
            group["lr"] = rate
        self._adamw.step()
        self._adamw.zero_grad(set_to_none=True)
        # One number of each parameter, brought from the device together.
        norms = torch._foreach_norm(list(self.parameters.values()))
        check_finite("norm of the weights", torch.stack([norm.float() for norm in norms]))
        return rate

    def state(self) -> dict[str, Tensor]:
        """All state as tensors named ``parameter/what``."""
        state = self._adamw.state
        return {
            f"{name}/{key}": torch.as_tensor(value)
            for name, parameter in self.parameters.items()
            for key, value in state.get(parameter, {}).items()
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what ``state`` gave; CheckpointError when it is of other parameters."""
        names = list(self.parameters)
        per_parameter: dict[int, dict[str, Any]] = {}
        for key, tensor in tensors.items():
            name, _, what = key.rpartition("/")
            if name not in self.parameters:
                raise CheckpointError(f"optimiser state of an unknown parameter {name}")
            per_parameter.setdefault(names.index(name), {})[what] = tensor
        groups = self._adamw.state_dict()["param_groups"]
        self._adamw.load_state_dict({"state": per_parameter, "param_groups": groups})


def clip_gradients(parameters: Mapping[str, nn.Parameter], norm: float) -> float:
    """Scale gradients down to ``norm`` together (0 only measures); returns the norm before.

    Raises NonFinite when that is not finite.
    """
    limit = norm if norm > 0 else math.inf
    before = float(torch.nn.utils.clip_grad_norm_(list(parameters.values()), limit))
    check_finite("norm of the gradient", before)
    return before


def learning_rate(settings: OptimizerSettings, step: int, total_steps: int) -> float:
    """The rate at ``step`` (from 0): linear warm-up to the peak, then the schedule down to 0."""
    if step < settings.warmup_steps:
        reached = step if settings.warmup_from_zero else step + 1
        return settings.learning_rate * reached / settings.warmup_steps
    if settings.schedule == "constant":
        return settings.learning_rate
    span = max(total_steps - settings.warmup_steps, 1)
    done = min((step - settings.warmup_steps) / span, 1.0)
    if settings.schedule == "linear":
        return settings.learning_rate * (1 - done)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def steps_in(epochs: float, count: int, batch_size: int, max_steps: int) -> int:
    """Optimiser steps of a run: all epochs, or ``max_steps`` when that is fewer and not 0."""
    steps = max(math.ceil(epochs * count / batch_size), 1)
    return min(steps, max_steps) if max_steps else steps


def seed_step(seed: int, purpose: str, step: int) -> None:
    """Seed torch for one step, so that a resumed run draws what an uninterrupted one would."""
    torch.manual_seed(seed_of(seed, purpose, step))


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Whatever within draws or seeds torch, afterwards it draws what it would have drawn without.

    For a foreign engine in this process: several processes draw alike what they must have alike,
    such as the order of an update, only while nothing draws in one of them alone.
    """
    device = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=device):
        yield


def seed_of(seed: int, purpose: str, what: int | str) -> int:
    """The seed of one thing in a run with ``seed``: a step by its number, a record by its id."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{what}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
