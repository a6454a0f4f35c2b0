"""Whatever stands at whatever place of a record, an import ends at once, and says why in words."""

from __future__ import annotations

import copy
import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from annotation import jobs
from annotation.importing.formats import read
from annotation.importing.record_files import ImportRefused
from annotation.models import Comparison, ImportJob, Prompt
from config import poison_jobs
from tests.annotation.importing.test_foreign_records import ROW
from tests.annotation.importing.test_records import PAIR
from tests.factories import make_admin, make_project, picture_bytes

pytestmark = pytest.mark.django_db

LABELLED = {
    **PAIR,
    "preference": 1,
    "hallucination": True,
    "margin": 0.5,
    "votes": {"1": 1, "2": 3},
    "captions": ["A cat."],
    "caption_type": 2,
    "length_bonus": 1.5,
}
RECORDS: dict[str, dict[str, Any]] = {
    "llava_rlhf": LABELLED,
    "rlhf_v": ROW,
    "prompts": {name: LABELLED[name] for name in ("id", "image", "conversations", "captions")},
    "llava": {
        "id": "c1",
        "image": "a.png",
        "model": "llava",
        "conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A cat."}],
    },
}
BAD: list[Any] = [
    "a\0b", "\ud800", "a\udfff", "\U0010ffff", "x" * 120_000, "", " \u200b",
    -(10**18), 10**18, -1, 1e308, True, None, [], {}, [[]], {"a\0": 1}, {"\ud800": {}},
]  # fmt: skip


def places(value: Any, *before: Any) -> Iterator[tuple[Any, ...]]:
    """Of every member and element, at whatever depth."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for name, one in inner:
        yield (*before, name)
        if isinstance(one, dict | list):
            yield from places(one, *before, name)


def with_bad(record: Any, place: tuple[Any, ...], bad: Any) -> Any:
    changed = copy.deepcopy(record)
    inner = changed
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = bad
    return changed


def spoilt(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The record with each bad value at each of its places, under names of its own."""
    number = 0
    for place in places(record):
        for bad in BAD:
            number += 1
            named = {"idx": number} if "idx" in record else {"id": f"r{number}"}
            yield with_bad({**record, **named}, place, bad)
    for bad in BAD:
        if isinstance(bad, str):
            yield {**record, "id": "member", bad: bad}


def carried_out(format: str, records: bytes, **fields: Any) -> ImportJob:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.png", picture_bytes())
    job = jobs.request_import(
        make_project(),
        make_admin(),
        format=format,
        records=ContentFile(records, name="r.jsonl"),
        images=ContentFile(packed.getvalue(), name="i.zip"),
        **{"name": "r.jsonl", "leave_out_unusable": True, "skip_missing_images": True, **fields},
    )
    jobs.run_import(job.pk)
    job.refresh_from_db()
    return job


def taken(format: str, lines: list[bytes]) -> list[bytes]:
    """Those that are records by themselves, one of each id."""
    by_id: dict[str, bytes] = {}
    for line in lines:
        with suppress(ImportRefused):
            [record] = read(format, io.BytesIO(line), names=("", ""))
            by_id.setdefault(record.id, line)
    return list(by_id.values())


@pytest.mark.parametrize("format", RECORDS)
def test_a_bad_value_at_any_place_is_said_or_kept(format: str) -> None:
    good = RECORDS[format]
    lines = [json.dumps(one).encode() for one in [good, *spoilt(good)]]
    refused = carried_out(format, b"\n".join(lines))
    assert (refused.state, refused.attempts) == ("failed", 1)
    assert all(problem["line"] for problem in refused.problems)
    kept = carried_out(format, b"\n".join(taken(format, lines)))
    assert kept.problems == []
    assert (kept.state, kept.attempts) == ("succeeded", 1)
    stored = Comparison if format in ("llava_rlhf", "rlhf_v") else Prompt
    assert len(lines) > stored.objects.count() == kept.created_count > 10


@pytest.mark.parametrize(
    "line",
    [
        b'{"id": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"id": ' + b"9" * 5000 + b"}",
        b'{"id": 1e999}',
        b'{"id": NaN}',
        b"\xff\xfe{}",
        b"\0",
        b'{"id": "a", "id": "b"}',
    ],
    ids=lambda line: ascii(line[:20]),
)
@pytest.mark.parametrize("leave_out", [True, False])
def test_a_line_that_nobody_can_read_is_refused_once(line: bytes, leave_out: bool) -> None:
    job = carried_out("llava_rlhf", line, leave_out_unusable=leave_out)
    assert (job.state, job.attempts) == ("failed", 1)
    assert job.problems and poison_jobs.FAULT not in json.dumps(job.problems)


NAMES = [b"\xff.jsonl", b"a\xed\xa0\x80.jsonl", b"caf\xe9.jsonl", b"a" * 300 + b".jsonl", b"a\0b"]
ANSWER = {
    "question": "What is shown?",
    "image_src": "https://example.org/a.png",
    "model_answer": "A red circle.",
    "gt_answer": "A red circle.",
}


def uploaded(client: Client, address: str, name: bytes) -> Any:
    """Two answer files and a zip under one name, of whatever bytes; their names name the models."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.png", picture_bytes())
    parts = {
        b"records": json.dumps(ANSWER).encode(),
        b"second_records": json.dumps({**ANSWER, "model_answer": "A blue one."}).encode(),
        b"images": packed.getvalue(),
    }
    body = b'--b\r\nContent-Disposition: form-data; name="format"\r\n\r\nmmhal\r\n'
    for part, data in parts.items():
        body += b'--b\r\nContent-Disposition: form-data; name="%s"; filename="' % part
        body += name + b'"\r\nContent-Type: text/plain\r\n\r\n' + data + b"\r\n"
    kind = "multipart/form-data; boundary=b"
    return client.post(address, body + b"--b--\r\n", content_type=kind)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("address", ["annotation:imports", "annotation-api:imports"])
def test_files_may_be_named_by_bytes_that_are_no_text(name: bytes, address: str) -> None:
    project = make_project()
    client = Client(raise_request_exception=False)
    client.force_login(make_admin())
    answer = uploaded(client, reverse(address, args=[project.slug]), name)
    if answer.status_code in (400, 422):
        assert not ImportJob.objects.exists()
        return
    assert answer.status_code in (201, 202, 302), answer.content[:2000]
    job = ImportJob.objects.get()
    jobs.run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.problems, job.created_count) == ("succeeded", [], 1)
    assert client.get(job.get_absolute_url()).status_code == 200
    assert Comparison.objects.get().model_1


def test_so_may_files_that_a_command_is_given(tmp_path: Path) -> None:
    project = make_project()
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    (odd / "a.png").write_bytes(picture_bytes())
    (odd / os.fsdecode(b"\xff.png")).write_bytes(picture_bytes())
    files = [odd / os.fsdecode(name) for name in (b"one\xe9.jsonl", b"two\xff.jsonl")]
    for file, said in zip(files, ("A red circle.", "A blue one."), strict=True):
        file.write_text(json.dumps({**ANSWER, "model_answer": said}))
    call_command("import_comparisons", project.slug, *map(str, files), images=odd)
    assert Comparison.objects.get().model_1 == "one\ufffd"
