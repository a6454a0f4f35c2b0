from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.small_disks import fill
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import assert_same_weights
from training.rlhf.__main__ import main
from training.rlhf.checkpoints import newest
from training.rlhf.contract import Kind
from training.rlhf.errors import EngineError
from training.rlhf.presets import preset_spec
from training.rlhf.run_directory import (
    EXIT_DISK_FULL,
    EXIT_FAILED,
    EXIT_TERMINATED,
    Run,
    carry_out,
    read_spec,
)


def nothing(run: Run) -> None:
    run.events.stage("nothing to do")


def test_success_is_exit_code_zero_and_told_in_events(make_run: MakeRun) -> None:
    directory = make_run(Kind.SFT)
    assert carry_out(directory, Kind.SFT, nothing) == 0
    assert [event["event"] for event in events(directory)] == ["stage"]


def test_engine_error_is_told_without_a_traceback(make_run: MakeRun) -> None:
    def work(run: Run) -> None:
        raise EngineError("the settings contradict each other")

    directory = make_run(Kind.SFT)
    assert carry_out(directory, Kind.SFT, work) == EXIT_FAILED
    [failure] = events(directory, "error")
    assert failure["message"] == "the settings contradict each other"
    assert failure["detail"] == ""


def test_defect_is_told_with_its_traceback(make_run: MakeRun) -> None:
    def work(run: Run) -> None:
        raise KeyError("surprise")

    directory = make_run(Kind.SFT)
    assert carry_out(directory, Kind.SFT, work) == EXIT_FAILED
    [failure] = events(directory, "error")
    assert failure["message"] == "KeyError: 'surprise'"
    assert "test_run_directory" in failure["detail"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, os.strerror(28), "checkpoints/x"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_full_disk_is_told_in_words(make_run: MakeRun, error: Exception) -> None:
    def work(run: Run) -> None:
        raise error

    directory = make_run(Kind.SFT)
    assert carry_out(directory, Kind.SFT, work) == EXIT_FAILED
    [failure] = events(directory, "error")
    assert failure["message"].startswith("the disk is full; what was saved before is whole")


def test_a_disk_too_full_to_tell_is_an_exit_code_of_its_own(
    make_run: MakeRun, small_disk: Path
) -> None:
    def work(run: Run) -> None:
        fill(small_disk)
        while True:
            run.events.stage("still going")

    directory = small_disk / "run"
    shutil.copytree(make_run(Kind.SFT), directory)
    assert carry_out(directory, Kind.SFT, work) == EXIT_DISK_FULL == 74


def test_training_goes_on_from_the_last_checkpoint_once_a_full_disk_has_room(
    make_run: MakeRun, small_disk: Path
) -> None:
    settings = {"max_steps": 6, "epochs": 9, "batch_size": 4, "checkpoint_every": 1}
    undisturbed = make_run(Kind.SFT, **settings)
    directory = small_disk / "run"
    shutil.copytree(undisturbed, directory)
    assert main(["sft", "--run-dir", str(undisturbed)]) == 0
    size = sum(file.stat().st_size for file in undisturbed.glob("checkpoints/step-6/**/*"))
    ballast = fill(small_disk, leave=3 * size)
    assert main(["sft", "--run-dir", str(directory)]) in (EXIT_FAILED, EXIT_DISK_FULL)
    saved = newest(directory / "checkpoints")
    assert saved is not None
    assert 0 < saved.step < 6
    ballast.unlink()
    assert main(["sft", "--run-dir", str(directory)]) == 0
    told = [event["text"] for event in events(directory, "stage")]
    assert f"resuming from step {saved.step}" in told
    assert_same_weights(directory / "final", undisturbed / "final")


def test_two_that_both_write_are_told_apart_at_once(
    make_run: MakeRun, caplog: pytest.LogCaptureFixture
) -> None:
    """Processes that a launcher did not join must not remove each other's files."""
    directory = make_run(Kind.SFT)
    codes: list[int] = []

    def work(run: Run) -> None:
        run.events.stage("the first one")
        codes.append(carry_out(directory, Kind.SFT, lambda other: other.events.stage("never")))

    assert carry_out(directory, Kind.SFT, work) == 0
    assert codes == [EXIT_FAILED]
    assert "another process trains in" in caplog.text
    assert [event["text"] for event in events(directory)] == ["the first one"]
    assert carry_out(directory, Kind.SFT, nothing) == 0  # free again


def test_sigterm_is_no_failure_and_the_handler_is_put_back(make_run: MakeRun) -> None:
    def work(run: Run) -> None:
        assert not run.terminating
        os.kill(os.getpid(), signal.SIGTERM)
        run.check_termination()

    directory = make_run(Kind.SFT)
    before = signal.getsignal(signal.SIGTERM)
    assert carry_out(directory, Kind.SFT, work) == EXIT_TERMINATED == 143
    assert events(directory, "error") == []
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"spec\.json is missing"),
        ("{", r"spec\.json: is not JSON"),
        ('{"kind": "party"}', r"spec\.json, kind: is 'party'"),
        ('{"kind": "sft", "settings": {"x": 1}}', r"spec\.json, settings\.x: is not a known"),
    ],
)
def test_bad_spec_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "spec.json").write_text(content)
    with pytest.raises(EngineError, match=message):
        read_spec(tmp_path, Kind.SFT)


def test_spec_of_another_kind_is_refused(make_run: MakeRun) -> None:
    directory = make_run(Kind.SFT)
    assert carry_out(directory, Kind.PPO, nothing) == EXIT_FAILED
    [failure] = events(directory, "error")
    assert failure["message"] == "spec.json, kind: is 'sft', but 'ppo' was asked"


@pytest.mark.parametrize("name", ["../other", "/etc", "adapters/none"])
def test_adapter_outside_the_run_directory_is_refused(make_run: MakeRun, name: str) -> None:
    def work(run: Run) -> None:
        run.folder(run.spec.policy_adapter or "", field="policy_adapter")

    directory = make_run(Kind.SFT)
    (directory.parent / "other").mkdir()
    spec = json.loads((directory / "spec.json").read_text())
    (directory / "spec.json").write_text(json.dumps(spec | {"policy_adapter": name}))
    assert carry_out(directory, Kind.SFT, work) == EXIT_FAILED
    [failure] = events(directory, "error")
    assert failure["message"].startswith("spec.json, policy_adapter: ")


def test_a_missing_base_in_the_run_directory_is_not_looked_for_on_a_hub(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    spec = preset_spec(Kind.GENERATE, "small-world")
    (directory / "spec.json").write_text(json.dumps(spec.to_json()))
    asked: list[str] = []
    assert carry_out(directory, Kind.GENERATE, lambda run: asked.append(run.base_model())) == 1
    [failure] = events(directory, "error")
    assert "no base model in base/" in failure["message"]
    (directory / "base").mkdir()
    assert carry_out(directory, Kind.GENERATE, lambda run: asked.append(run.base_model())) == 0
    assert asked == [str(directory / "base")]


def test_missing_directory_is_exit_code_one(tmp_path: Path) -> None:
    assert carry_out(tmp_path / "none", Kind.SFT, nothing) == EXIT_FAILED
