"""The client against a live server, and against a network that breaks."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from annotation import exporting, jobs
from annotation.models import Comparison, ImportJob, Project, Release
from config import wakeup
from factloop import Client, FactLoopError
from tests.annotation.importing.test_one_import import record
from tests.annotation.test_jobs import uploads
from tests.factories import (
    judge,
    make_comparison,
    make_image,
    make_member,
    make_project,
    make_token,
    picture_bytes,
)

pytestmark = pytest.mark.django_db(transaction=True)
SEPARATOR = "\u2028"


class Breaking(httpx.BaseTransport):
    """Passes requests on, but for the faults it was given, one for each request in turn."""

    def __init__(self, *faults: Any) -> None:
        self.faults = list(faults)
        self.inner = httpx.HTTPTransport()
        self.sent: list[httpx.Request] = []

    def close(self) -> None:
        self.inner.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        fault = self.faults.pop(0) if self.faults else None
        if fault is None:
            return self.inner.handle_request(request)
        if isinstance(fault, httpx.Response):
            return fault
        if isinstance(fault, int):
            whole = self.inner.handle_request(request)
            whole.read()
            whole.close()
            return httpx.Response(whole.status_code, stream=Cut(whole.content[:fault]))
        raise fault


class Cut(httpx.SyncByteStream):
    """The beginning of a body, after which the connection is gone."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __iter__(self) -> Iterator[bytes]:
        yield self.data
        raise httpx.ReadError("gone")


Connect = Callable[..., Client]


@pytest.fixture
def project() -> Project:
    return make_project(k=1)


@pytest.fixture
def connect(project: Project, live_server: Any) -> Iterator[Connect]:
    """A client of the project's manager, over a network with the faults given."""
    token = make_token(make_member(project, "manager"))
    opened: list[Client] = []

    def client(*faults: Any, attempts: int = 3) -> Client:
        transport = Breaking(*faults)
        opened.append(
            Client(
                live_server.url, token, transport=transport, backoff_seconds=0, attempts=attempts
            )
        )
        return opened[-1]

    yield client
    for one in opened:
        one.close()


@pytest.fixture
def release(project: Project) -> Release:
    for number in range(4):
        text = f"A red circle.{SEPARATOR}And {number} more."
        judge(make_comparison(project, response_1=text), "12"[number % 2])
    return exporting.make_release(project)


def expected(release: Release, format: str = "llava_rlhf") -> list[Any]:
    return [
        json.loads(line) for line in b"".join(exporting.stream(release, format)).split(b"\n")[:-1]
    ]


def test_records_come_as_they_are_in_the_release(connect: Connect, release: Release) -> None:
    found = list(connect().release(release.pk).records())
    assert found == expected(release)
    assert any(SEPARATOR in one["output_1"]["value"] for one in found)
    votes = list(connect().release(release.pk).records("votes"))
    assert votes == expected(release, "votes")
    parts = [
        list(connect().release(release.pk).records(split=part)) for part in ("train", "held_out")
    ]
    assert len(parts[0]) + len(parts[1]) == 4


def test_a_broken_stream_goes_on_where_it_stood(connect: Connect, release: Release) -> None:
    whole = b"".join(exporting.stream(release, "llava_rlhf"))
    middle = len(whole) // 2
    client = connect(None, middle, httpx.ConnectError("refused"))
    assert list(client.release(release.pk).records()) == expected(release)
    hopeless = connect(None, middle, middle, middle)
    with pytest.raises(httpx.ReadError):
        list(hopeless.release(release.pk).records())


def test_a_stream_that_ends_early_without_a_word_is_noticed(
    connect: Connect, release: Release
) -> None:
    lines = b"".join(exporting.stream(release, "llava_rlhf")).splitlines(keepends=True)
    short = httpx.Response(200, content=lines[0])
    torn = httpx.Response(200, content=lines[0] + lines[1][:20])
    client = connect(None, short, torn)
    assert list(client.release(release.pk).records()) == expected(release)


def test_a_busy_server_is_asked_again_and_a_refusal_is_not(
    connect: Connect, release: Release
) -> None:
    busy = httpx.Response(503, headers={"Retry-After": "0"})
    assert connect(busy, busy).release(release.pk).about()["number"] == 1
    with pytest.raises(FactLoopError) as refused:
        connect().release(10**6).about()
    assert (refused.value.status, refused.value.title) == (404, "Not found")
    with pytest.raises(FactLoopError, match="503"):
        connect(busy, busy, busy).release(release.pk).about()


def test_lists_are_read_page_after_page(connect: Connect, project: Project) -> None:
    for _ in range(5):
        make_comparison(project)
    client = connect()
    found = list(client.pages(f"projects/{project.slug}/comparisons", page_size=2))
    assert [one["id"] for one in found] == sorted(Comparison.objects.values_list("pk", flat=True))
    waiting = client.project(project.slug).comparisons(outcome="waiting")
    assert len(list(waiting)) == 5
    changed = client.project(project.slug).change_comparisons("retire", outcome="waiting")
    assert changed == {"changed": 5, "left": {}}
    assert [one["slug"] for one in client.projects()] == [project.slug]


def test_what_is_created_is_created_once_though_the_answer_was_lost(
    connect: Connect, project: Project
) -> None:
    judge(make_comparison(project))
    client = connect(10)  # The server has done it, and the answer breaks off.
    made = client.project(project.slug).make_release(seed=3)
    assert Release.objects.get().pk == made.id
    keys = {request.headers["Idempotency-Key"] for request in client._http._transport.sent}
    assert len(keys) == 1


def test_comparisons_are_sent_in_portions(
    connect: Connect, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factloop.MOST_RECORDS", 2)
    client = connect()
    mine = client.project(project.slug)
    sha256 = mine.upload_image(picture_bytes())
    assert mine.add_comparisons(record(number, image=sha256) for number in range(3)) == 3
    assert mine.add_comparisons([record(0, image=sha256)]) == 0
    assert Comparison.objects.count() == 3
    assert mine.quality()["annotators"] == []
    with pytest.raises(FactLoopError) as refused:
        mine.add_comparisons([{"id": "x"}])
    assert refused.value.errors[0]["line"] == 1


def test_files_are_imported_and_waited_for(
    connect: Connect, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup, "announce_aside", lambda task, ids: jobs.run_import(*ids))
    files = uploads(record(1), images={"a.png": picture_bytes()})
    paths = {}
    for name in ("records", "images"):
        paths[name] = tmp_path / name
        paths[name].write_bytes(files[name].read())
    mine = connect(httpx.ConnectError("refused")).project(project.slug)
    done = mine.import_files("llava_rlhf", paths["records"], images=paths["images"])
    assert (done["state"], done["created_count"]) == ("succeeded", 1)
    assert ImportJob.objects.count() == 1
    with pytest.raises(FactLoopError) as refused:
        mine.import_files("rlhf_v", paths["records"])
    assert refused.value.errors[0]["field"] == "image"  # RLHF-V has its pictures inside.


def test_a_folder_is_saved_whole_or_not_at_all(
    connect: Connect, release: Release, tmp_path: Path
) -> None:
    target = connect(200).release(release.pk).save(tmp_path / "release.zip")
    names = zipfile.ZipFile(io.BytesIO(target.read_bytes())).namelist()
    assert {"README.md", "train/metadata.jsonl"} <= set(names)
    with pytest.raises(httpx.ReadError):
        connect(200, 200, 200).release(release.pk).save(tmp_path / "other.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["release.zip"]


def test_the_owner_of_an_unknown_token_learns_it_at_once(live_server: Any) -> None:
    make_image()
    client = Client(live_server.url, "fl_unknown", attempts=1)
    with client, pytest.raises(FactLoopError, match="401"):
        list(client.projects())
