"""Model card and download: what they say, that they are whole, and that damage shows."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse

from tests.training.factories import make_base, make_checkpoint, make_run
from tests.training.test_views import logged_in, make_release
from training.checkpoints import cards, checkpoint_files
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db

CONTENTS = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"weights" * 400_000}


def make_stored(tmp_path: Path, **fields: Any) -> Checkpoint:
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    run = make_run()
    stored = checkpoint_files.store(tmp_path, prefix=f"checkpoints/card-{run.pk}")
    return make_checkpoint(run, **stored, **fields)


def test_the_download_is_a_whole_folder_with_a_card(tmp_path: Path) -> None:
    checkpoint = make_stored(tmp_path, name="Näme / with | marks")
    assert checkpoint.run is not None
    address = reverse("training:checkpoint-download", args=[checkpoint.pk])
    answer = logged_in(checkpoint.run.requested_by).get(address)
    assert f'filename="name-with-marks-{checkpoint.pk}.zip"' in answer["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as packed:
        assert packed.testzip() is None
        assert {name: packed.read(name) for name in CONTENTS} == CONTENTS
        assert packed.read("README.md").decode() == cards.model_card(checkpoint)
        assert len(packed.namelist()) == len(CONTENTS) + 1


def test_the_archive_never_holds_a_large_file_whole(tmp_path: Path) -> None:
    sizes = [len(part) for part in cards.archive(make_stored(tmp_path))]
    assert max(sizes) < 2 * checkpoint_files.CHUNK < sum(sizes)


def test_a_damaged_file_leaves_no_valid_archive(tmp_path: Path) -> None:
    checkpoint = make_stored(tmp_path)
    default_storage.save(f"{checkpoint.path}/adapter_config.json", ContentFile(b"[]"))
    sent = b""
    with pytest.raises(checkpoint_files.RegistryError, match="differs from what was stored"):
        for part in cards.archive(checkpoint):
            sent += part
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(sent))


def test_the_card_says_where_the_model_comes_from() -> None:
    run = make_run(base=make_base(name="llava", source="org/llava"), seed=11)
    release = make_release(run.project)
    Run.objects.filter(pk=run.pk).update(release=release)
    run.refresh_from_db()
    metrics = {"ppo/reward": 0.123456789}
    card = cards.model_card(
        make_checkpoint(run, step=40, code_version="1.2 (abc1234)", metrics=metrics)
    )
    for said in (
        'base_model: "org/llava"',
        'library_name: "peft"',
        f"run {run.pk}, Fake reward model",
        "| step | 40 |",
        "| seed | 11 |",
        release.sha256,
        "| PPO reward | 0.123457 |",
        "| code version | 1.2 (abc1234) |",
        "| optimizer.learning\\_rate |",
    ):
        assert said in card


def test_names_cannot_break_out_of_the_card() -> None:
    name = 'x"\n---\n# evil | <script>'
    base = make_base(name=name)
    card = cards.model_card(make_checkpoint(make_run(base=base), name=name))
    assert card.count("\n---\n") == 1
    assert "<script>" not in card
    assert '# x"' in card


def test_a_base_at_its_source_has_nothing_to_download() -> None:
    run = make_run()
    assert run.base is not None
    address = reverse("training:checkpoint-download", args=[run.base.pk])
    assert logged_in(run.requested_by).get(address).status_code == 404


def test_the_digest_of_the_files_stands_in_the_card(tmp_path: Path) -> None:
    card = cards.model_card(make_stored(tmp_path))
    assert hashlib.sha256(CONTENTS["adapter_model.safetensors"]).hexdigest() in card
