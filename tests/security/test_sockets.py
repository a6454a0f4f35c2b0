"""The server asks no address that a person enters: sockets are watched while addresses are sent.

Other platforms fetched images from addresses in records (Label Studio, CVE-2023-47116; CVAT,
CVE-2022-31188). Here an image is the name of a file, and the two things that are fetched have their
address from an administrator: judges, and the hub of base models.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.core.files.base import ContentFile
from django.db import transaction

from annotation import jobs
from annotation.models import ImportJob
from tests.security.addresses import ADDRESSES, watched_hosts
from tests.security.operations import (
    JSON,
    logged_in,
    operations,
    prepare,
    resolved,
    right_body,
    send,
)
from tests.security.world import World
from training.checkpoints import base_imports
from training.checkpoints.bases import BaseRefused


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return watched_hosts(monkeypatch)


def with_address(schema: dict[str, Any], body: Any, addresses: Iterator[str]) -> Iterator[Any]:
    """``body`` with an address in place of one text that it has or may have, each in turn."""
    schema = resolved(schema)
    if isinstance(body, str):
        yield next(addresses)
    elif isinstance(body, list):
        for at, one in enumerate(body):
            for other in with_address(schema.get("items", {}), one, addresses):
                yield [*body[:at], other, *body[at + 1 :]]
    elif isinstance(body, dict):
        declared = schema.get("properties", {})
        optional = {name: "" for name, one in declared.items() if one.get("type") == "string"}
        for name, one in {**optional, **body}.items():
            for other in with_address(declared.get(name, {}), one, addresses):
                yield {**body, name: other}


def test_the_watch_sees_who_asks(asked: list[str]) -> None:
    for address in ("http://elsewhere.example/", "http://127.0.0.1:9/"):
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)
    assert asked == ["elsewhere.example", "127.0.0.1"]


def test_no_operation_asks_an_address_that_it_is_sent(world: World, asked: list[str]) -> None:
    addresses, statuses, clients = itertools.cycle(ADDRESSES), [], logged_in(world)
    for operation in operations():
        if operation.content_type != JSON:
            continue  # Its files are read by a worker, below.
        with transaction.atomic():
            prepare(world, operation)
            body = right_body(world, operation)
            for sent in with_address(operation.schema, body, addresses):
                with transaction.atomic():
                    answer = send(clients, world, operation, sent)
                    transaction.set_rollback(True)
                statuses.append(answer.status_code)
            transaction.set_rollback(True)
    assert len([one for one in statuses if one < 300]) > 10, "some of them are stored"
    assert max(statuses) < 500
    assert asked == []


def test_an_import_asks_no_address_of_its_records(world: World, asked: list[str]) -> None:
    """Lines with the members of every format: an image is an address wherever it stands."""
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."}]
    line = {"conversations": turns, "question_type": "attribute"}
    line |= {"output_1": turns[1], "output_2": {"from": "gpt", "value": "A dog."}}
    line |= {"chosen": "A cat.", "rejected": "A dog.", "model_answer": "A cat."}
    line |= {"image_content": ["cat"], "gt_answer": "A cat."}
    line["question"] = "What?"
    members = ("id", "image", "image_src")
    for format in ImportJob.Format.values:
        line["conversations"] = turns[:1] if format == ImportJob.Format.LLAVA_RLHF else turns
        lines = [json.dumps({**line, **dict.fromkeys(members, one)}) for one in ADDRESSES]
        file = ContentFile("\n".join(lines).encode(), "new.jsonl")
        two = {"second_records": file} if format in ImportJob.TWO_FILES else {}
        asking = {"project": world.project, "created_by": world.people["admin"]}
        job = ImportJob.objects.create(
            **asking, name="one, two", format=format, records=file, **two
        )
        jobs.run_import(job.pk)
        job.refresh_from_db()
        assert {one["field"] for one in job.problems} == {"image"}, (format, job.problems)
    assert asked == []


@pytest.mark.parametrize("source", ["169.254.169.254/latest", "elsewhere.example/model", "a/.."])
def test_of_a_base_model_the_hub_alone_is_asked(
    world: World, asked: list[str], settings: Any, source: str
) -> None:
    row = base_imports.request_import(world.people["admin"], name="new", source=source, copy=True)
    base_imports.run_import(row.pk)
    row.refresh_from_db()
    assert row.state == "failed"
    assert set(asked) <= {urlsplit(settings.HUB_ENDPOINT).hostname}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_no_source_of_a_base_model(address: str) -> None:
    with pytest.raises(BaseRefused):
        base_imports.check_source(address)
