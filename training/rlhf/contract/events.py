"""Events: what a running engine says, one JSON object a line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from training.rlhf.contract.wire import ContractError, Measured, build, to_json
from training.rlhf.json_words import not_json


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events; ``event`` on the wire tells them apart."""

    name: ClassVar[str]
    time: float
    """Seconds since the epoch."""

    def to_json(self) -> dict[str, Any]:
        return {"event": self.name, **to_json(self)}


@dataclass(frozen=True, kw_only=True)
class Stage(Event):
    """What the engine is doing now, for people to read: "loading the base model"."""

    name: ClassVar[str] = "stage"
    text: str


@dataclass(frozen=True, kw_only=True)
class Doubt(Event):
    """What speaks against the run's result although nothing fails; one text for each ``code``."""

    name: ClassVar[str] = "doubt"
    code: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """How far the run is; ``unit`` is what is counted ("step", "prompt")."""

    name: ClassVar[str] = "progress"
    done: int
    total: int
    unit: str = "step"


@dataclass(frozen=True, kw_only=True)
class Metric(Event):
    """Figures of one step; names are slash paths such as "train/loss" or "ppo/kl"."""

    name: ClassVar[str] = "metric"
    step: int
    values: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Sample(Event):
    """A response worth looking at, with the reward it got and the facts that were shown."""

    name: ClassVar[str] = "sample"
    step: int
    prompt_id: str
    image: str
    prompt: str
    response: str
    reward: float | None = None
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event):
    """A complete checkpoint lies at ``path`` (relative to the run directory)."""

    name: ClassVar[str] = "checkpoint"
    step: int
    path: str
    final: bool = False
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Failure(Event):
    """The run ends without success; ``message`` is meant for the person who asked for it."""

    name: ClassVar[str] = "error"
    message: str
    detail: str = ""


EVENTS: dict[str, type[Event]] = {
    cls.name: cls for cls in (Stage, Doubt, Progress, Metric, Sample, CheckpointSaved, Failure)
}

_MEASURED: dict[str, Any] = {
    "values": dict[str, Measured],
    "metrics": dict[str, Measured],
    "reward": Measured | None,
}


def parse_event(line: str) -> Event:
    """Read one line of ``events.jsonl``; raises ContractError for anything else."""
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise ContractError("event", not_json(error)) from None
    cls = EVENTS.get(str(data.get("event"))) if isinstance(data, dict) else None
    if cls is None:
        raise ContractError("event", f"is none of {sorted(EVENTS)}")
    return build(cls, {key: value for key, value in data.items() if key != "event"}, "", _MEASURED)
