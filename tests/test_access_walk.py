"""Every route, by every kind of person, with their own and with foreign ids.

A route that is not listed here fails the test: whoever adds one says who may use it.
"""

from __future__ import annotations

import uuid
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.test.client import MULTIPART_CONTENT
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from annotation import exporting, gold_and_repeats, queue
from annotation.models import ImportJob, Invitation, Project
from annotation.onboarding import guidelines
from tests import factories
from tests.factories import (
    judge,
    make_admin,
    make_comparison,
    make_comparisons,
    make_member,
    make_project,
    make_token,
    make_user,
)

ROLES = ("anonymous", "outsider", "annotator", "reviewer", "manager", "admin")
MISSING, FORBIDDEN, LOG_IN = 404, 403, 401


@dataclass(frozen=True)
class Rule:
    """Who gets through: the least role, or a person whose own thing it is."""

    method: str
    least: str
    """"annotator", "reviewer", "manager", "admin", "owner" or "anyone" (who is logged in)."""
    body: Any = None


def see(least: str) -> Rule:
    return Rule("GET", least)


def do(least: str, body: Any = None) -> Rule:
    return Rule("POST", least, body)


# Route name -> rules. What is answered to somebody who may is 2xx or a refusal of the content
# (400, 409, 422), never 401, 403 or 404.
API: dict[str, list[Rule]] = {
    "annotation-api:projects": [see("anyone"), do("admin", {"slug": "new", "name": "New"})],
    "annotation-api:project": [see("annotator"), Rule("PATCH", "manager")],
    "annotation-api:members": [see("manager"), do("manager")],
    "annotation-api:member": [see("manager"), Rule("PATCH", "manager")],
    "annotation-api:invitations": [see("manager"), do("manager")],
    "annotation-api:invitation": [Rule("DELETE", "manager")],
    "annotation-api:notices": [see("anyone")],
    "annotation-api:notices-read": [Rule("PUT", "anyone")],
    "annotation-api:notice-choices": [see("anyone"), Rule("PUT", "anyone")],
    "annotation-api:studies": [see("manager"), do("manager")],
    "annotation-api:study": [see("manager"), Rule("PATCH", "manager")],
    "annotation-api:study-link": [do("manager"), Rule("DELETE", "manager")],
    "annotation-api:study-participants": [see("manager")],
    "annotation-api:machines": [see("manager")],
    "annotation-api:machine-labellings": [see("reviewer"), do("manager")],
    "annotation-api:machine-labelling": [see("reviewer"), do("manager")],
    "annotation-api:machine-labelling-labels": [see("reviewer")],
    "annotation-api:imports": [see("manager"), do("manager")],
    "annotation-api:import": [see("manager")],
    "annotation-api:import-left-out": [see("manager")],
    "annotation-api:guidelines": [see("annotator")],
    "annotation-api:acknowledgement": [Rule("PUT", "annotator")],
    "annotation-api:examples": [do("manager")],
    "annotation-api:example": [Rule("DELETE", "manager")],
    "annotation-api:guidelines-versions": [do("manager")],
    "annotation-api:quiz": [see("manager"), Rule("PUT", "manager")],
    "annotation-api:quiz-admission": [do("manager")],
    "annotation-api:quiz-attempts": [do("manager")],
    "annotation-api:quality": [see("reviewer")],
    "annotation-api:gold": [see("manager"), do("manager")],
    "annotation-api:gold-one": [Rule("DELETE", "manager")],
    "annotation-api:promote": [do("manager")],
    "annotation-api:corrupted": [do("manager")],
    "annotation-api:drafts": [see("manager")],
    "annotation-api:progress": [see("annotator")],
    "annotation-api:next": [do("annotator")],
    "annotation-api:judgments": [see("annotator")],
    "annotation-api:images": [do("manager")],
    "annotation-api:prompts": [do("manager")],
    "annotation-api:comparisons": [see("reviewer"), do("manager")],
    "annotation-api:comparison-changes": [do("manager")],
    "annotation-api:disputes": [see("reviewer")],
    "annotation-api:dispute": [do("reviewer")],
    "annotation-api:releases": [see("reviewer"), do("manager")],
    "annotation-api:assignment": [see("owner")],
    "annotation-api:submit": [do("owner")],
    "annotation-api:renew": [do("owner")],
    "annotation-api:skip": [do("owner")],
    "annotation-api:judgment": [see("owner"), Rule("PUT", "owner")],
    "annotation-api:release": [see("reviewer"), Rule("PATCH", "manager")],
    "annotation-api:records": [see("reviewer")],
    "annotation-api:folder": [see("reviewer")],
    "annotation-api:image": [see("annotator")],
}

OF_NO_PROJECT = ("projects", "notices", "notices-read", "notice-choices")


@dataclass
class World:
    """A project with one of everything, and a person of each role."""

    project: Project
    people: dict[str, Any]
    arguments: dict[str, dict[str, Any]]


@pytest.fixture
def world(made: World, db: None) -> World:
    cache.clear()  # What was counted of these people in other tests.
    return deepcopy(made)


@pytest.fixture(scope="module")
def made(rows_of_the_module: None) -> World:
    project = make_project(k=1)
    comparison = make_comparison(project)
    judgment = judge(comparison)
    make_comparisons(project, 3)
    annotator = make_member(project)
    assignment = queue.claim(project, annotator)
    assert assignment is not None
    own = queue.submit(
        annotator,
        assignment.token,
        queue.Answer(more_hallucinated="1"),
        client_uuid=uuid.uuid4(),
    ).judgment
    release = exporting.make_release(project)
    gold = make_comparison(project)
    gold_and_repeats.make_gold(gold, more_hallucinated="1")
    invitation, _ = Invitation.create(project, role="annotator", created_by=make_admin())
    example = guidelines.draft(
        make_comparison(project), make_user(), more_hallucinated="2", why="Look.", spans=[]
    )
    job = ImportJob.objects.create(project=project, name="pairs.jsonl")
    study, _ = factories.make_study(project)
    labelling = factories.make_machine_labelling(project)
    slug = {"slug": project.slug}
    token = {"token": assignment.token}
    pk = {"pk": release.pk}
    member = {**slug, "pk": project.memberships.get(user=annotator).pk}
    people = {
        "anonymous": None,
        "outsider": make_user(),
        "annotator": annotator,
        "reviewer": make_member(project, "reviewer"),
        "manager": make_member(project, "manager"),
        "admin": make_admin(),
    }
    assert judgment.assignment.annotator not in people.values()
    arguments = {
        **dict.fromkeys(API, slug),
        **{f"annotation-api:{name}": {} for name in OF_NO_PROJECT},
        **{f"annotation-api:{name}": token for name in ("assignment", "submit", "renew", "skip")},
        "annotation-api:judgment": {"pk": own.pk},
        "annotation-api:dispute": {**slug, "pk": comparison.pk},
        **{f"annotation-api:{name}": pk for name in ("release", "records", "folder")},
        "annotation-api:drafts": {**slug, "pk": comparison.pk},
        "annotation-api:gold-one": {**slug, "pk": gold.pk},
        **{
            f"annotation-api:{name}": member
            for name in ("member", "quiz-admission", "quiz-attempts")
        },
        "annotation-api:invitation": {**slug, "pk": invitation.pk},
        "annotation-api:example": {**slug, "pk": example.pk},
        **{
            f"annotation-api:{name}": {**slug, "pk": study.pk}
            for name in ("study", "study-link", "study-participants")
        },
        **{
            f"annotation-api:{name}": {**slug, "number": labelling.number}
            for name in ("machine-labelling", "machine-labelling-labels")
        },
        "annotation-api:import": {**slug, "pk": job.pk},
        "annotation-api:import-left-out": {**slug, "pk": job.pk},
        "annotation-api:image": {"sha256": comparison.prompt.image.sha256},
    }
    return World(project, people, arguments)


def expected(rule: Rule, role: str) -> int | None:
    """The status that refuses ``role``, or None when it gets through."""
    if role == "anonymous":
        return LOG_IN
    if rule.least == "anyone" or (role == "admin" and rule.least != "owner"):
        return None
    if rule.least == "admin":
        return FORBIDDEN
    if rule.least == "owner":
        return None if role == "annotator" else MISSING
    if role == "outsider":
        return MISSING
    order = ("annotator", "reviewer", "manager")
    return None if order.index(role) >= order.index(rule.least) else FORBIDDEN


def kind_of_body(name: str) -> str:
    return MULTIPART_CONTENT if name == "annotation-api:imports" else "application/json"


def names_of_routes(prefix: str) -> set[str]:
    """Full names of the routes below a path; a route without one is named by its pattern."""
    found = set()

    def walk(patterns: list[Any], path: str, namespaces: tuple[str, ...]) -> None:
        for pattern in patterns:
            here = path + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                inner = (*namespaces, pattern.namespace) if pattern.namespace else namespaces
                walk(pattern.url_patterns, here, inner)
            elif isinstance(pattern, URLPattern) and here.startswith(prefix):
                name = pattern.name or here
                found.add(":".join((*namespaces, name)))

    walk(get_resolver().url_patterns, "", ())
    return found


def test_every_route_of_annotations_api_is_listed():
    routes = {name for name in names_of_routes("api/v1/") if name.startswith("annotation")}
    assert routes == set(API)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", API)
def test_the_api_lets_exactly_those_through_who_may(world, name, role):
    person = world.people[role]
    headers = {"Authorization": f"Bearer {make_token(person)}"} if person else {}
    client = Client(headers=headers)
    path = reverse(name, kwargs=world.arguments[name])
    for rule in API[name]:
        send = getattr(client, rule.method.lower())
        if rule.method == "GET":
            response = send(path)
        else:
            response = send(path, rule.body or {}, content_type=kind_of_body(name))
        if response.streaming:
            list(response.streaming_content)  # Closes the file behind it.
        refusal = expected(rule, role)
        if refusal is None:
            assert response.status_code in (200, 201, 204, 400, 409, 422), response
        else:
            assert response.status_code == refusal, (rule, response)


@pytest.mark.parametrize("name", [name for name in API if name.split(":")[1] not in OF_NO_PROJECT])
def test_what_does_not_exist_and_what_is_not_yours_look_the_same(world, name):
    client = Client(headers={"Authorization": f"Bearer {make_token(world.people['outsider'])}"})
    foreign = reverse(name, kwargs=world.arguments[name])
    nowhere_arguments = {
        key: {
            "slug": "nowhere",
            "token": uuid.uuid4(),
            "pk": 10**9,
            "number": 10**9,
            "sha256": "0" * 64,
        }[key]
        for key in world.arguments[name]
    }
    nowhere = reverse(name, kwargs=nowhere_arguments)
    for rule in API[name]:
        send = getattr(client, rule.method.lower())
        arguments = () if rule.method == "GET" else (rule.body or {}, kind_of_body(name))
        answers = [send(path, *arguments) for path in (foreign, nowhere)]
        assert [answer.status_code for answer in answers] == [MISSING, MISSING]
        assert answers[0].content == answers[1].content
