"""Checkpoints by their rows: taken in, promoted, deleted, and what they come from."""

from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.urls import reverse

from tests.factories import make_admin
from tests.training.factories import make_base, make_checkpoint, make_run
from tests.training.test_views import logged_in
from training.checkpoints import checkpoint_files, registry
from training.checkpoints.checkpoint_files import RegistryError
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db


def test_a_base_is_registered_once_by_name_and_content(model_folder: Path) -> None:
    first = registry.register_base("tiny", folder=model_folder)
    assert registry.register_base("tiny", folder=model_folder) == first
    (model_folder / "config.json").write_text('{"changed": true}')
    with pytest.raises(RegistryError, match="a different base"):
        registry.register_base("tiny", folder=model_folder)
    with pytest.raises(RegistryError, match="a different base"):
        registry.register_base("tiny", source="org/model")


def test_a_folder_without_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"no config\.json"):
        registry.register_base("tiny", folder=tmp_path)


def test_discarding_takes_row_and_files(
    model_folder: Path, django_capture_on_commit_callbacks: Any
) -> None:
    base = registry.register_base("tiny", folder=model_folder)
    with django_capture_on_commit_callbacks(execute=True):
        registry.discard(base)
    assert not default_storage.exists(f"{base.path}/config.json")
    assert not Checkpoint.objects.exists()


def test_what_something_depends_on_cannot_be_discarded() -> None:
    checkpoint = make_checkpoint(make_run())
    assert checkpoint.base is not None
    with pytest.raises(ProtectedError):
        registry.discard(checkpoint.base)


def test_lineage_goes_from_policy_to_base_nearest_first_and_names_each_once() -> None:
    reward = make_run()
    model = make_checkpoint(reward, kind="reward_model")
    first = make_checkpoint(
        make_run(reward.project, kind="fake_ppo", base=reward.base, reward_model=model)
    )
    second = make_checkpoint(
        make_run(
            reward.project, kind="fake_ppo", base=reward.base, reward_model=model, policy=first
        )
    )
    found = [(one.depth, one.role, one.item) for one in registry.lineage(second)]
    assert found == [
        (1, "reward model", model),
        (1, "policy begun from", first),
        (1, "base", reward.base),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "x", "source": "y"},
        {"path": "", "source": ""},
        {"kind": "policy", "base": None},
    ],
)
def test_the_database_refuses_an_impossible_checkpoint(wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Checkpoint.objects.create(**{"kind": "base", "name": "x", "source": "y", **wrong})


def test_the_command_registers_folders_and_hub_ids(model_folder: Path, capsys: Any) -> None:
    call_command("register_base", "copied", str(model_folder))
    call_command("register_base", "in place", str(model_folder), "--in-place")
    call_command("register_base", "hub", "org/model")
    sources = dict(Checkpoint.objects.values_list("name", "source"))
    assert sources == {"copied": "", "in place": str(model_folder), "hub": "org/model"}


@pytest.mark.parametrize("source", ["nowhere", "./nowhere", "/no/where/at/all", "a/b/c"])
def test_the_command_says_what_is_neither_folder_nor_hub_id(source: str) -> None:
    with pytest.raises(CommandError, match="neither a folder nor a hub id"):
        call_command("register_base", "x", source)


def test_promoting_takes_it_from_the_other_of_its_kind_and_project() -> None:
    run = make_run()
    first, second = make_checkpoint(run), make_checkpoint(make_run(run.project))
    other_kind = make_checkpoint(make_run(run.project), kind="reward_model")
    elsewhere = make_checkpoint(make_run())
    for checkpoint in (first, other_kind, elsewhere, second):
        registry.promote(checkpoint)
    promoted = set(Checkpoint.objects.filter(promoted=True))
    assert promoted == {second, other_kind, elsewhere}


def test_what_nothing_needs_is_deleted_with_its_files(
    tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    (tmp_path / "config.json").write_text("{}")
    checkpoint = make_checkpoint(
        make_run(), **checkpoint_files.store(tmp_path, prefix="checkpoints/gone")
    )
    with django_capture_on_commit_callbacks(execute=True):
        registry.delete(checkpoint)
    assert not Checkpoint.objects.filter(pk=checkpoint.pk).exists()
    assert not default_storage.exists("checkpoints/gone/config.json")


def needed_because_promoted(checkpoint: Checkpoint) -> None:
    registry.promote(checkpoint)


def needed_by_a_run(checkpoint: Checkpoint) -> None:
    Run.objects.filter(pk=make_run().pk).update(policy=checkpoint, name="The user")


def needed_further_down_its_chain(checkpoint: Checkpoint) -> None:
    middle = make_run(after=checkpoint.run)
    Run.objects.filter(pk=middle.pk).update(state="succeeded", finished_at=middle.created_at)
    Run.objects.filter(pk=make_run(after=middle).pk).update(name="The last of the chain")


@pytest.mark.parametrize(
    ("need", "said"),
    [
        (needed_because_promoted, "promoted"),
        (needed_by_a_run, "“The user” depend"),
        (needed_further_down_its_chain, "“The last of the chain” waits"),
    ],
)
def test_what_is_needed_cannot_be_deleted(need: Any, said: str) -> None:
    checkpoint = make_checkpoint(make_run())
    need(checkpoint)
    with pytest.raises(registry.StillNeeded, match=said):
        registry.delete(checkpoint)
    assert Checkpoint.objects.filter(pk=checkpoint.pk).exists()


def test_an_administrator_deletes_a_base_that_nothing_depends_on() -> None:
    base, needed = make_base(), make_base()
    run = make_run(base=needed)
    admin, manager = make_admin(), run.requested_by
    address = reverse("training:checkpoint-delete", args=[base.pk])
    assert logged_in(manager).post(address).status_code == 404
    promote = reverse("training:checkpoint-promote", args=[base.pk])
    assert logged_in(admin).post(promote).status_code == 404
    logged_in(admin).post(address)
    assert not Checkpoint.objects.filter(pk=base.pk).exists()
    kept = logged_in(admin).post(
        reverse("training:checkpoint-delete", args=[needed.pk]), follow=True
    )
    assert "depend on it" in kept.content.decode()
    assert Checkpoint.objects.filter(pk=needed.pk).exists()
