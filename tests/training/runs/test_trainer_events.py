"""Reading a trainer's events: whole lines, malformed ones skipped, the past kept apart."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.training.factories import make_run
from training.checkpoints import warnings
from training.models import Attempt, Metric, Run, Sample
from training.rlhf.contract import Failure, Stage
from training.runs import scheduling, trainer_events
from training.runs.trainer_events import Reader

STAGE = {"event": "stage", "time": 1.0, "text": "training"}


def lines(*events: dict[str, Any]) -> str:
    return "".join(json.dumps({"time": 1.0, **event}) + "\n" for event in events)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_a_reader_of_a_file_that_is_not_there_yet_finds_nothing(events: Path) -> None:
    assert Reader(events).read() == []


def test_half_a_line_waits_for_its_other_half(events: Path) -> None:
    reader, line = Reader(events), lines(STAGE)
    events.write_text(line + line[:9])
    assert reader.read() == [Stage(time=1.0, text="training")]
    assert reader.read() == []
    with events.open("a") as handle:
        handle.write(line[9:])
    assert len(reader.read()) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b'{"event": "unknown", "time": 1}',
        b'{"event": "metric", "time": 1, "step": 1}',
        b'{"event": "metric", "time": 1, "step": -1, "values": {}}',
        b'{"event": "metric", "time": 1, "step": 99999999999, "values": {}}',
        b'{"event": "metric", "time": 1, "step": 1, "values": {"a": "high"}}',
        b"\xff\xfe",
    ],
)
def test_a_malformed_line_is_counted_and_skipped(line: bytes, events: Path) -> None:
    reader = Reader(events)
    events.write_bytes(line + b"\n" + lines(STAGE).encode())
    assert reader.read() == [Stage(time=1.0, text="training")]
    assert reader.malformed == 1


def test_a_line_longer_than_a_batch_is_read_whole(
    events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_events, "BATCH_BYTES", 16)
    events.write_text(lines(STAGE, STAGE, STAGE))
    reader = Reader(events)
    assert sum(len(reader.read()) for _ in range(3)) == 3
    assert reader.read() == []


def test_failures_and_checkpoints_of_earlier_attempts_are_past(events: Path) -> None:
    old = {"event": "error", "message": "old"}
    saved = {"event": "checkpoint", "step": 1, "path": "checkpoints/step-1"}
    events.write_text(lines(old, saved, STAGE))
    reader = Reader(events, replayed=events.stat().st_size)
    assert [type(event) for event in reader.read()] == [Stage]
    with events.open("a") as handle:
        handle.write(lines({"event": "error", "message": "new"}))
    assert reader.read() == [Failure(time=1.0, message="new")]


@pytest.fixture
def attempt(db: None) -> Attempt:
    found = scheduling.claim(make_run().pk, host="here", gpus=0)
    assert found is not None
    return found


def record(attempt: Attempt, events: Path, *parts: dict[str, Any]) -> trainer_events.Seen:
    events.write_text(lines(*parts))
    return trainer_events.record(attempt, Reader(events).read(), log_tail="")


def test_a_step_told_again_replaces_the_earlier_value(attempt: Attempt, events: Path) -> None:
    def metric(value: float) -> dict[str, Any]:
        return {"event": "metric", "step": 1, "values": {"loss": value}}

    record(attempt, events, metric(1.0), metric(2.0))
    assert Metric.objects.get().value == 2.0
    record(attempt, events, metric(3.0))
    assert Metric.objects.get().value == 3.0


def test_doubts_are_kept_once_and_go_with_the_checkpoint(attempt: Attempt, events: Path) -> None:
    doubt = {"event": "doubt", "code": "unknown_tokens", "text": "97 % unknown"}
    record(attempt, events, doubt, {**doubt, "text": "again"}, {**doubt, "code": "plain_images"})
    record(attempt, events, doubt)
    run = Run.objects.get(pk=attempt.run_id)
    assert [(one["code"], one["text"]) for one in run.doubts] == [
        ("unknown_tokens", "97 % unknown"),
        ("plain_images", "97 % unknown"),
    ]
    assert [one["release"] for one in warnings.of_run(run)] == [run.name] * 2


def test_text_that_no_column_takes_is_made_fit(attempt: Attempt, events: Path) -> None:
    sample = {
        "event": "sample",
        "step": 1,
        "prompt_id": "p" * 300,
        "image": "../../images/one.png",
        "prompt": "a\u0000b",
        "response": "long " * 10_000,
        "reward": float("nan"),
    }
    stage = {"event": "stage", "text": "s" * 1000}
    record(attempt, events, sample, stage, {"event": "progress", "done": -3, "total": 9})
    kept = Sample.objects.get()
    assert (kept.prompt_id, kept.image, kept.prompt) == ("p" * 200, "one.png", "a\ufffdb")
    assert len(kept.response) == trainer_events.LONGEST_TEXT
    assert kept.reward is None
    run = Run.objects.get()
    assert (len(run.stage), run.progress_done, run.progress_total) == (200, 0, 9)


def test_what_no_row_can_hold_ends_no_run(attempt: Attempt, events: Path) -> None:
    record(
        attempt,
        events,
        {"event": "stage", "text": "half \ud800"},
        {"event": "progress", "done": 10**300, "total": 2**40, "unit": "a\0"},
        {"event": "metric", "step": 1, "values": {"a\0": 1.0, "loss": float("inf")}},
    )
    events.write_bytes(b'{"event": "metric", "step": 1, "values": {"x": 1' + b"0" * 400 + b"}}\n")
    reader = trainer_events.Reader(events)
    assert reader.read() == [] and reader.malformed == 1
    run = Run.objects.get()
    assert (run.stage, run.progress_unit) == ("half \ufffd", "a\ufffd")
    assert run.progress_done == run.progress_total == trainer_events.MOST_STEPS - 1
    assert [metric.name for metric in Metric.objects.all()] == ["a\ufffd"]


def test_an_overtaken_attempt_records_nothing(attempt: Attempt, events: Path) -> None:
    scheduling.lose(attempt, "gone")
    with pytest.raises(scheduling.Fenced):
        record(attempt, events, {"event": "metric", "step": 1, "values": {"loss": 1.0}})
    assert not Metric.objects.exists()


def test_time_left_is_reckoned_from_this_attempts_pace(attempt: Attempt, events: Path) -> None:
    record(attempt, events, {"event": "progress", "done": 10, "total": 50})
    attempt.refresh_from_db()
    run = Run.objects.get()
    assert attempt.pace_from_at is not None
    assert attempt.remaining(run, attempt.pace_from_at) is None
    record(attempt, events, {"event": "progress", "done": 20, "total": 50})
    run.refresh_from_db()
    attempt.refresh_from_db()
    began = attempt.pace_from_at
    assert began is not None
    assert attempt.remaining(run, began + timedelta(seconds=60)) == timedelta(seconds=180)
