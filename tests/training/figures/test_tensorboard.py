"""Event files are read back with TensorBoard's own reader."""

import importlib.util
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.factories import make_run
from training.figures import tensorboard
from training.models import State
from training.rlhf.contract import Event, Metric, Stage
from training.runs import execution

EVENTS: list[Event] = [
    Stage(time=1.0, text="training"),
    Metric(time=2.0, step=1, values={"train/loss": 0.5, "train/accuracy": 1.0}),
    Metric(time=3.0, step=2, values={"train/loss": 0.25}),
]


def curve(directory: Path, name: str) -> list[tuple[float, int, float]]:
    reader = EventAccumulator(str(directory / tensorboard.FOLDER)).Reload()
    return [(point.wall_time, point.step, point.value) for point in reader.Scalars(name)]


def test_metrics_stand_at_the_time_and_step_at_which_they_were_told(tmp_path: Path) -> None:
    board = tensorboard.board(tmp_path)
    board.add(EVENTS[:2])
    board.add(EVENTS[2:])
    assert curve(tmp_path, "train/loss") == [(2.0, 1, 0.5), (3.0, 2, 0.25)]
    assert curve(tmp_path, "train/accuracy") == [(2.0, 1, 1.0)]


def test_an_attempt_that_reads_all_again_doubles_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        tensorboard.board(tmp_path).add(EVENTS)
    assert len(curve(tmp_path, "train/loss")) == 2


def test_without_the_package_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    tensorboard.board(tmp_path).add(EVENTS)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    board = tensorboard.board(tmp_path)
    (tmp_path / tensorboard.FOLDER).touch()
    board.add(EVENTS)
    board.add(EVENTS)


@pytest.mark.django_db(transaction=True)
def test_the_file_of_a_run_outlasts_it() -> None:
    run = make_run(script={"steps": 3})
    execution.execute(run.pk)
    run.refresh_from_db()
    assert run.state == State.SUCCEEDED
    directory = execution.run_directory(run)
    assert [step for _, step, _ in curve(directory, "train/loss")] == [1, 2, 3]
