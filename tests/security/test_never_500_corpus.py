"""Some thousand requests with what no row, form or pattern expects: none is an error of the server.

Each member of each body that the REST API describes holds each bad value once, in a body that is
right but for it; each address, of pages too, is asked with each bad value in all that it may be
asked with. What hypothesis finds beside that is in ``tests/test_api_fuzz.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.security.operations import (
    JSON,
    OWN,
    Operation,
    operations,
    prepare,
    resolved,
    right_body,
)
from tests.security.world import ROUTES, Route, World, make_world

FEWEST = 4_000
PARTS = 8

VALUES = {
    "nothing": "null",
    "true": "true",
    "no number": "NaN",
    "beyond all numbers": "1e400",
    "300 digits": "9" * 300,
    "30 digits": "1" + "0" * 30,
    "2 to the 63": str(2**63),
    "below nothing": "-1",
    "a fraction": "0.5",
    "an empty text": '""',
    "NUL": '"a\\u0000b"',
    "half a character": '"\\ud800"',
    "the other direction": '"\\u202e\\u0661"',
    "a long text": json.dumps("x" * 70_000),
    "300 digits in a text": json.dumps("9" * 300),
    "an address": '"//elsewhere.example/%00/../"',
    "an empty list": "[]",
    "lists in lists": "[[[[1]]]]",
    "a list of anything": '[null, -1, "\\u0000", {}]',
    "an object": '{"a": {"b": [1e308]}}',
}
"""As they stand in JSON."""
ASKED = ["\0", "\ud800", "9" * 300, "-1", "1e400", "x" * 5_000, "[[1]]", "%", "\u0661", "cD0A", ""]
"""In addresses."""
PARAMETERS = [
    *(
        "source",
        "kind",
        "project",
        "state",
        "cursor",
        "p",
        "page",
        "page_size",
        "q",
        "order",
        "all",
    ),
    *("after", "before", "change", "answered", "next", "outcome", "person", "model", "category"),
    *("judge", "protocol", "against", "step", "name", "format", "version", "seed", "theme", "e"),
    *("sort", "grouped", "tag", "archived", "group", "run", "baseline", "choose", "back"),
]

Place = tuple[str | int, ...]
Case = tuple[Operation, Place, str]


def places(schema: dict[str, Any], place: Place = ()) -> Iterator[Place]:
    """Every member, those of members too, as the way to it; of a list its first one."""
    schema = resolved(schema)
    if place:
        yield place
    if schema.get("type") == "array":
        yield from places(schema["items"], (*place, 0))
    for name, inner in schema.get("properties", {}).items():
        yield from places(inner, (*place, name))


@cache
def bodies() -> list[Case]:
    found = [
        (operation, place, value)
        for operation in operations()
        if operation.content_type == JSON and operation.schema
        for place in places(operation.schema)
        for value in VALUES
    ]
    return found


def addresses() -> list[tuple[Route, str]]:
    return [(route, asked) for route in ROUTES.values() for asked in ASKED]


def test_there_are_enough_of_them() -> None:
    assert len(bodies()) + len(addresses()) >= FEWEST


def put(body: Any, place: Place, mark: str) -> Any:
    """The body with ``mark`` at the place, which is made where it is not there."""
    if not place:
        return mark
    first, *rest = place
    if first == 0:
        held = body if isinstance(body, list) and body else [None]
        return [put(held[0], tuple(rest), mark), *held[1:]]
    body = body if isinstance(body, dict) else {}
    return {**body, first: put(body.get(first), tuple(rest), mark)}


def asking(world: World) -> dict[bool, Client]:
    """By whether it is the annotator's own."""
    clients = {}
    for own in (True, False):
        clients[own] = Client(raise_request_exception=False)
        clients[own].force_login(world.people["annotator" if own else "admin"])
    return clients


def read(answer: Any) -> None:
    """To its end, which closes the file that it comes from."""
    if answer.streaming:
        b"".join(answer.streaming_content)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.django_db
def test_a_bad_value_in_a_body_is_no_error_of_the_server(part: int) -> None:
    world = make_world()
    clients, errors = asking(world), []
    for operation, place, value in bodies()[part::PARTS]:
        with transaction.atomic():
            prepare(world, operation)
            body = put(right_body(world, operation), place, "@the value@")
            text = json.dumps(body, default=str).replace('"@the value@"', VALUES[value])
            own = operation.route.name.partition(":")[2] in OWN
            ask = getattr(clients[own], operation.method)
            answer = ask(world.address(operation.route), text, content_type=JSON)
            read(answer)
            if answer.status_code >= 500:
                errors.append((operation.name, place, value, answer.status_code))
            transaction.set_rollback(True)
    assert errors == []


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.django_db
def test_a_bad_value_in_an_address_is_no_error_of_the_server(part: int) -> None:
    world = make_world()
    client, errors = asking(world)[False], []
    for route, asked in addresses()[part::PARTS]:
        said = quote(asked, safe="", errors="surrogatepass")
        address = f"{world.address(route)}?" + "&".join(f"{name}={said}" for name in PARAMETERS)
        with transaction.atomic():
            answer = client.get(address)
            read(answer)
            if answer.status_code >= 500:
                errors.append((route.name, asked[:20], answer.status_code))
            transaction.set_rollback(True)
    assert errors == []


@pytest.mark.parametrize("asked", ["\0", "\ud800", "9" * 300, "x" * 5_000, "-1", ""])
@pytest.mark.django_db
def test_a_bad_value_in_the_administrators_forms_is_no_error_of_the_server(asked: str) -> None:
    """Also a search, a filter, a key, and what a row without one is looked for by."""
    client = Client(raise_request_exception=False)
    client.force_login(factories.make_admin())
    said = quote(asked, safe="", errors="surrogatepass")
    errors = []
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages = reverse(f"{name}_changelist")
        fields = [field.name for field in model._meta.concrete_fields]
        queries = [f"?q={said}", f"?p={said}", f"?o={said}", f"?id__exact={said}", f"?e={said}"]
        for address in [*(pages + query for query in queries), f"{pages}{said or '0'}/change/"]:
            errors += [] if client.get(address).status_code < 500 else [address[:80]]
        for action in ("add/", f"{said or '0'}/change/"):
            sent = {name: asked.encode(errors="surrogatepass") for name in fields}
            with transaction.atomic():
                answer = client.post(f"{pages}{action}", sent)
                errors += [] if answer.status_code < 500 else [f"{name} {action}"[:80]]
                transaction.set_rollback(True)
    assert errors == []


@pytest.mark.parametrize("page", ["/login/", "/admin/login/", "/login/code/"])
@pytest.mark.parametrize("name", ["\0", "\ud800", "x" * 5_000, "9" * 300, "\u202e", ""])
@pytest.mark.django_db
def test_a_bad_name_at_the_log_in_is_no_error_of_the_server(page: str, name: str) -> None:
    client = Client(raise_request_exception=False)
    said = name.encode(errors="surrogatepass")
    sent = {"username": said, "password": said, "code": said, "next": said}
    assert client.post(page, sent).status_code < 500
