"""What is left on a host's disk goes, and never what somebody may be using."""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.training.factories import make_run
from training.checkpoints import base_imports
from training.models import Run
from training.runs import execution, host_cleanup, scheduling

pytestmark = pytest.mark.django_db

DAY = 86_400


@pytest.fixture(autouse=True)
def on_this_host(settings: Any) -> None:
    settings.WORKER_HOST = "here"
    settings.RUN_DIRECTORY_DAYS, settings.RUN_LOG_DAYS = 3, 90


def directory_of(run: Run, *, days: float = 4) -> Path:
    """As a killed worker leaves it: prepared, trained in, and not touched for ``days``."""
    directory = execution.run_directory(run)
    (directory / "checkpoints" / "step-1").mkdir(parents=True)
    for name in ("lock", "events.jsonl", "trainer.log", "spec.json"):
        (directory / name).write_text("")
    (directory / execution.PREPARED).write_text(json.dumps(execution.identity(run)))
    return touched(directory, days=days)


def touched(directory: Path, *, days: float) -> Path:
    then = time.time() - days * DAY
    for path in (*directory.rglob("*"), directory):
        os.utime(path, (then, then))
    return directory


def taken(run: Run, *, host: str) -> Any:
    attempt = scheduling.claim(run.pk, host=host, gpus=0)
    assert attempt is not None
    return attempt


def ended(run: Run) -> Run:
    scheduling.fail(taken(run, host="here"), "it failed")
    return run


def left() -> list[str]:
    """What lies in RUNS_ROOT, but for the lock of who clears."""
    root = execution.run_directory(Run(pk=0)).parent
    return sorted(path.name for path in root.iterdir() if path.name != host_cleanup.ONE_AT_A_TIME)


def test_of_an_ended_run_what_people_read_stays() -> None:
    directory = directory_of(ended(make_run()))
    assert host_cleanup.clear() == 1
    names = {path.name for path in directory.iterdir()}
    assert names == {"lock", "events.jsonl", "trainer.log", "spec.json"}
    assert left() == [directory.name]
    touched(directory, days=89)
    assert host_cleanup.clear() == 0


def test_after_a_longer_while_its_logs_go_too() -> None:
    directory_of(ended(make_run()), days=91)
    assert host_cleanup.clear() == 1
    assert left() == []


def test_a_run_that_another_host_took_leaves_nothing_here() -> None:
    run = make_run()
    scheduling.lose(taken(run, host="here"), "it died")
    taken(run, host="elsewhere")
    directory_of(run)
    assert host_cleanup.clear() == 1
    assert left() == []


def test_a_directory_in_which_something_changed_lately_stays() -> None:
    directory_of(ended(make_run()), days=2)
    changing = directory_of(ended(make_run()), days=10)
    (changing / "events.jsonl").write_text("{}")
    assert host_cleanup.clear() == 0


def never_taken(run: Run) -> None:
    """It is asked for, and a directory of it lies here."""


def running_here(run: Run) -> None:
    taken(run, host="here")


def waiting_to_go_on_here(run: Run) -> None:
    scheduling.lose(taken(run, host="here"), "it died")


def held_here_under_another_name(run: Run) -> None:
    """A container's name is new each time."""
    held = execution.run_directory(run).parent / "held"
    held.mkdir(parents=True)
    (held / taken(run, host="another-container").token.hex).write_text("")


@pytest.mark.parametrize(
    "state", [never_taken, running_here, waiting_to_go_on_here, held_here_under_another_name]
)
def test_a_run_that_may_need_its_directory_keeps_it(state: Any) -> None:
    run = make_run()
    state(run)
    directory = directory_of(run, days=1000)
    assert host_cleanup.clear() == 0
    assert (directory / "checkpoints" / "step-1").is_dir()


def test_a_directory_in_which_a_process_still_works_stays() -> None:
    directory = directory_of(ended(make_run()), days=1000)
    with (directory / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert host_cleanup.clear() == 0
    assert host_cleanup.clear() == 1


def test_directories_of_other_databases_stay() -> None:
    run = ended(make_run())
    unknown = directory_of(Run(pk=run.pk + 1000, created_at=run.created_at), days=1000)
    foreign = directory_of(run)
    mark = foreign / execution.PREPARED
    mark.write_text(json.dumps({"run": run.pk, "created_at": "2020-01-01T00:00:00+00:00"}))
    touched(foreign, days=1000)
    assert host_cleanup.clear() == 0
    assert unknown.is_dir() and mark.exists()


@pytest.mark.parametrize("torn", ["", '{"run"', "[]", "\0\0"])
def test_a_mark_that_cannot_be_read_keeps_nothing_from_going_on(torn: str) -> None:
    """A disk that was full, or a machine that went down, leaves such a file."""
    run = ended(make_run())
    directory = directory_of(run)
    (directory / execution.PREPARED).write_text(torn)
    touched(directory, days=1000)
    assert execution.prepared_for(directory) is None
    assert host_cleanup.clear() == 1


@pytest.mark.django_db(transaction=True)
def test_a_run_that_somebody_is_claiming_keeps_its_directory() -> None:
    run = ended(make_run())
    directory_of(run)
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM training_run WHERE id = %s FOR UPDATE", [run.pk])
        assert host_cleanup.clear() == 0
        other.rollback()
        assert host_cleanup.clear() == 1
    finally:
        other.close()


@pytest.mark.django_db(transaction=True)
def test_a_resumed_run_finds_no_half_of_its_directory() -> None:
    run = ended(make_run(script={"steps": 2}))
    directory_of(run)
    host_cleanup.clear()
    assert scheduling.resume(run)
    execution.execute(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == ("succeeded", "")


def test_what_a_killed_clearing_renamed_goes_with_the_next() -> None:
    root = execution.run_directory(Run(pk=0)).parent
    (root / f"{host_cleanup.GOING}7-x" / "checkpoints").mkdir(parents=True)
    host_cleanup.clear()
    assert left() == []


def test_only_one_clears_at_a_time() -> None:
    directory = directory_of(ended(make_run()))
    with (directory.parent / host_cleanup.ONE_AT_A_TIME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert host_cleanup.clear() == 0
    assert host_cleanup.clear() == 1


def test_downloads_go_unless_they_are_young_or_going_on(settings: Any) -> None:
    with base_imports._downloads() as living:
        old, young = (living.with_name(f"download-{name}") for name in ("old", "young"))
        for folder in (living, old, young):
            (folder / ".cache").mkdir(parents=True)
            touched(folder, days=2)
        (young / ".cache" / "model.incomplete").write_text("x")
        assert host_cleanup.clear() == 1
        assert left() == sorted([living.name, young.name])
