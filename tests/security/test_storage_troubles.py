"""Whatever storage does, each page and route answers in words: never a 500, never half a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.db import transaction
from django.test import Client
from django.urls import reverse

from annotation import tasks
from annotation.models import ImportJob, Release
from annotation.storage import StorageTrouble
from tests.annotation.storage.test_buckets import BUCKET, Refusing, served
from tests.factories import picture_bytes
from tests.security.operations import logged_in, operations, prepare, right_body, send
from tests.security.world import ROUTES, World
from training.checkpoints.checkpoint_files import RegistryError

RAW = ("botocore", "Traceback", "ClientError", "An error occurred", "Errno", "urllib3")

Trouble = Callable[[Any, Path], Iterator[None]]


def bucket_at(settings: Any, address: str) -> None:
    options = {"bucket_name": BUCKET, "endpoint_url": address}
    backend = {"BACKEND": "annotation.storage.bucket.BucketStorage", "OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"default": backend}


def refusing(status: int, code: str) -> Any:
    def trouble(settings: Any, folder: Path) -> Iterator[None]:
        class Server(Refusing):
            pass

        Server.status, Server.code = status, code
        with served(Server) as address:  # type: ignore[arg-type]
            bucket_at(settings, address)
            yield

    return trouble


def away(settings: Any, folder: Path) -> Iterator[None]:
    bucket_at(settings, "http://127.0.0.1:1")
    yield


def damaged(settings: Any, folder: Path) -> Iterator[None]:
    """Each file has other bytes of the same length."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    yield


def cut(settings: Any, folder: Path) -> Iterator[None]:
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1])
    yield


def lost(settings: Any, folder: Path) -> Iterator[None]:
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    yield


TROUBLES = {
    "wrong keys": (refusing(403, "SignatureDoesNotMatch"), "AWS_SECRET_ACCESS_KEY"),
    "the bucket is gone": (refusing(404, "NoSuchBucket"), "S3_BUCKET"),
    "not reached": (away, "S3_ENDPOINT_URL"),
    "damaged": (damaged, "in storage"),
    "cut": (cut, "in storage"),
    "lost": (lost, "missing from storage"),
}


@pytest.fixture
def word(
    request: pytest.FixtureRequest,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """The world is made on a folder; then trouble begins. Returns what is to be said."""
    settings.MEDIA_ROOT = tmp_path / "storage"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-a-test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    request.getfixturevalue("world")
    trouble, said = TROUBLES[request.param]
    running = trouble(settings, django_settings.MEDIA_ROOT)
    next(running)
    yield said
    next(running, None)


def body_of(answer: Any) -> str:
    """As text; what breaks off says why, in words of ours, and has not sent all."""
    try:
        return b"".join(answer).decode(errors="replace")
    except (StorageTrouble, RegistryError) as error:
        return str(error)


def troubles(*names: str) -> Any:
    return pytest.mark.parametrize("word", names, indirect=True)


@troubles("wrong keys", "damaged", "lost")
def test_every_page_and_route_says_it(word: str, world: World) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(world.people["admin"])
    asked, saying = 0, set()
    for route in ROUTES.values():
        answer = client.get(world.address(route), follow=True)
        said = body_of(answer)
        asked += 1
        assert answer.status_code != 500, route.name
        assert not any(raw in said for raw in RAW), route.name
        if answer.status_code == 503:
            assert word in said, (route.name, said)
        if word in said:
            saying.add(route.name)
    assert asked > 100
    assert {"annotation-api:image", "annotation:release-download"} <= saying


@troubles("not reached", "lost")
def test_every_operation_says_it(word: str, world: World) -> None:
    clients = logged_in(world)
    for client in clients.values():
        client.raise_request_exception = False
    for operation in operations():
        with transaction.atomic():
            prepare(world, operation)
            answer = send(clients, world, operation, right_body(world, operation))
            said = body_of(answer)
            transaction.set_rollback(True)
        assert answer.status_code != 500, operation.name
        assert not any(raw in said for raw in RAW), operation.name
        if answer.status_code == 503:
            assert word in said, (operation.name, said)


@pytest.mark.parametrize("page", [True, False], ids=["page", "REST"])
@troubles("the bucket is gone", "cut")
def test_what_is_sent_is_refused_in_words_or_ends_as_failed(
    word: str, world: World, page: bool
) -> None:
    """An upload that storage does not take; one that it took and lost; a release."""
    client = Client(raise_request_exception=False)
    client.force_login(world.people["admin"])
    before = set(ImportJob.objects.values_list("pk", flat=True))
    route = "annotation:imports" if page else "annotation-api:imports"
    record = b'{"id": "r", "image": "a.png"}\n'
    answer = client.post(
        reverse(route, args=[world.project.slug]),
        {"format": "prompts", "records": ContentFile(record, name="a.jsonl")},
        follow=True,
    )
    assert answer.status_code != 500
    made = ImportJob.objects.exclude(pk__in=before)
    if word in ("in storage", "missing from storage"):
        assert made.count() == 1  # The folder takes new files.
    else:
        assert word in body_of(answer) and not made.exists()
    tasks.build_release(world.rows["release"].pk)
    image = reverse("annotation-api:images", args=[world.project.slug])
    sent = client.post(image, picture_bytes(width=9), content_type="image/png")
    assert sent.status_code in (200, 201) or (sent.status_code == 503 and word in body_of(sent))
    assert not Release.objects.filter(error__contains="botocore").exists()
