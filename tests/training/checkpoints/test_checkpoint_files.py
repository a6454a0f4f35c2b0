"""Files of checkpoints in and out of storage."""

from pathlib import Path

import pytest
from django.core.files.storage import InMemoryStorage, default_storage

from annotation.storage import contents
from tests.training.factories import make_base
from training.checkpoints import checkpoint_files, registry
from training.checkpoints.checkpoint_files import RegistryError
from training.models import Checkpoint

pytestmark = pytest.mark.django_db


def test_a_folder_comes_back_as_it_was_stored(model_folder: Path, tmp_path: Path) -> None:
    base = registry.register_base("tiny", folder=model_folder)
    checkpoint_files.fetch(base, tmp_path / "fetched")
    for name in ("config.json", "model.safetensors", "deeper/note.txt"):
        assert (tmp_path / "fetched" / name).read_bytes() == (model_folder / name).read_bytes()
    assert base.size == len("{}") + len("weights") + len("hello")


def test_local_weights_are_linked_and_what_is_resumed_is_copied(
    model_folder: Path, tmp_path: Path
) -> None:
    base = registry.register_base("tiny", folder=model_folder)
    checkpoint_files.fetch(base, tmp_path / "read")
    checkpoint_files.fetch(base, tmp_path / "owned", link=False)
    assert (tmp_path / "read" / "model.safetensors").is_symlink()
    assert not (tmp_path / "read" / "config.json").is_symlink()
    assert not (tmp_path / "owned" / "model.safetensors").is_symlink()


def test_storage_without_paths_is_copied_from(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "default_storage", InMemoryStorage())
    base = registry.register_base("tiny", folder=model_folder)
    checkpoint_files.fetch(base, tmp_path / "fetched")
    assert not (tmp_path / "fetched" / "model.safetensors").is_symlink()
    assert (tmp_path / "fetched" / "model.safetensors").read_bytes() == b"weights"


def test_a_damaged_file_is_noticed(model_folder: Path, tmp_path: Path) -> None:
    base = registry.register_base("tiny", folder=model_folder)
    Path(default_storage.path(f"{base.path}/config.json")).write_text("[]")
    with pytest.raises(RegistryError, match=r"config\.json differs"):
        checkpoint_files.fetch(base, tmp_path / "fetched")


@pytest.mark.parametrize("name", ["../outside.json", "/etc/outside.json", "a/../../outside.json"])
def test_a_file_never_leaves_its_folder(name: str, tmp_path: Path) -> None:
    files = [{"name": name, "size": 0, "sha256": ""}]
    base = make_base(source="", path="bases/x", files=files)
    with pytest.raises(RegistryError, match="would leave"):
        checkpoint_files.fetch(base, tmp_path / "fetched")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "optimizer.pt", "weights.pkl", "run.py"])
def test_formats_that_could_carry_code_are_refused(name: str, model_folder: Path) -> None:
    (model_folder / name).write_bytes(b"\x80")
    with pytest.raises(RegistryError, match=name):
        registry.register_base("tiny", folder=model_folder)
    assert not Checkpoint.objects.exists()


def test_links_in_a_folder_are_not_followed(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    (model_folder / "linked.json").symlink_to(tmp_path / "secret.json")
    base = registry.register_base("tiny", folder=model_folder)
    assert "linked.json" not in {file["name"] for file in base.files}


def test_a_source_is_named_in_the_spec_and_not_fetched(tmp_path: Path) -> None:
    base = registry.register_base("big", source="org/model")
    assert checkpoint_files.engine_name(base, tmp_path, "base") == "org/model"
    assert not (tmp_path / "base").exists()
