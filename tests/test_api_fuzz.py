"""Requests made from the API's own schema, right and wrong: never an error of the server.

API_FUZZ_CASES says how many in all (by default a few for each operation); half keep to the schema
and half break it. What a request changed is taken back before the next.
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from django.db import transaction
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from annotation import queue
from annotation.models import Project
from tests.factories import judge, make_admin, make_comparison, make_comparisons, make_project

CASES = int(os.environ.get("API_FUZZ_CASES", "300"))


@pytest.fixture
def project(db: Any) -> Project:
    project = make_project()
    judge(make_comparison(project))
    make_comparisons(project, 3)
    return project


def test_no_request_is_an_error_of_the_server(project: Project) -> None:
    admin = make_admin()
    lease = queue.claim(project, admin)
    assert lease is not None
    client = Client(raise_request_exception=False)
    client.force_login(admin)
    known = {"slug": [project.slug], "token": [str(lease.token)], "pk": [1, 2, project.pk]}
    described = SchemaGenerator().get_schema(request=None, public=True)
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(described, default=str)))
    operations = [result.ok() for result in schema.get_all_operations()]
    sent = 0
    for operation in operations:
        for mode in GenerationMode:
            sent += _try(client, operation.as_strategy(generation_mode=mode), known, operations)
    assert sent >= CASES // 2


def _try(client: Client, strategy: Any, known: dict[str, list[Any]], operations: list[Any]) -> int:
    sent = []

    @settings(
        max_examples=max(1, CASES // (2 * len(operations))),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy, st.data())
    def one(case: Case, data: st.DataObject) -> None:
        # Most made-up names lead nowhere: three of four requests are about things that are there.
        for name, values in known.items():
            if name in case.path_parameters and data.draw(st.integers(0, 3)):
                case.path_parameters[name] = data.draw(st.sampled_from(values))
        with transaction.atomic():
            answer = _send(client, case)
            transaction.set_rollback(True)
        sent.append(answer.status_code)
        assert answer.status_code < 500, (case.method, case.formatted_path, case.query, case.body)

    one()
    return len(sent)


def _send(client: Client, case: Case) -> Any:
    body = b""
    if isinstance(case.body, bytes):
        body = case.body
    elif isinstance(case.body, dict | list | str | int | float | bool) or case.body is None:
        body = json.dumps(case.body, default=str).encode()
    query = urlencode(case.query or {}, doseq=True)
    return client.generic(
        case.method,
        case.formatted_path,
        body if case.method not in ("GET", "HEAD") else b"",
        content_type=case.media_type or "application/json",
        QUERY_STRING=query,
    )
