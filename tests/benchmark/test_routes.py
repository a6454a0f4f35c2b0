"""Every route of benchmark by every kind of person; a route that is not listed fails the test."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver, reverse

from benchmark import evaluating, urls
from benchmark.api import urls as api_urls
from benchmark.board import leaderboard
from benchmark.models import Evaluation
from tests.benchmark.factories import make_evaluation, make_judge
from tests.factories import (
    make_admin,
    make_image,
    make_member,
    make_project,
    make_token,
    make_user,
)
from tests.training.factories import make_base, make_checkpoint
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db

ROLES = ("anonymous", "outsider", "annotator", "reviewer", "manager", "admin")

# Method and, for each role in order, the status. 302 for somebody without a log-in leads there;
# 400 and 422 are refusals of an empty body, given only to those who may.
PAGES: dict[str, tuple[str, tuple[int, ...]]] = {
    "leaderboard": ("GET", (302, 200, 200, 200, 200, 200)),
    "fresh": ("GET", (302, 204, 204, 204, 204, 204)),
    "explorer": ("GET", (302, 404, 404, 200, 200, 200)),
    "leaderboard-json": ("GET", (302, 403, 403, 200, 200, 200)),
    "leaderboard-csv": ("GET", (302, 403, 403, 200, 200, 200)),
    "compare": ("GET", (302, 200, 200, 200, 200, 200)),
    "evaluations": ("GET", (302, 200, 200, 200, 200, 200)),
    "start": ("POST", (302, 403, 403, 403, 422, 422)),
    "bring-answers": ("POST", (302, 403, 403, 403, 422, 422)),
    "bring-questions": ("POST", (302, 403, 403, 403, 403, 422)),
    "evaluation": ("GET", (302, 404, 403, 200, 200, 200)),
    "evaluation-json": ("GET", (302, 404, 403, 200, 200, 200)),
    "evaluation-csv": ("GET", (302, 404, 403, 200, 200, 200)),
    "progress": ("GET", (302, 404, 403, 200, 200, 200)),
    "judge-again": ("POST", (302, 404, 403, 403, 302, 302)),
    "summary": ("GET", (302, 404, 403, 200, 200, 200)),
    "links": ("GET", (302, 403, 403, 403, 403, 200)),
    "revoke-link": ("POST", (302, 403, 403, 403, 403, 404)),
    "repeat": ("POST", (302, 404, 403, 403, 302, 302)),
    "settle": ("POST", (302, 404, 403, 403, 302, 302)),
    "rate": ("GET", (302, 404, 404, 200, 200, 200)),
    "rate-undo": ("POST", (302, 404, 404, 302, 302, 302)),
    "report-card": ("GET", (302, 404, 403, 200, 200, 200)),
    "model": ("GET", (302, 404, 404, 200, 200, 200)),
    "model-summary": ("GET", (302, 404, 404, 200, 200, 200)),
    "question": ("GET", (302, 404, 404, 200, 200, 200)),
    "question-image": ("GET", (302, 404, 404, 200, 200, 200)),
}
API: dict[str, tuple[str, tuple[int, ...]]] = {
    "question-sets": ("GET", (401, 200, 200, 200, 200, 200)),
    "judges": ("GET", (401, 200, 200, 200, 200, 200)),
    "evaluations": ("POST", (401, 400, 400, 400, 400, 400)),
    "bring-answers": ("POST", (401, 415, 415, 415, 415, 415)),
    "evaluation": ("GET", (401, 404, 403, 200, 200, 200)),
    "answers": ("GET", (401, 404, 403, 200, 200, 200)),
    "report-card": ("GET", (401, 404, 403, 404, 404, 404)),
}

OF_AN_EVALUATION = ("evaluation", "progress", "judge-again", "repeat", "answers")


@pytest.fixture
def evaluation(made: Evaluation, db: None) -> Evaluation:
    return deepcopy(made)


@pytest.fixture(scope="module")
def made(rows_of_the_module: None) -> Evaluation:
    evaluation = make_evaluation([6, None], project=make_project())
    evaluation.question_set.questions.update(image=make_image())
    return evaluation


def arguments(evaluation: Evaluation, name: str) -> list[Any]:
    if name == "summary":
        evaluating.settle(evaluation.verdicts().get(rating=None), {"rating": "1"}, make_user())
        return [evaluation.pk, "md"]
    if name == "explorer":
        evaluating.settle(evaluation.verdicts().get(rating=None), {"rating": "1"}, make_user())
        return [leaderboard.groups(Evaluation.objects.all())[0].id]
    if name == "report-card":
        return [_reward_model(evaluation).pk]
    if name in ("model", "model-summary"):
        made = make_base(name="a model")
        Evaluation.objects.filter(pk=evaluation.pk).update(checkpoint=made)
        return [made.pk] if name == "model" else [made.pk, "tex"]
    if name == "revoke-link":
        return [1]
    if name in ("question", "question-image"):
        return [evaluation.question_set.questions.first().pk]
    if name in ("rate", "rate-undo"):
        return [make_judge("people", kind="person", base_url="", model="").pk]
    if name == "settle":
        return [evaluation.verdicts().get(rating=None).pk]
    if name.startswith("evaluation-") or name in OF_AN_EVALUATION:
        return [evaluation.pk]
    return []


def _reward_model(evaluation: Evaluation) -> Checkpoint:
    made_by = Run.objects.create(
        project=evaluation.project, kind="reward", base=make_base(), requested_by=make_admin()
    )
    return make_checkpoint(made_by, kind=Checkpoint.Kind.REWARD_MODEL)


def person(evaluation: Evaluation, role: str) -> Any:
    if role == "anonymous":
        return None
    made = {"outsider": make_user, "admin": make_admin}
    return made[role]() if role in made else make_member(evaluation.project, role)


def test_every_route_is_listed() -> None:
    assert {pattern.name for pattern in urls.urlpatterns} == set(PAGES)
    assert {pattern.name for pattern in api_urls.urlpatterns} == set(API)
    assert {"benchmark", "benchmark-api"} <= set(get_resolver().namespace_dict)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", PAGES)
def test_pages(evaluation: Evaluation, name: str, role: str) -> None:
    who, (method, statuses) = person(evaluation, role), PAGES[name]
    client = Client()
    if who is not None:
        client.force_login(who)
    address = reverse(f"benchmark:{name}", args=arguments(evaluation, name))
    sent = {"rating": "3"} if method == "POST" else {}
    answer = getattr(client, method.lower())(address, sent)
    assert answer.status_code == statuses[ROLES.index(role)]
    if answer.streaming:
        list(answer.streaming_content)  # Closes the file behind it.
    if who is None:
        assert answer["Location"].startswith("/login/")
        other = {"GET": "post", "POST": "get"}[method]
        assert getattr(client, other)(address).status_code in (302, 405)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", API)
def test_api(evaluation: Evaluation, name: str, role: str) -> None:
    who, (method, statuses) = person(evaluation, role), API[name]
    headers = {"Authorization": f"Bearer {make_token(who)}"} if who else {}
    address = reverse(f"benchmark-api:{name}", args=arguments(evaluation, name))
    send = getattr(Client(headers=headers), method.lower())
    answer = send(address, content_type="application/json") if method == "POST" else send(address)
    assert answer.status_code == statuses[ROLES.index(role)]


@pytest.mark.parametrize("name", ["question-sets", "judges", "evaluations"])
@pytest.mark.parametrize(
    ("role", "sees"),
    [("outsider", 0), ("annotator", 0), ("reviewer", 1), ("manager", 1), ("admin", 1)],
)
def test_lists_hold_only_what_may_be_seen(
    evaluation: Evaluation, name: str, role: str, sees: int
) -> None:
    token = make_token(person(evaluation, role), "read")
    answer = Client(headers={"Authorization": f"Bearer {token}"}).get(f"/api/v1/{name}")
    assert len(answer.json()["results"]) == sees
