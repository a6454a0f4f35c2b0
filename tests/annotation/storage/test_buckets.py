"""Buckets: a real S3 server, and servers that damage what they are given."""

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import httpx
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.urls import reverse
from moto.server import ThreadedMotoServer

from annotation import images, storage
from annotation.models import Image, ImportJob, Release
from annotation.releases.freezing import build, make_release, request_release
from annotation.storage import Damaged, StorageTrouble
from annotation.storage.bucket import BucketStorage
from tests.factories import (
    judge,
    make_comparison,
    make_member,
    make_project,
    make_token,
    picture_bytes,
)

pytestmark = pytest.mark.django_db

BUCKET = "factloop"
DATA = bytes(range(256)) * 40
SHA256 = hashlib.sha256(DATA).hexdigest()


class Objects(BaseHTTPRequestHandler):
    """S3 as far as storage needs it. It keeps bodies as they come: framing is content to it."""

    protocol_version = "HTTP/1.1"

    objects: dict[str, bytes]
    damage: Any = staticmethod(lambda name, body: body)
    copies = True
    lies = False
    """Whether the tag that it tells is of what it was sent, whatever it keeps."""
    sent: dict[str, bytes] = {}

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        source = self.headers.get("x-amz-copy-source")
        if source and self.copies:
            body = self.objects["/" + source]
        self.sent[self.path] = body
        self.objects[self.path] = self.damage(self.path, body)
        said = "<CopyObjectResult><ETag>x</ETag></CopyObjectResult>" if self.copies else ""
        self._answer(200, said.encode() if source else b"", ETag=self._tag())

    def do_GET(self) -> None:
        if self.path not in self.objects:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        body, headers, status = self.objects[self.path], {"ETag": self._tag()}, 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            start, end = int(asked[1]), int(asked[2] or len(body) - 1)
            headers["Content_Range"] = f"bytes {start}-{min(end, len(body) - 1)}/{len(body)}"
            body, status = body[start : end + 1], 206
        self._answer(status, body, **headers)

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        self.objects.pop(self.path, None)
        self._answer(204)

    def _tag(self) -> str:
        told = self.sent if self.lies else self.objects
        return f'"{hashlib.md5(told[self.path]).hexdigest()}"'


@contextmanager
def served(handler: type[Objects]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-a-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.fixture
def use(settings: Any) -> Any:
    """Makes a bucket at an address the storage of this process."""

    def use(address: str, bucket: str = BUCKET) -> None:
        backend = {
            "BACKEND": "annotation.storage.bucket.BucketStorage",
            "OPTIONS": {"bucket_name": bucket, "endpoint_url": address},
        }
        settings.STORAGES = settings.STORAGES | {"default": backend}

    return use


@pytest.fixture
def damaging(use: Any, request: pytest.FixtureRequest) -> Iterator[type[Objects]]:
    """A server whose class is returned, to be told what to do."""

    class Server(Objects):
        objects: dict[str, bytes] = {}

    with served(Server) as address:
        use(address)
        yield Server


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    httpx.post(f"http://{host}:{port}/moto-api/reset")  # Its buckets would outlast the server.
    server.stop()


def keep(name: str = "images/aa/name.png") -> str:
    return storage.keep(name, ContentFile(DATA), sha256=SHA256, size=len(DATA))


def test_a_real_server_keeps_it_whole_and_nothing_unfinished(moto: str, use: Any) -> None:
    boto3.client("s3", endpoint_url=moto).create_bucket(Bucket=BUCKET)
    use(moto)
    name = keep()
    with storage.opened(name, sha256=SHA256) as file:
        assert file.read() == DATA
    default_storage.save(name, ContentFile(DATA[:50]))
    with pytest.raises(Damaged, match="other content"):
        storage.opened(name, sha256=SHA256)
    with pytest.raises(Damaged, match="has 50 of 10,240 bytes"):
        storage.chunks(name, sha256=SHA256, size=len(DATA))
    keep()
    assert b"".join(storage.chunks(name, sha256=SHA256, size=len(DATA))) == DATA
    client = boto3.client("s3", endpoint_url=moto)
    assert [one["Key"] for one in client.list_objects(Bucket=BUCKET)["Contents"]] == [name]


@pytest.mark.parametrize("copies", [True, False])
def test_a_server_that_takes_bodies_as_they_come_keeps_no_framing(
    damaging: type[Objects], copies: bool
) -> None:
    damaging.copies = copies
    name = keep()
    assert damaging.objects == {f"/{BUCKET}/{name}": DATA}


def truncated(name: str, body: bytes) -> bytes:
    return body[: len(body) // 2]


def flipped(name: str, body: bytes) -> bytes:
    return bytes([body[0] ^ 1]) + body[1:] if body else body


def framed(name: str, body: bytes) -> bytes:
    return f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"


def emptied_copy(name: str, body: bytes) -> bytes:
    return body if ".unfinished" in name else b""


def flipped_copy(name: str, body: bytes) -> bytes:
    return body if ".unfinished" in name else flipped(name, body)


@pytest.mark.parametrize("lies", [False, True])
@pytest.mark.parametrize("damage", [truncated, flipped, framed, emptied_copy, flipped_copy])
def test_what_a_server_damages_is_refused_and_leaves_nothing(
    damaging: type[Objects], damage: Any, lies: bool
) -> None:
    damaging.damage, damaging.lies = staticmethod(damage), lies
    with pytest.raises(Damaged, match="in storage"):
        keep()
    assert damaging.objects == {}


@pytest.mark.parametrize("damage", [truncated, framed])
def test_no_upload_image_or_release_is_taken_for_stored(
    damaging: type[Objects], damage: Any, client: Any
) -> None:
    project = make_project(k=1)
    judge(make_comparison(project))
    release = request_release(project)
    before = set(damaging.objects)
    damaging.damage = staticmethod(damage)
    token = make_token(make_member(project, "manager"), "manage")
    headers = {"authorization": f"Bearer {token}"}
    address = reverse("annotation-api:images", args=[project.slug])
    count = Image.objects.count()
    answer = client.post(address, picture_bytes(), content_type="image/png", headers=headers)
    assert answer.status_code == 503
    assert "in storage" in answer.json()["detail"]
    assert Image.objects.count() == count
    build(release)
    assert release.state == Release.State.FAILED
    assert "in storage" in release.error
    address = reverse("annotation-api:imports", args=[project.slug])
    body = {"format": "prompts", "records": ContentFile(b"{}", name="a.jsonl")}
    assert client.post(address, body, headers=headers).status_code == 503
    assert not ImportJob.objects.exists()
    assert set(damaging.objects) == before


def test_a_release_in_a_bucket_that_is_damaged_later_is_said_not_sent(
    damaging: type[Objects],
) -> None:
    project = make_project(k=1)
    judge(make_comparison(project))
    release = make_release(project)
    [artefact] = [name for name in damaging.objects if "/releases/" in name]
    damaging.objects[artefact] = damaging.objects[artefact][:-10]
    from annotation import exporting

    with pytest.raises(Damaged):
        exporting.stream(release, "trl")
    image = images.store(picture_bytes())
    [path] = [name for name in damaging.objects if image.sha256 in name]
    damaging.objects[path] = b"\x89PNG"
    with pytest.raises(Damaged):
        images.opened(image)


class Refusing(BaseHTTPRequestHandler):
    """Answers everything with one status and one code."""

    protocol_version = "HTTP/1.1"

    status, code, text = 403, "AccessDenied", ""

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = (self.text or f"<Error><Code>{self.code}</Code></Error>").encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _refuse


@pytest.mark.parametrize(
    ("status", "code", "setting"),
    [
        (403, "AccessDenied", "AWS_ACCESS_KEY_ID"),
        (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        (404, "NoSuchBucket", "S3_BUCKET"),
        (400, "AuthorizationHeaderMalformed", "AWS_DEFAULT_REGION"),
        (400, "ExpiredToken", "AWS_SESSION_TOKEN"),
        (503, "SlowDown", "too much to do"),
        (507, "XMinioStorageFull", "is full"),
        (418, "Teapot", "S3_ENDPOINT_URL"),
        (200, "", "S3_ENDPOINT_URL"),
    ],
)
def test_what_a_server_refuses_is_said_with_the_setting(
    use: Any, status: int, code: str, setting: str
) -> None:
    class Server(Refusing):
        pass

    Server.status, Server.code = status, code
    Server.text = "<!doctype html><p>a console" if status == 200 else ""
    with served(Server) as address:  # type: ignore[arg-type]
        use(address)
        with pytest.raises(StorageTrouble) as caught:
            default_storage.save("images/a.png", ContentFile(DATA))
    said(caught.value, setting)


def said(error: StorageTrouble, setting: str) -> None:
    assert setting in str(error)
    for raw in ("botocore", "ClientError", "Exception", "Error(", "PutObject", "An error occurred"):
        assert raw not in str(error)


@pytest.mark.parametrize(
    ("address", "bucket", "setting"),
    [
        ("http://127.0.0.1:1", BUCKET, "S3_ENDPOINT_URL"),
        ("http://no-such-host.invalid", BUCKET, "S3_ENDPOINT_URL"),
        ("nonsense", BUCKET, "S3_ENDPOINT_URL"),
        ("http://127.0.0.1:1", "no bucket/like_this", "S3_BUCKET"),
    ],
)
@pytest.mark.parametrize("act", ["save", "open", "exists", "size", "listdir", "delete"])
def test_a_server_that_is_not_reached_is_said_with_the_setting(
    use: Any, address: str, bucket: str, setting: str, act: str
) -> None:
    use(address, bucket)
    content = [ContentFile(DATA)] if act == "save" else []
    with pytest.raises(StorageTrouble) as caught:
        getattr(default_storage, act)("images/a.png", *content)
    said(caught.value, setting)


def test_a_server_that_says_nothing_is_not_waited_for_without_end(
    use: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    config = BucketStorage(bucket_name=BUCKET).client_config
    assert (config.connect_timeout, config.read_timeout) == (5, settings.S3_TIMEOUT_SECONDS)
    assert config.retries["total_max_attempts"] == 3
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert BucketStorage(bucket_name=BUCKET).client_config.retries is None
    settings.S3_TIMEOUT_SECONDS = 0.2
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use(f"http://127.0.0.1:{silent.getsockname()[1]}")
        for act, content in (("save", [ContentFile(DATA)]), ("open", []), ("exists", [])):
            with pytest.raises(StorageTrouble) as caught:
                getattr(default_storage, act)("images/a.png", *content)
            said(caught.value, "S3_TIMEOUT_SECONDS")


def test_checksums_are_sent_only_where_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    config = BucketStorage(bucket_name=BUCKET).client_config
    assert config.request_checksum_calculation == "when_required"
    assert config.response_checksum_validation == "when_required"
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
    config = BucketStorage(bucket_name=BUCKET).client_config
    assert config.request_checksum_calculation == "when_supported"


def test_without_keys_the_setting_is_named(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    use("http://127.0.0.1:1")
    assert storages["default"] is not None
    with pytest.raises(StorageTrouble, match="AWS_ACCESS_KEY_ID"):
        default_storage.save("images/a.png", ContentFile(DATA))
