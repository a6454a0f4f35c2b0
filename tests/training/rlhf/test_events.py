from __future__ import annotations

import io
from pathlib import Path

import pytest

from training.rlhf.contract import (
    CheckpointSaved,
    Failure,
    Metric,
    Progress,
    Sample,
    Stage,
    parse_event,
)
from training.rlhf.events import EventWriter
from training.rlhf.finite import NonFinite


def test_events_go_to_the_file_and_the_stream_and_are_read_back(tmp_path: Path) -> None:
    stream = io.StringIO()
    with EventWriter(tmp_path / "events.jsonl", stream=stream) as events:
        events.stage("loading")
        events.progress(1, 3)
        events.metrics(1, {"train/loss": 0.5})
        events.sample(1, prompt_id="p", image="i.png", prompt="what ?", response="ü", facts=["f"])
        events.checkpoint(1, "final", final=True, metrics={"a": 1.0})
        events.failure("broken", detail="why")
    text = (tmp_path / "events.jsonl").read_text(encoding="utf-8")
    assert text == stream.getvalue()
    stage, progress, metric, sample, checkpoint, failure = map(parse_event, text.splitlines())
    assert isinstance(stage, Stage) and stage.text == "loading"
    assert isinstance(progress, Progress) and (progress.done, progress.total) == (1, 3)
    assert isinstance(metric, Metric) and metric.values == {"train/loss": 0.5}
    assert isinstance(sample, Sample) and (sample.prompt, sample.response) == ("what ?", "ü")
    assert isinstance(checkpoint, CheckpointSaved) and checkpoint.metrics == {"a": 1.0}
    assert isinstance(failure, Failure) and failure.detail == "why"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_figures_that_are_no_finite_numbers_end_the_run(tmp_path: Path, value: float) -> None:
    with EventWriter(tmp_path / "events.jsonl", stream=io.StringIO()) as events:
        with pytest.raises(NonFinite, match="the train/odd is"):
            events.metrics(1, {"train/loss": 0.5, "train/odd": value})
        with pytest.raises(NonFinite, match="the train/odd is"):
            events.checkpoint(1, "final", final=True, metrics={"train/odd": value})
    assert (tmp_path / "events.jsonl").read_text() == ""


def test_each_event_is_written_at_once(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "events.jsonl", stream=io.StringIO()) as events:
        events.stage("loading")
        assert (tmp_path / "events.jsonl").read_text().endswith("\n")


def test_a_listener_that_went_away_does_not_end_the_run(tmp_path: Path) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with EventWriter(tmp_path / "events.jsonl", stream=Closed()) as events:
        events.stage("one")
        events.stage("two")
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 2


def test_a_resumed_run_appends(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with EventWriter(tmp_path / "events.jsonl", stream=io.StringIO()) as events:
            events.stage(text)
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 2
