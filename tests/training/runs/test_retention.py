"""What nobody will ask for leaves storage; what a row names or somebody is storing stays."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, default_storage
from django.db.models import F
from django.urls import reverse

from annotation.storage import contents
from tests.factories import make_admin
from tests.training.factories import make_checkpoint, make_run
from tests.training.test_views import logged_in
from training import tasks
from training.checkpoints import checkpoint_files
from training.models import Attempt, BaseImport, Checkpoint, Run
from training.runs import retention, scheduling

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def storage_of_this_test(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "storage"
    settings.RESUME_DAYS, settings.ORPHAN_DAYS = 30, 2


def taken(run: Run) -> Attempt:
    attempt = scheduling.claim(run.pk, host="here", gpus=0)
    assert attempt is not None
    return attempt


def stored(attempt: Attempt, name: str) -> str:
    """Where a checkpoint of two files lies that the attempt has stored."""
    path = checkpoint_files.attempt_prefix(attempt, name)
    for file in ("adapter.safetensors", "deeper/note.txt"):
        default_storage.save(f"{path}/{file}", ContentFile(b"x"))
    return path


def is_stored(path: str) -> bool:
    return default_storage.exists(f"{path}/adapter.safetensors")


def row_of(attempt: Attempt, path: str, **fields: Any) -> Checkpoint:
    names = ("adapter.safetensors", "deeper/note.txt")
    files = [{"name": name, "size": 1, "sha256": ""} for name in names]
    return make_checkpoint(attempt.run, path=path, files=files, **fields)


def failed(*, days: float) -> Checkpoint:
    """The checkpoint to resume from of a run that failed so long ago."""
    attempt = taken(make_run())
    row = row_of(attempt, stored(attempt, "step-4"), step=4, final=False)
    scheduling.fail(attempt, "it failed")
    ago = timedelta(days=days)
    Run.objects.filter(pk=attempt.run_id).update(finished_at=F("finished_at") - ago)
    Attempt.objects.filter(pk=attempt.pk).update(ended_at=F("ended_at") - ago)
    return row


def test_a_month_after_its_end_a_run_cannot_go_on_from_its_checkpoint(
    django_capture_on_commit_callbacks: Any,
) -> None:
    old, young = failed(days=31), failed(days=29)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.tidy_storage()
    assert not is_stored(old.path) and is_stored(young.path)
    assert Checkpoint.objects.filter(final=False).get() == young


def test_a_run_that_goes_on_keeps_its_checkpoint() -> None:
    row = failed(days=31)
    assert row.run is not None
    scheduling.resume(row.run)
    assert retention.forget_resume_points() == 0
    assert is_stored(row.path)


def test_results_and_what_others_were_made_from_are_kept() -> None:
    needed, result = failed(days=31), failed(days=31)
    Checkpoint.objects.filter(pk=result.pk).update(final=True)
    Run.objects.filter(pk=make_run().pk).update(policy=needed)
    assert retention.forget_resume_points() == 0
    assert retention.remove_orphans() == 0
    assert is_stored(needed.path) and is_stored(result.path)


def test_the_page_says_whether_a_run_goes_on_or_begins_anew() -> None:
    row = failed(days=31)
    assert row.run is not None
    client, page = logged_in(make_admin()), row.run.get_absolute_url()
    assert "Goes on from step 4" in client.get(page).content.decode()
    retention.forget_resume_points()
    assert "Begins anew" in client.get(page).content.decode()
    answer = client.post(reverse("training:run-resume", args=[row.run.pk]), follow=True)
    assert "begins anew when a worker is free" in answer.content.decode()


def test_what_a_killed_worker_stored_without_a_row_goes() -> None:
    attempt = taken(make_run())
    named, orphan = stored(attempt, "step-2"), stored(attempt, "step-4")
    row_of(attempt, named, step=2, final=False)
    scheduling.lose(attempt, "it was killed")
    assert retention.remove_orphans() == 0  # Not at once.
    Attempt.objects.update(ended_at=F("ended_at") - timedelta(days=3))
    assert retention.remove_orphans() == 1
    assert is_stored(named) and not is_stored(orphan)
    assert not default_storage.exists(orphan)
    assert retention.remove_orphans() == 0


def test_what_an_attempt_is_storing_stays() -> None:
    attempt = taken(make_run())
    Attempt.objects.update(claimed_at=F("claimed_at") - timedelta(days=100))
    path = stored(attempt, "final")
    assert retention.remove_orphans() == 0
    assert is_stored(path)


def test_what_the_database_knows_nothing_of_stays() -> None:
    """It may belong to the installation whose copy this database is."""
    attempt = taken(make_run())
    path = stored(attempt, "final")
    run_id = attempt.run_id
    attempt.delete()
    others = [f"checkpoints/run-{run_id + 1}/final-0123456789ab/a.json", "bases/0123/a.json"]
    others += ["bases/import-1-0123/a.json", "checkpoints/by-hand/a.json"]
    for name in others:
        default_storage.save(name, ContentFile(b"x"))
    assert retention.remove_orphans() == 0
    assert is_stored(path) and all(default_storage.exists(name) for name in others)


def test_a_base_that_a_killed_import_was_storing_goes() -> None:
    row = BaseImport.objects.create(name="tiny", source="org/tiny", created_by=make_admin())
    paths = [f"bases/import-{row.pk}-{number}" for number in ("aa", "bb")]
    for path in paths:
        default_storage.save(f"{path}/model.safetensors", ContentFile(b"x"))
    Checkpoint.objects.create(kind=Checkpoint.Kind.BASE, name="tiny", path=paths[0])
    assert retention.remove_orphans() == 0  # It may still be going on.
    long_ago = row.created_at - timedelta(days=3)
    BaseImport.objects.update(state="succeeded", finished_at=long_ago)
    assert retention.remove_orphans() == 1
    assert default_storage.exists(f"{paths[0]}/model.safetensors")
    assert not default_storage.exists(f"{paths[1]}/model.safetensors")


def test_a_storage_without_anything_is_tidy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert retention.remove_orphans() == 0
    monkeypatch.setattr(contents, "default_storage", InMemoryStorage())
    assert retention.remove_orphans() == 0
