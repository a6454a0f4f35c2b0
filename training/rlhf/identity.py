"""What a kept result depends on, as a digest: the one place that says so.

A cache that outlives a process is keyed by ``of_policy`` and ``of_pairs`` together. What is kept
within one process (image features, keys and values of prompts, the pictures' sizes that a processor
takes) belongs to one loaded model and one run directory, neither of which changes under it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from training.rlhf.contract import PreferencePair, to_json
from training.rlhf.models import VisionLanguageModel
from training.rlhf.run_directory import Run

_SAMPLED = 1024
"""Numbers of a base tensor that are looked at: enough to tell models apart, in a second for 7B."""


def of_policy(run: Run, model: VisionLanguageModel, adapter: str) -> str:
    """Digest of base weights, how they were loaded, adapter, and the words around turns."""
    loading = replace(run.spec.model, sharded=False)  # only rounding depends on it
    parts: list[str] = [
        json.dumps(to_json(loading), sort_keys=True),
        str(model.processor.chat_template),
        *(f"{name} {_of_tensor(tensor, _SAMPLED)}" for name, tensor in model.base_weights()),
        *(f"{n} {_of_tensor(t, t.numel())}" for n, t in model.adapter_weights(adapter).items()),
        json.dumps(model.adapter_scale(adapter)),
    ]
    return _digest(parts)


def of_pairs(run: Run, pairs: Sequence[PreferencePair], *, max_length: int) -> str:
    """Digest of all that pairs show a policy: turns, both answers, pictures, the room for them."""
    pictures: dict[str, str] = {}
    for pair in pairs:
        for name, path in zip(pair.images, run.image_files(pair), strict=True):
            if name not in pictures:
                pictures[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return _digest(
        [
            str(max_length),
            *(
                json.dumps([pair.to_json(), [pictures[name] for name in pair.images]])
                for pair in pairs
            ),
        ]
    )


def _of_tensor(tensor: Tensor, count: int) -> str:
    """Type, shape and ``count`` of the numbers, evenly spread."""
    flat = tensor.detach().reshape(-1)
    places = torch.linspace(0, max(len(flat) - 1, 0), min(count, len(flat)), device=flat.device)
    numbers = flat[places.long()]  # a copy: memory that numpy has looked at cannot be given back
    raw = numbers.cpu().view(torch.uint8).numpy().tobytes()
    return f"{tensor.dtype} {tuple(tensor.shape)} {hashlib.sha256(raw).hexdigest()}"


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()
