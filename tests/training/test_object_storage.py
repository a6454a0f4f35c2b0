"""Web and worker on S3: they share a bucket, Postgres and Redis, and not one folder."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from moto.server import ThreadedMotoServer

from annotation.exporting import make_release
from tests.factories import make_admin
from tests.training.factories import make_run
from tests.training.labelled import labelled_project
from tests.training.processes import wait_for
from tests.training.workers import celery_worker
from training.checkpoints import checkpoint_files
from training.models import Run, State

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chain]

BUCKET = "factloop"


@pytest.fixture
def bucket(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A bucket on a server that speaks S3; returns its address. This process stores there."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-a-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
    settings.MEDIA_ROOT = tmp_path / "folder-of-the-web"
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "annotation.storage.bucket.BucketStorage",
            "OPTIONS": {"bucket_name": BUCKET, "endpoint_url": address},
        }
    }
    try:
        yield address
    finally:
        httpx.post(f"{address}/moto-api/reset")  # Its buckets would outlast the server.
        server.stop()


def read(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_a_run_on_another_machine_needs_the_bucket_alone(
    bucket: str, settings: Any, tmp_path: Path
) -> None:
    project = labelled_project()
    release = make_release(project)
    run = make_run(project, kind="fake_from_release", release=release, script={"steps": 4})
    of_the_worker = tmp_path / "folders-of-the-worker"
    with celery_worker(
        tmp_path,
        S3_BUCKET=BUCKET,
        S3_ENDPOINT_URL=bucket,
        RUNS_ROOT=str(of_the_worker / "runs"),
        TEST_STORAGE=str(of_the_worker / "storage"),
    ):
        wait_for(lambda: Run.objects.get(pk=run.pk).ended)
    run.refresh_from_db()
    assert (run.state, run.error) == (State.SUCCEEDED, "")
    assert run.metrics.get(name="images").value == project.prompts.count() == 12

    web = Client()
    web.force_login(make_admin())
    checkpoint = run.checkpoints.get()
    packed = read(web.get(reverse("training:checkpoint-download", args=[checkpoint.pk])))
    with zipfile.ZipFile(io.BytesIO(packed)) as folder:
        [weights] = [name for name in folder.namelist() if name.endswith(".safetensors")]
        assert folder.read(weights) == bytes([4]) * 64
    records = read(web.get(reverse("annotation-api:records", args=[release.pk])))
    assert len(records.splitlines()) == 12
    image = project.prompts.all()[0].image
    sent = web.get(reverse("annotation-api:image", args=[image.sha256]))
    with image.file.open() as stored:
        assert read(sent) == stored.read()

    assert not (of_the_worker / "storage").exists()
    assert not settings.MEDIA_ROOT.exists()
    assert not settings.RUNS_ROOT.exists()


def test_a_bucket_that_is_away_is_said_and_leaves_the_folder_whole(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    stored = checkpoint_files.store(folder, prefix="checkpoints/one")
    assert default_storage.exists("checkpoints/one/adapter_config.json")
    assert stored["size"] == 2
    default_storage.bucket.Object("checkpoints/one/adapter_config.json").delete()
    default_storage.bucket.delete()
    with pytest.raises(checkpoint_files.StorageAway, match="did not take adapter_config"):
        checkpoint_files.store(folder, prefix="checkpoints/two")
    assert (folder / "adapter_config.json").read_text() == "{}"
