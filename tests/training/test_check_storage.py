"""What older versions left in storage is found, repaired where that is possible, and said."""

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.urls import reverse

from annotation import exporting, images
from annotation.image_sources import Stored
from annotation.models import Image, Release
from annotation.storage import Damaged
from annotation.storage.checking import NotFramed, unframed
from benchmark.models import Question
from tests.benchmark.factories import make_question_set
from tests.factories import (
    judge,
    make_admin,
    make_comparison,
    make_project,
    make_prompt,
    picture_bytes,
)
from tests.training.factories import make_checkpoint, make_run
from training.checkpoints import checkpoint_files

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def storage_of_this_test(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "storage"


def frozen() -> Release:
    project = make_project(k=1)
    for _ in range(3):
        judge(make_comparison(project))
    return exporting.make_release(project)


def stored(name: str) -> Path:
    return Path(default_storage.path(name))


def truncate(name: str) -> None:
    path = stored(name)
    path.write_bytes(path.read_bytes()[:-100])


def check(*options: str) -> str:
    out = io.StringIO()
    try:
        call_command("check_storage", *options, stdout=out)
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return f"{out.getvalue()}all is well"


def test_a_storage_that_is_whole_is_left_alone() -> None:
    release = frozen()
    before = stored(release.artefact.name).read_bytes()
    assert "3 images, 1 releases, 0 files" in check()
    assert check("--repair").endswith("all is well")
    assert stored(release.artefact.name).read_bytes() == before


@pytest.mark.parametrize("damage", [truncate, lambda name: stored(name).unlink()])
def test_a_release_is_made_again_if_it_comes_out_the_same(damage: Any) -> None:
    release = frozen()
    before = stored(release.artefact.name).read_bytes()
    damage(release.artefact.name)
    with pytest.raises(Damaged):
        exporting.stream(release, "trl")
    assert "1 damaged, 0 repaired" in check()
    assert stored(release.artefact.name).is_file() == (damage is truncate)
    assert "repaired by making it again" in check("--repair")
    assert stored(release.artefact.name).read_bytes() == before


def test_a_release_that_cannot_be_made_again_is_no_longer_ready_until_it_is_put_back(
    tmp_path: Path,
) -> None:
    release = frozen()
    shutil.copytree(tmp_path / "storage", tmp_path / "backup")
    truncate(release.artefact.name)
    judge(make_comparison(release.project))
    told = check("--repair")
    assert "release 1 of" in told and "not repaired: it is no longer ready" in told
    release.refresh_from_db()
    assert (release.state, release.error.split(".")[0]) == (
        "failed",
        "Its file in storage is damaged, and what it was made from has changed since",
    )
    assert "repaired from the backup" in check("--repair", "--from", str(tmp_path / "backup"))
    release.refresh_from_db()
    assert (release.state, release.error) == ("ready", "")
    assert len(b"".join(exporting.stream(release, "trl")).splitlines()) == 3


def test_what_a_server_kept_with_its_framing_is_taken_out_of_it() -> None:
    release = frozen()
    image = Image.objects.first()
    assert image is not None
    data = stored(image.file.name).read_bytes()
    framed = f"{20:x}\r\n".encode() + data[:20] + f"\r\n{len(data) - 20:X};x=y\r\n".encode()
    framed += data[20:] + b"\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    stored(image.file.name).write_bytes(framed)
    assert "taking the framing" in check("--repair")
    assert stored(image.file.name).read_bytes() == data
    assert release.state == "ready"


@pytest.mark.parametrize("body", [b"", b"5\r\nab", b"zz\r\n", b"3\r\nabcd\r\n", b"9" * 300])
def test_what_is_not_framed_is_not_taken_apart(body: bytes) -> None:
    with pytest.raises(NotFramed):
        b"".join(unframed(io.BytesIO(body)))


def test_an_image_and_a_checkpoint_that_cannot_be_repaired_are_named(tmp_path: Path) -> None:
    frozen()
    image = Image.objects.first()
    assert image is not None
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "adapter.safetensors").write_bytes(b"weights" * 50)
    fields = checkpoint_files.store(tmp_path / "model", prefix="checkpoints/run-1/final-x")
    checkpoint = make_checkpoint(make_run(), **fields)
    truncate(image.file.name)
    truncate("checkpoints/run-1/final-x/adapter.safetensors")
    told = check("--repair")
    assert f"image {image.sha256[:12]}" in told and "upload it again" in told
    assert f"checkpoint {checkpoint.pk}, adapter.safetensors" in told
    assert "has 250 of 350 bytes" in told and "train that run again" in told
    assert told.endswith("2 damaged, 0 repaired")


def test_unfinished_files_are_told_and_deleted_once_they_are_old(settings: Any) -> None:
    frozen()
    default_storage.save("releases/.unfinished/left.jsonl", ContentFile(b"{"))
    settings.ORPHAN_DAYS = 1
    assert "unfinished" not in check("--repair")
    settings.ORPHAN_DAYS = -1
    assert "1 unfinished files lie there" in check()
    assert "1 unfinished files were deleted" in check("--repair")
    assert not stored("releases/.unfinished/left.jsonl").exists()


def test_an_import_takes_no_image_whose_file_is_damaged() -> None:
    image = images.store(picture_bytes())
    with images.Decoder() as decoder:
        assert Stored(Image.objects.all()).find(image.sha256, decoder) == image
        truncate(image.file.name)
        with pytest.raises(images.BadImage, match="damaged: upload it again"):
            Stored(Image.objects.all()).find(image.sha256, decoder)


def test_an_image_that_is_damaged_is_whole_once_it_is_uploaded_again(client: Any) -> None:
    data = picture_bytes()
    image = images.store(data)
    whole = stored(image.file.name).read_bytes()
    for again in (data, whole):
        for damage in (truncate, lambda name: stored(name).unlink()):
            damage(image.file.name)
            with pytest.raises(Damaged):
                images.opened(image)
            assert images.store(again) == image
            assert stored(image.file.name).read_bytes() == whole


def test_a_damaged_file_is_said_on_a_page_to_a_script_and_over_rest(client: Any) -> None:
    project = make_project(k=1)
    image = images.store(picture_bytes())
    make_prompt(project, image=image)
    truncate(image.file.name)
    client.force_login(make_admin())
    answer = client.get(reverse("annotation-api:image", args=[image.sha256]))
    assert answer.status_code == 503
    assert "bytes in storage" in answer.json()["detail"]
    assert "immutable" not in answer.get("Cache-Control", "")

    question = make_question_set().questions.first()
    assert question is not None
    Question.objects.filter(pk=question.pk).update(image=image)
    address = reverse("benchmark:question-image", args=[question.pk])
    page = client.get(address, headers={"accept": "text/html"})
    assert page.status_code == 503
    assert "A file in storage is damaged" in page.content.decode()
    plain = client.get(address, headers={"accept": "image/png"})
    assert (plain.status_code, plain["Content-Type"]) == (503, "text/plain; charset=utf-8")
