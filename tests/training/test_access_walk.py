"""Every route of training by every role. A route that is not listed here fails the test."""

import hashlib
from copy import deepcopy
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse

from tests.factories import make_admin, make_member, make_user
from tests.training.factories import make_checkpoint, make_run
from training import urls
from training.api import urls as api_urls
from training.models import BaseImport, Checkpoint, Run

pytestmark = pytest.mark.django_db

ROLES = ("anonymous", "outsider", "annotator", "reviewer", "manager", "admin")
# Route -> method and least role; "anyone" is whoever is logged in, who sees what is theirs.
ROUTES = {
    "training:runs": ("get", "anyone"),
    "training:chain-new": ("get", "anyone"),
    "training:run": ("get", "reviewer"),
    "training:run-live": ("get", "reviewer"),
    "training:run-log": ("get", "reviewer"),
    "training:run-samples": ("get", "reviewer"),
    "training:run-figures": ("get", "reviewer"),
    "training:run-outcomes": ("get", "reviewer"),
    "training:run-origin": ("get", "reviewer"),
    "training:run-metrics": ("get", "reviewer"),
    "training:run-cancel": ("post", "manager"),
    "training:run-resume": ("post", "manager"),
    "training:run-compare": ("get", "reviewer"),
    "training:compare": ("get", "anyone"),
    "training:compare-metrics": ("get", "reviewer"),
    "training:columns": ("get", "anyone"),
    "training:chosen": ("post", "anyone"),
    "training:run-describe": ("post", "manager"),
    "training:run-pin": ("post", "reviewer"),
    "training:run-archive": ("post", "manager"),
    "training:health": ("get", "admin"),
    "training:loop": ("get", "reviewer"),
    "training:disagreement": ("get", "reviewer"),
    "training:project-sample": ("post", "manager"),
    "training:project-score": ("post", "manager"),
    "training:base-import-new": ("get", "admin"),
    "training:base-import": ("get", "admin"),
    "training:checkpoints": ("get", "anyone"),
    "training:checkpoint": ("get", "reviewer"),
    "training:checkpoint-file": ("get", "reviewer"),
    "training:checkpoint-download": ("get", "reviewer"),
    "training:checkpoint-promote": ("post", "manager"),
    "training:checkpoint-sample": ("post", "manager"),
    "training:checkpoint-delete": ("post", "manager"),
    "training-api:runs": ("get", "anyone"),
    "training-api:run": ("get", "reviewer"),
    "training-api:run-cancel": ("post", "manager"),
    "training-api:run-resume": ("post", "manager"),
    "training-api:run-metrics": ("get", "reviewer"),
    "training-api:run-groups": ("get", "anyone"),
    "training-api:chains": ("post", "anyone"),
    "training-api:checkpoints": ("get", "anyone"),
    "training-api:checkpoint": ("get", "reviewer"),
    "training-api:checkpoint-archive": ("get", "reviewer"),
    "training-api:checkpoint-promote": ("post", "manager"),
    "training-api:checkpoint-sample": ("post", "manager"),
    "training-api:project-sample": ("post", "manager"),
    "training-api:project-score": ("post", "manager"),
    "training-api:base-imports": ("get", "admin"),
    "training-api:base-import": ("get", "admin"),
}
FILES = [{"name": "config.json", "size": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}]
REFUSALS = {401, 403, 404}
BASES = ("base-import-new", "base-imports")


@pytest.fixture(scope="module")
def made(rows_of_the_module: None) -> Checkpoint:
    return make_checkpoint(make_run(), files=FILES)


@pytest.fixture
def checkpoint(made: Checkpoint, db: None) -> Checkpoint:
    if not default_storage.exists(f"{made.path}/config.json"):  # A test may have deleted it.
        default_storage.save(f"{made.path}/config.json", ContentFile(b"{}"))
    return deepcopy(made)


def address(route: str, checkpoint: Checkpoint) -> str:
    name = route.partition(":")[2]
    if name in (
        "runs",
        "chain-new",
        "checkpoints",
        "chains",
        "columns",
        "chosen",
        "compare",
        "run-groups",
        "health",
        "base-import-new",
        "base-imports",
    ):
        return reverse(route)
    if name == "base-import":
        asked = {"name": "tiny", "source": "org/tiny", "created_by": make_user()}
        return reverse(route, args=[BaseImport.objects.create(**asked).pk])
    if name in ("loop", "disagreement", "project-sample", "project-score"):
        assert checkpoint.run is not None
        return reverse(route, args=[checkpoint.run.project.slug])
    if name.startswith("checkpoint"):
        return reverse(route, args=[checkpoint.pk, *(["config.json"] * (name[10:] == "-file"))])
    if name == "compare-metrics":
        return f"{reverse(route)}?run={checkpoint.run_id}&name=loss"
    more = ["loss"] if route.startswith("training:run-") and name.endswith("metrics") else []
    return reverse(route, args=[checkpoint.run_id, *more])


def person(role: str, run: Run) -> Any:
    if role == "anonymous":
        return None
    if role == "admin":
        return make_admin()
    return make_user() if role == "outsider" else make_member(run.project, role)


def expected(route: str, least: str, role: str) -> set[int]:
    """The statuses that are right; the empty set where the person gets through."""
    if role == "anonymous":
        return {401} if route.startswith("training-api") else {302}
    if least == "anyone" or role == "admin":
        return set()
    if least == "admin":
        return {403}
    if role == "outsider":
        return {404}
    order = ("annotator", "reviewer", "manager")
    return set() if order.index(role) >= order.index(least) else {403}


def test_every_route_is_listed() -> None:
    named = {f"training:{route.name}" for route in urls.urlpatterns}
    named |= {f"training-api:{route.name}" for route in api_urls.urlpatterns}
    assert named == set(ROUTES)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", ROUTES)
def test_a_route_lets_in_whom_it_should(route: str, role: str, checkpoint: Checkpoint) -> None:
    method, least = ROUTES[route]
    assert checkpoint.run is not None
    client, who = Client(), person(role, checkpoint.run)
    if who is not None:
        client.force_login(who)
    answer = getattr(client, method)(address(route, checkpoint))
    right = expected(route, least, role)
    if right:
        assert answer.status_code in right
    else:
        assert answer.status_code < 500
        assert answer.status_code not in REFUSALS
    if answer.streaming:
        assert b"{}" in b"".join(answer.streaming_content)


@pytest.mark.parametrize("role", ["outsider", "annotator"])
@pytest.mark.parametrize("route", ["runs", "checkpoints"])
def test_lists_show_strangers_and_annotators_nothing(
    route: str, role: str, checkpoint: Checkpoint
) -> None:
    assert checkpoint.run is not None
    client = Client()
    client.force_login(person(role, checkpoint.run))
    assert client.get(reverse(f"training-api:{route}")).json()["results"] == []
