"""Filters and orderings are allow-lists: no parameter reaches a field of the database.

Where a platform passed query parameters to its ORM, ``user__password__startswith`` told a
password hash letter by letter (Label Studio, CVE-2023-47117). Every route that answers GET is
asked with such paths, made from the models themselves.
"""

from __future__ import annotations

import re
from typing import Any

from django.apps import apps
from django.test import Client

from tests.security.world import ROUTES, World

OURS = ("annotation", "training", "benchmark")
NOT_READY = {"ready"}  # Tells by 503 that no worker runs.
LOOKUPS = ("startswith", "gt", "regex", "in", "isnull")
ORDERS = ("ordering", "order", "order_by", "sort", "sort_by", "o", "fields", "filter", "q", "where")
SECRET = "created_by__password"
NAMED = re.compile(r'<(?:input|select)[^>]* name="(\w+)"')
GREEDY = ("^", "0", "1) OR (1=1")


def paths_of_models() -> list[str]:
    """One path per relation of every model, down to a person's password, and its own columns."""
    found = {"password__startswith", "is_superuser", "id__gt", "pk__in", "user__password__regex"}
    for label in OURS:
        for model in apps.get_app_config(label).get_models():
            for column in model._meta.concrete_fields:
                if column.is_relation:
                    found.add(f"{column.name}__{SECRET}__{LOOKUPS[len(found) % len(LOOKUPS)]}")
                else:
                    found.add(f"{column.name}__{LOOKUPS[len(found) % len(LOOKUPS)]}")
    return sorted(found)


PATHS = [*paths_of_models(), *ORDERS]
PAGES = [route for route in ROUTES.values() if not route.of_api]
LISTS = [route for route in ROUTES.values() if route.of_api and hasattr(route.view, "get")]


def read(client: Client, path: str, parameters: dict[str, str] | None = None) -> tuple[int, str]:
    answer: Any = client.get(path, parameters or {})
    if answer.streaming:
        return answer.status_code, b"".join(answer.streaming_content).decode("latin-1")
    return answer.status_code, answer.content.decode("utf-8", "replace")


def size(text: str) -> dict[str, int]:
    """How many of what rows are made of a page has."""
    return {tag: len(re.findall(rf"<{tag}[ >]", text)) for tag in ("tr", "li", "article", "option")}


def client_of(world: World, role: str) -> Client:
    client = Client()
    client.force_login(world.people[role])
    return client


def test_the_paths_are_those_of_the_models() -> None:
    assert "project__created_by__password__" in " ".join(PATHS)
    assert len(PATHS) > 100
    assert len(LISTS) > 20


def test_rest_refuses_every_parameter_it_does_not_name(world: World) -> None:
    client, let_through = client_of(world, "admin"), []
    for route in LISTS:
        path, own = world.address(route), getattr(route.view, "parameters", frozenset())
        names = {*PATHS, *(f"{one}__{lookup}" for one in own for lookup in LOOKUPS)} - own
        status, text = read(client, path, dict.fromkeys(names, "a"))
        # 404: another person's, looked for before anything else; no parameter is read.
        if status not in (400, 404) or (status == 400 and not all(one in text for one in names)):
            let_through.append((route.name, status))
    assert let_through == []


def test_values_of_parameters_are_values(world: World) -> None:
    client, broken = client_of(world, "admin"), []
    for route in ROUTES.values():
        path = world.address(route)
        if route.of_api:
            names = {*getattr(route.view, "parameters", ()), "cursor", "page_size"}
        else:
            names = set(NAMED.findall(read(client, path)[1]))
            names |= {"page", "since", "grain", "step", "have", "release", "evaluation", "split"}
        for value in (f"project__{SECRET}__startswith", *GREEDY):
            status, _ = read(client, path, dict.fromkeys(sorted(names), value))
            if status >= 500 and route.name not in NOT_READY:
                broken.append((route.name, value, status))
    assert broken == []


def test_pages_show_the_same_whatever_is_asked(world: World) -> None:
    client, changed = client_of(world, "admin"), []
    for route in PAGES:
        path = world.address(route)
        read(client, path)  # What is counted on the first visit is there afterwards.
        plain, asked = read(client, path), read(client, path, dict.fromkeys(PATHS, "a"))
        # 422: a form that refuses what it does not understand, and shows nothing.
        same = (asked[0], size(asked[1])) == (plain[0], size(plain[1]))
        if not same and asked[0] != 422:
            changed.append((route.name, plain[0], asked[0]))
    assert changed == []


def test_no_answer_holds_a_hash_of_anybody(world: World) -> None:
    hidden = [person.password for person in world.people.values()]
    hidden += [world.rows[name].digest for name in ("token", "invitation", "link")]
    for role in ("annotator", "admin"):
        client = client_of(world, role)
        for route in ROUTES.values():
            _, text = read(client, world.address(route))
            assert not [one for one in hidden if one in text], (role, route.name)
