"""Groups: runs that were asked for alike and differ in the seed alone, their own or that of what
they were made from.

The key is reckoned when a run is asked for and never changes. A model that a run is given counts
as the group that made it: two rounds of PPO on reward models of two seeds are of one group. What
alters no result is left out: names, GPUs, attempts, and the preset, whose settings are saved whole.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from training.models import Run
from training.runs import kinds


def key_of(run: Run) -> str:
    """64 hexadecimal digits; ``run`` need not be saved, what it comes after must be."""
    return digest(
        [
            *(run.kind, run.project_id, run.release_id, run.base_id),
            *(run.settings, run.model, run.options),
            *(_source(run, name) for name in ("policy", "reward_model")),
        ]
    )


def digest(asked: list[Any]) -> str:
    """Of values as JSON; 1.0 is 1, as a database may give it back."""
    written = json.dumps(asked)
    plain = json.loads(written, parse_float=_number)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value


def _source(run: Run, name: str) -> str | int | None:
    """What ``run`` gets as ``name``: an imported model by its id, else the group it comes from."""
    given = getattr(run, name)
    if given is not None:
        return given.run.group if given.run is not None else given.pk
    if name not in kinds.get(run.kind).takes:
        return None
    ancestor = run.after
    while ancestor is not None:
        if kinds.get(ancestor.kind).produces == name:
            return ancestor.group
        ancestor = ancestor.after
    return None
