"""Importing base models from a page: from a folder, from a hub, and what is refused."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.models import User
from config import wakeup
from tests.announcing import keep_announcements
from tests.factories import make_admin, make_user
from tests.training.checkpoints.test_bases import make_base_folder, write
from tests.training.test_views import logged_in
from training.checkpoints import base_imports, base_trial
from training.checkpoints.bases import BaseRefused
from training.models import BaseImport, Checkpoint

pytestmark = pytest.mark.django_db
REVISION = "a" * 40


@pytest.fixture
def models(settings: Any, tmp_path: Path) -> Path:
    """The folder from which bases may be imported."""
    settings.BASE_MODEL_FOLDERS = [str(tmp_path / "models")]
    settings.RUNS_ROOT = tmp_path / "runs"
    return tmp_path / "models"


@pytest.fixture(autouse=True)
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bases here are no models; what the engine says of real ones is in test_base_trial."""
    monkeypatch.setattr(base_trial, "try_base", lambda folder, size: "not tried")


@pytest.fixture
def admin() -> User:
    return make_admin()


def ask(admin: User, **fields: Any) -> BaseImport:
    asked = {"name": "tiny", "copy": True, **fields}
    return base_imports.request_import(admin, **asked)


def carry_out(row: BaseImport) -> BaseImport:
    base_imports.run_import(row.pk)
    row.refresh_from_db()
    return row


def test_a_folder_is_asked_for_on_a_page_checked_and_copied(models: Path, admin: User) -> None:
    folder = make_base_folder(models / "tiny")
    client = logged_in(admin)
    form = {"name": "tiny", "source": str(folder), "copy": "on"}
    answer = client.post(reverse("training:base-import-new"), form)
    row = BaseImport.objects.get()
    assert answer.url == row.get_absolute_url()
    assert "Waits for a worker" in client.get(answer.url).content.decode()
    carry_out(row)
    assert (row.state, row.family, row.tensors) == ("succeeded", "llava", 2)
    assert row.done == row.total > 0
    made = Checkpoint.objects.get()
    assert (row.checkpoint, made.kind, made.name, made.source) == (made, "base", "tiny", "")
    assert {file["name"] for file in made.files} == {path.name for path in folder.iterdir()}
    page = client.get(answer.url).content.decode()
    assert made.get_absolute_url() in page
    assert "hx-trigger" not in page


def test_a_folder_may_be_opened_where_it_is(models: Path, admin: User) -> None:
    folder = make_base_folder(models / "tiny")
    row = carry_out(ask(admin, source=str(folder), copy=False))
    assert row.checkpoint is not None
    assert (row.checkpoint.source, row.checkpoint.files) == (str(folder), [])


def test_what_is_wrong_with_it_stands_on_the_page(models: Path, admin: User) -> None:
    folder = make_base_folder(models / "tiny")
    write(folder, "config.json", {"model_type": "<b>llama"})
    row = carry_out(ask(admin, source=str(folder)))
    assert row.state == "failed"
    page = logged_in(admin).get(row.get_absolute_url()).content.decode()
    assert "&lt;b&gt;llama, which sees no images" in page
    assert not Checkpoint.objects.exists()


def test_folders_elsewhere_and_links_to_them_are_refused(
    models: Path, admin: User, tmp_path: Path
) -> None:
    outside = make_base_folder(tmp_path / "outside")
    models.mkdir()
    (models / "link").symlink_to(outside)
    client = logged_in(admin)
    for source in (outside, models / "link", models / ".." / "outside", "/etc", "x", "a/b/c"):
        form = {"name": "tiny", "source": str(source), "copy": "on"}
        answer = client.post(reverse("training:base-import-new"), form)
        assert answer.status_code == 422
        assert "BASE_MODEL_FOLDERS" in answer.content.decode()
        # A worker looks again: it may see other folders than the web.
        row = carry_out(ask(admin, source=str(source)))
        assert row.state == "failed"
    assert not Checkpoint.objects.exists()


def test_a_name_is_taken_once(models: Path, admin: User) -> None:
    folder = make_base_folder(models / "tiny")
    carry_out(ask(admin, source=str(folder)))
    form = {"name": "tiny", "source": str(folder)}
    answer = logged_in(admin).post(reverse("training:base-import-new"), form)
    assert "registered already" in answer.content.decode()


def test_pages_are_for_administrators_of_the_site(models: Path, admin: User) -> None:
    row = ask(admin, source="org/tiny")
    client = logged_in(make_user())
    for address in (reverse("training:base-import-new"), row.get_absolute_url()):
        assert client.get(address).status_code == 403
    assert client.post(reverse("training:base-import-new")).status_code == 403


def test_an_import_is_carried_out_once(models: Path, admin: User) -> None:
    row = carry_out(ask(admin, source=str(make_base_folder(models / "tiny"))))
    finished = row.finished_at
    assert carry_out(row).finished_at == finished
    assert Checkpoint.objects.count() == 1


def test_an_import_whose_worker_vanished_begins_anew(
    models: Path, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = keep_announcements(monkeypatch)
    silent, busy, fresh = (ask(admin, source="org/tiny") for _ in range(3))
    now = timezone.now()
    rows = BaseImport.objects.filter(pk__in=[silent.pk, busy.pk])
    rows.update(state="running", touched_at=now, created_at=now - timedelta(hours=2))
    BaseImport.objects.filter(pk=silent.pk).update(touched_at=now - timedelta(hours=1))
    monkeypatch.setattr(wakeup, "is_empty", lambda queue: queue != "cpu")
    base_imports.announce_forgotten()
    assert woken == []  # Messages wait there: no worker has taken them.
    monkeypatch.setattr(wakeup, "is_empty", lambda queue: queue == "cpu")
    base_imports.announce_forgotten()
    assert woken == [(base_imports.TASK, silent.pk)]
    fresh.refresh_from_db()
    assert fresh.state == "queued"


# --- From a hub --------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """The two addresses of a model hub that are needed: what a model has, and a file of it."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/org/tiny"):
            files = [
                {"rfilename": one.name, "size": one.stat().st_size} for one in self.folder.iterdir()
            ]
            described = {"id": "org/tiny", "sha": REVISION, "siblings": files}
            self._send(json.dumps(described).encode(), "application/json", body=body)
        elif path.startswith(f"/org/tiny/resolve/{REVISION}/"):
            name = path.rpartition("/")[2]
            if body:
                self.asked.append(name)
            self._send((self.folder / name).read_bytes(), "application/octet-stream", body=body)
        else:
            self.send_error(404)

    def _send(self, content: bytes, kind: str, *, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hash(content):x}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """The tests have enough to say."""


@pytest.fixture
def hub(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub with one model, which also has what is never fetched."""
    pytest.importorskip("huggingface_hub")
    folder = make_base_folder(tmp_path / "hub")
    (folder / "pytorch_model.bin").write_bytes(b"\x80")
    (folder / "modeling.py").write_text("raise SystemExit")
    handler = type("OneHub", (Hub,), {"folder": folder, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings.HUB_ENDPOINT = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_of_a_hub_is_fetched_without_what_could_carry_code(
    models: Path, admin: User, hub: type[Hub]
) -> None:
    row = carry_out(ask(admin, source="org/tiny"))
    assert (row.state, row.error, row.revision) == ("succeeded", "", REVISION)
    assert row.checkpoint is not None
    names = {file["name"] for file in row.checkpoint.files}
    assert names == {"config.json", "model.safetensors", "preprocessor_config.json"} | {
        "chat_template.jinja",
        "tokenizer.json",
    }
    assert not {"pytorch_model.bin", "modeling.py"} & set(hub.asked)
    assert not list((models.parent / "runs").iterdir())


def test_a_model_that_stays_on_the_hub_is_looked_at_all_the_same(
    models: Path, admin: User, hub: type[Hub]
) -> None:
    row = carry_out(ask(admin, source="org/tiny", copy=False))
    assert row.checkpoint is not None
    assert row.checkpoint.source == "org/tiny"
    assert set(hub.asked) == {"config.json"}
    write(hub.folder, "config.json", {"model_type": "llama"})
    refused = carry_out(ask(admin, name="other", source="org/tiny", copy=False))
    assert "sees no images" in refused.error


def test_a_hub_that_knows_no_such_model_is_a_clear_failure(
    models: Path, admin: User, hub: type[Hub]
) -> None:
    row = carry_out(ask(admin, source="org/other"))
    assert row.state == "failed"
    assert "the hub gave no answer about org/other" in row.error


def test_a_hub_that_cannot_be_reached_is_a_clear_failure(
    models: Path, admin: User, settings: Any
) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # nobody listens
        settings.HUB_ENDPOINT = f"http://127.0.0.1:{bound.getsockname()[1]}"
        row = carry_out(ask(admin, source="org/tiny"))
    assert row.state == "failed"
    assert "the hub gave no answer about org/tiny" in row.error


@pytest.mark.django_db(transaction=True)
def test_a_fetch_that_takes_long_says_meanwhile_that_its_worker_lives(
    models: Path, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ask(admin, source="org/tiny")
    beats: list[Any] = []

    def slow(row: BaseImport) -> Checkpoint:
        deadline = time.monotonic() + 60
        while len(set(beats)) < 3 and time.monotonic() < deadline:
            beats.append(BaseImport.objects.get(pk=row.pk).touched_at)
        raise BaseRefused("enough")

    monkeypatch.setattr("config.heartbeats.BEAT_SECONDS", 0.01)
    monkeypatch.setattr("training.checkpoints.base_imports._import", slow)
    assert carry_out(row).error == "enough"
    assert len(set(beats)) == 3
    assert beats == sorted(beats)
