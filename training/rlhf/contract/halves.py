"""How held-out pairs are divided, which engine and report cards must do alike.

The best of many steps on a set is better there than anywhere else, so one half chooses the step and
the other is reported. Images are divided and not pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

FEWEST = 20
"""With fewer held-out pairs a half says too little: then all of them do both."""


def divide_held_out(images: Sequence[str], *, fewest: int = FEWEST) -> tuple[list[int], list[int]]:
    """Numbers of the pairs that choose, and of those that report, by the image of each pair; all
    of them twice where they are fewer than ``fewest`` or of one image."""
    everything = list(range(len(images)))
    chosen = set(sorted(set(images), key=_shuffled)[::2])
    reporting = [number for number in everything if images[number] not in chosen]
    if len(images) < fewest or not reporting:
        return everything, everything
    return [number for number in everything if images[number] in chosen], reporting


def _shuffled(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
