"""AdamW with a learning rate that is a function of the step, and state that is plain tensors.

There is no scheduler object and no generator to save: the rate follows from the step, and every
step seeds the random numbers from the run's seed and its own number.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training.rlhf import sharding
from training.rlhf.contract import OptimizerSettings
from training.rlhf.devices import own_gpus
from training.rlhf.errors import CheckpointError
from training.rlhf.finite import check_finite
from training.rlhf.processes import processes
from training.rlhf.trained_pieces import TrainedPieces


class Optimizer:
    """AdamW over named parameters (betas 0.9 and 0.999)."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        settings: OptimizerSettings,
        *,
        total_steps: int,
    ) -> None:
        """Of parameters in pieces this process trains its own."""
        self.settings = settings
        self.total_steps = total_steps
        self._pieces = TrainedPieces(parameters)
        self.parameters = self._pieces.parameters
        self._adamw = torch.optim.AdamW(
            self.parameters.values(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )

    def accumulate(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``: all of them or, when memory runs out, none."""
        parameters = list(self.parameters.values())
        if self._pieces:
            try:
                self._pieces.accumulate(loss)
            finally:
                sharding.tidy()
            return
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
        processes().sum_gradients(self._pieces.whole.values())

    def clip(self) -> float:
        """Clip the gradient norm as the settings say; returns the norm before.

        Raises NonFinite when it is not finite.
        """
        together = self._pieces.norm() if self._pieces else None
        return clip_gradients(self.parameters, self.settings.gradient_norm, together=together)

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

    def weights(self) -> dict[str, Tensor]:
        """What is trained, whole, by name; nothing where another process is to write it.

        All processes ask for it together.
        """
        return self._joined(((name, name, p) for name, p in self.parameters.items()))

    def state(self) -> dict[str, Tensor]:
        """All state as tensors named ``parameter/what``, as ``weights`` are had."""
        state = self._adamw.state
        return self._joined(
            (f"{name}/{key}", name, torch.as_tensor(value))
            for name, parameter in self.parameters.items()
            for key, value in state.get(parameter, {}).items()
        )

    def _joined(self, named: Iterable[tuple[str, str, Tensor]]) -> dict[str, Tensor]:
        """Tensors by their names, which are of the parameters named second."""
        if not self._pieces:
            return {called: tensor for called, _, tensor in named}
        processes().wait()
        leads, found = processes().leads, {}
        for called, name, tensor in named:
            whole = self._pieces.joined(name, tensor)
            if leads:
                found[called] = whole.cpu()  # all of them at once may not fit the device
        return found

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what ``weights`` gave."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self._pieces.piece(name, tensors[name]))

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what ``state`` gave; CheckpointError when it is of other parameters."""
        names = list(self.parameters)
        per_parameter: dict[int, dict[str, Any]] = {}
        for key, tensor in tensors.items():
            name, _, what = key.rpartition("/")
            if name not in self.parameters:
                raise CheckpointError(f"optimiser state of an unknown parameter {name}")
            mine = self._pieces.piece(name, tensor)
            per_parameter.setdefault(names.index(name), {})[what] = mine
        groups = self._adamw.state_dict()["param_groups"]
        self._adamw.load_state_dict({"state": per_parameter, "param_groups": groups})


def clip_gradients(
    parameters: Mapping[str, nn.Parameter], norm: float, *, together: float | None = None
) -> float:
    """Scale gradients down to ``norm`` together (0 only measures); returns the norm before.

    ``together`` is that norm where others have gradients, too. Raises NonFinite when it is not
    finite.
    """
    limit, trained = norm if norm > 0 else math.inf, list(parameters.values())
    if together is None:
        before = float(nn.utils.clip_grad_norm_(trained, limit))
    else:
        before = together
        nn.utils.clip_grads_with_norm_(trained, limit, torch.tensor(before))
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
    with torch.random.fork_rng(devices=own_gpus()):
        yield


def seed_of(seed: int, purpose: str, what: int | str) -> int:
    """The seed of one thing in a run with ``seed``: a step by its number, a record by its id."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{what}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
