"""A run whose disk is full, whose storage or database is away, or whose host loses its power."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from tests.power_loss import Disk
from tests.small_disks import fill
from tests.training.factories import make_run
from tests.training.processes import lives, wait_for
from tests.training.runs.test_execution import execute, executing, pid_in
from training.checkpoints import checkpoint_files
from training.models import GpuSlot, Metric, Run, State
from training.runs import (
    checkpoint_uploads,
    execution,
    heartbeat,
    host_cleanup,
    scheduling,
    shutdown,
    trainer_events,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_full_disk_is_told_whether_the_worker_or_the_trainer_meets_it(
    settings: Any, small_disk: Path
) -> None:
    at_first = make_run()
    told = execute(make_run(script={"crash_at": 3, "crash_code": os.EX_IOERR})).error
    settings.RUNS_ROOT = small_disk / "runs"
    fill(small_disk)
    for error in (told, execute(at_first).error):
        assert error.startswith(f"the disk with the run's directory on {execution.host_name()}")


def test_a_run_that_met_a_full_disk_goes_on_from_its_checkpoint_when_resumed() -> None:
    run = execute(make_run(script={"steps": 6, "crash_at": 5, "crash_code": os.EX_IOERR}))
    assert run.state == State.FAILED
    run.options["script"]["crash_at"] = None
    run.save(update_fields=["options"])
    scheduling.resume(run)
    assert execute(run).state == State.SUCCEEDED
    assert "from step 4" in (execution.run_directory(run) / "events.jsonl").read_text()


@pytest.fixture
def full_storage(
    settings: Any, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Storage on a disk without a free byte; returns the file to delete to make room."""
    settings.MEDIA_ROOT = small_disk / "storage"
    monkeypatch.setattr(checkpoint_uploads, "STORAGE_AGAIN_SECONDS", 0.05)
    yield fill(small_disk)


def waits_for_storage(run: Run) -> bool:
    return Run.objects.filter(pk=run.pk, stage__startswith="waits for storage").exists()


def test_a_result_waits_without_its_gpu_until_storage_has_room_again(
    settings: Any, full_storage: Path
) -> None:
    settings.WORKER_GPUS = 1
    run = make_run(script={"steps": 4, "seconds_per_step": 0.1}, gpus=1)
    with executing(run):
        wait_for(lambda: waits_for_storage(run))
        assert GpuSlot.objects.get().attempt is None
        stored = full_storage.parent / f"storage/checkpoints/run-{run.pk}"
        assert not [path for path in stored.rglob("*") if path.is_file() and path.stat().st_size]
        full_storage.unlink()
    run.refresh_from_db()
    assert (run.state, run.error) == (State.SUCCEEDED, "")
    checkpoint = run.checkpoints.get()
    with checkpoint_files.open_file(checkpoint, "adapter_model.safetensors") as weights:
        assert weights.read() == bytes([4]) * 64


def test_a_run_that_waits_for_storage_can_be_cancelled(full_storage: Path) -> None:
    run = make_run()
    with executing(run):
        wait_for(lambda: waits_for_storage(run))
        scheduling.cancel(run)
    run.refresh_from_db()
    assert run.state == State.CANCELLED


def test_a_run_that_waits_for_storage_is_given_back_by_a_worker_that_is_stopped(
    full_storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    with executing(run):
        wait_for(lambda: waits_for_storage(run))
        monkeypatch.setattr(shutdown, "asked", lambda: True)
    run.refresh_from_db()
    assert run.state == State.QUEUED


def test_waiting_for_storage_has_an_end(settings: Any, full_storage: Path) -> None:
    settings.RUN_STORAGE_PATIENCE_SECONDS = 0
    run = execute(make_run())
    assert run.state == State.FAILED
    assert run.error.startswith("storage did not take ")
    assert "storage is full; look at FACTLOOP_VAR" in run.error


def test_a_short_absence_of_the_database_loses_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = trainer_events.record
    refusals = iter([True, True, False, True])

    def flaky(*args: Any, **kwargs: Any) -> Any:
        if next(refusals, False):
            raise OperationalError("the connection is lost")
        return honest(*args, **kwargs)

    monkeypatch.setattr(trainer_events, "record", flaky)
    monkeypatch.setattr(heartbeat, "AGAIN_SECONDS", 0.05)
    run = execute(make_run(script={"steps": 5, "seconds_per_step": 0.1}))
    assert run.state == State.SUCCEEDED
    assert Metric.objects.filter(run=run).count() == 5


def test_a_worker_cut_off_from_the_database_ends_its_trainer_before_the_lease_is_over(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RUN_LEASE_SECONDS = 3
    run = make_run(script={"steps": 10_000, "seconds_per_step": 0.05})

    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("no route to host")

    with executing(run):
        pid = pid_in(run, "trainer-pid")
        monkeypatch.setattr(scheduling, "heartbeat", away)
        wait_for(lambda: not lives(pid))
    monkeypatch.undo()
    run.refresh_from_db()
    if run.state == State.RUNNING:  # Else the worker could still say that its trainer is gone.
        wait_for(scheduling.reap)
    assert Run.objects.get(pk=run.pk).state == State.QUEUED


# --- A loss of power --------------------------------------------------------------------------


def test_a_directory_is_on_the_disk_before_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    disk = Disk(monkeypatch, mark=execution.PREPARED)
    directory = execution._prepare(run)
    assert execution.prepared_for(directory) == execution.identity(run)
    assert execution.PREPARED in disk.named and disk.lost() == []


def test_what_forgets_a_file_of_the_directory_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, mark=execution.PREPARED)
    monkeypatch.setattr(execution.durable, "force", lambda path: None)
    execution._prepare(make_run())
    assert any("spec.json was not on the disk" in fault for fault in disk.lost())


@pytest.mark.parametrize("clear", ["tidied when the run ended", "cleared later"])
def test_what_is_half_cleared_is_not_taken_for_prepared(
    monkeypatch: pytest.MonkeyPatch, clear: str
) -> None:
    """A run that failed may be resumed; its directory is then made again."""
    directory = execution._prepare(make_run())
    (directory / "trainer.log").write_text("kept")

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        if clear == "cleared later":
            monkeypatch.setattr(Path, "rename", die)
            host_cleanup._put_aside(directory, but=execution.KEPT)
        else:
            monkeypatch.setattr(shutil, "rmtree", die)
            execution._tidy(directory)
    assert execution.prepared_for(directory) is None
