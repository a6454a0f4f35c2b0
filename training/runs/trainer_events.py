"""What a trainer says, translated into rows: batches of events, each written under the token.

Reading starts at the beginning of ``events.jsonl`` in every attempt. All writes are upserts, so
what an earlier attempt had already told changes nothing, and what its worker could not write any
more is made up for. Only a Failure behind ``Reader.replayed`` is of this attempt.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db.models.functions import Now

from config.sanitising import storable
from training.models import Attempt, Metric, Run, Sample
from training.rlhf.contract import (
    CheckpointSaved,
    ContractError,
    Doubt,
    Event,
    Failure,
    Progress,
    Stage,
    parse_event,
)
from training.rlhf.contract import Metric as MetricEvent
from training.rlhf.contract import Sample as SampleEvent
from training.runs import scheduling

log = logging.getLogger(__name__)

EVENTS = "events.jsonl"
BATCH_BYTES = 1 << 20
LONGEST_TEXT = 20_000
MOST_STEPS = 2**31
MOST_DOUBTS = 20


def written(directory: Path) -> int:
    """How many bytes of events the run directory holds already."""
    path = directory / EVENTS
    return path.stat().st_size if path.exists() else 0


@dataclass
class Reader:
    """Whole new lines of a growing file, as events; a line that is none is counted and skipped."""

    path: Path
    replayed: int = 0
    """Up to this byte the file is of earlier attempts, whose failures and checkpoints are past."""
    offset: int = 0
    malformed: int = 0

    def read(self) -> list[Event]:
        """Events that came since the last call, at most about BATCH_BYTES of them."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as handle:
            handle.seek(self.offset)
            block = handle.read(BATCH_BYTES)
            if block and b"\n" not in block:
                block += handle.readline()
        complete = block[: block.rfind(b"\n") + 1]
        events = []
        for line in complete.splitlines(keepends=True):
            event = self._parse(line) if line.strip() else None
            if event is not None and not (self.offset < self.replayed and _past(event)):
                events.append(event)
            self.offset += len(line)
        return events

    def _parse(self, line: bytes) -> Event | None:
        try:
            event = parse_event(json.dumps(_with_storable_texts(json.loads(line))))
            if not 0 <= getattr(event, "step", 0) < MOST_STEPS:
                raise ContractError("step", "is out of range")
            return event
        except (ValueError, OverflowError, RecursionError) as error:
            self.malformed += 1
            log.warning("%s: a line that is no event was skipped: %s", self.path, error)
            return None


def _with_storable_texts(value: Any) -> Any:
    """Numbers stay: what is no figure is left out one by one."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(name): _with_storable_texts(inner) for name, inner in value.items()}
    return [_with_storable_texts(inner) for inner in value] if isinstance(value, list) else value


def _past(event: Event) -> bool:
    return isinstance(event, (Failure, CheckpointSaved))


@dataclass
class Seen:
    """What the worker itself has to act on after a batch."""

    failure: Failure | None = None
    checkpoints: list[CheckpointSaved] = field(default_factory=list)


def record(attempt: Attempt, events: list[Event], *, log_tail: str) -> Seen:
    """Write one batch in one transaction; raises Fenced when the attempt holds its run no more."""
    with scheduling.holding(attempt) as run:
        _write_metrics(run, [event for event in events if isinstance(event, MetricEvent)])
        _write_samples(run, [event for event in events if isinstance(event, SampleEvent)])
        _write_doubts(run, [event for event in events if isinstance(event, Doubt)])
        _write_position(run, attempt, events)
        Attempt.objects.filter(pk=attempt.pk).exclude(log_tail=log_tail).update(log_tail=log_tail)
    return Seen(
        failure=next((event for event in events if isinstance(event, Failure)), None),
        checkpoints=[event for event in events if isinstance(event, CheckpointSaved)],
    )


def _write_metrics(run: Run, events: list[MetricEvent]) -> None:
    latest = {
        (name, event.step): value
        for event in events
        for name, value in event.values.items()
        if math.isfinite(value)
    }
    Metric.objects.bulk_create(
        [
            Metric(run=run, name=name[:100], step=step, value=value)
            for (name, step), value in latest.items()
        ],
        update_conflicts=True,
        unique_fields=["run", "name", "step"],
        update_fields=["value"],
    )


def _write_samples(run: Run, events: list[SampleEvent]) -> None:
    latest = {(event.step, event.prompt_id[:200]): event for event in events}
    Sample.objects.bulk_create(
        [
            Sample(
                run=run,
                step=step,
                prompt_id=prompt_id,
                image=Path(event.image).name[:300],
                prompt=event.prompt[:LONGEST_TEXT],
                response=event.response[:LONGEST_TEXT],
                reward=event.reward if _finite(event.reward) else None,
                facts=list(event.facts),
            )
            for (step, prompt_id), event in latest.items()
        ],
        update_conflicts=True,
        unique_fields=["run", "step", "prompt_id"],
        update_fields=["image", "prompt", "response", "reward", "facts"],
    )


def _write_doubts(run: Run, events: list[Doubt]) -> None:
    """One for each code: a resumed run says them again."""
    kept = {one["code"]: one for one in run.doubts}
    for event in events:
        kept.setdefault(event.code[:60], {"code": event.code[:60], "text": event.text[:500]})
    if len(kept) > len(run.doubts):
        run.doubts = list(kept.values())[:MOST_DOUBTS]
        Run.objects.filter(pk=run.pk).update(doubts=run.doubts)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _write_position(run: Run, attempt: Attempt, events: list[Event]) -> None:
    changes: dict[str, Any] = {}
    for event in events:
        if isinstance(event, Stage):
            changes["stage"] = event.text[:200]
        elif isinstance(event, Progress):
            changes["progress_done"] = min(max(event.done, 0), MOST_STEPS - 1)
            changes["progress_total"] = min(max(event.total, 0), MOST_STEPS - 1)
            changes["progress_unit"] = event.unit[:40]
    if not changes:
        return
    Run.objects.filter(pk=run.pk).update(**changes)
    if "progress_done" in changes:
        _keep_pace(run, attempt, changes)


def _keep_pace(run: Run, attempt: Attempt, changes: dict[str, Any]) -> None:
    """Time left is reckoned from the first progress of this attempt that counts the same thing."""
    counted = (run.progress_total, run.progress_unit)
    counts = (changes["progress_total"], changes["progress_unit"])
    went_back = changes["progress_done"] < attempt.pace_from_done
    if attempt.pace_from_at is None or counts != counted or went_back:
        start = {"pace_from_done": changes["progress_done"], "pace_from_at": Now()}
        Attempt.objects.filter(pk=attempt.pk).update(**start)
        attempt.refresh_from_db(fields=["pace_from_done", "pace_from_at"])
