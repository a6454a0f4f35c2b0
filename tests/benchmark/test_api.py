from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from annotation.models import Project, User
from benchmark.models import Evaluation
from tests.benchmark.factories import make_evaluation, make_judge, make_question_set
from tests.benchmark.test_evaluation_runs import make_base, pictured_questions
from tests.factories import make_image, make_member, make_project, make_token, make_user
from training.models import Run

pytestmark = pytest.mark.django_db


def client_of(user: User, *scopes: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(user, *scopes)}")
    return client


def test_an_evaluation_with_its_figures(project: Project, manager: User) -> None:
    evaluation = make_evaluation([6, 1], project=project, model_name="LLaVA")
    body = client_of(manager).get(f"/api/v1/evaluations/{evaluation.pk}").json()
    assert body["summary"]["score"]["value"] == 3.5
    assert body["units"]["score"] == "0 to 6"
    assert (body["model_name"], body["state"], body["project"]) == (
        "LLaVA",
        "complete",
        project.slug,
    )
    assert body["judge_name"] == "judge"
    assert body["prompt_hash"] == evaluation.prompt_hash


def test_answers_carry_the_own_judge_s_verdict(project: Project, manager: User) -> None:
    evaluation = make_evaluation([6, None, 1], project=project)
    body = client_of(manager).get(f"/api/v1/evaluations/{evaluation.pk}/answers").json()
    assert [(a["index"], a["rating"], a["verdict_state"]) for a in body["results"]] == [
        (0, 6, "parsed"),
        (1, None, "unparsed"),
        (2, 1, "parsed"),
    ]
    assert body["results"][0]["text"] == "model answers 1."
    assert body["results"][0]["reference"] == "Three."
    evaluation.verdicts().filter(rating=1).delete()
    body = client_of(manager).get(f"/api/v1/evaluations/{evaluation.pk}/answers").json()
    assert body["results"][2]["verdict_state"] is None


def test_the_list_is_filtered_and_knows_its_parameters(project: Project, manager: User) -> None:
    question_set = make_question_set(count=2)
    made = make_evaluation([6, 1], question_set=question_set, project=project)
    make_evaluation([6, None], question_set=question_set, project=project, model_name="open")
    make_evaluation([6, 1], question_set=question_set, project=make_project(), model_name="theirs")
    client = client_of(manager, "read")

    def found(query: str) -> list[int]:
        return [row["id"] for row in client.get(f"/api/v1/evaluations?{query}").json()["results"]]

    assert len(found("")) == 2
    assert found(f"state=complete&question_set={question_set.pk}") == [made.pk]
    assert found("question_set=0") == []
    for query in ("state=done", "question_set=x", "judge__base_url=x", "ordering=pk"):
        assert client.get(f"/api/v1/evaluations?{query}").status_code == 400, query


def test_question_sets_and_judges_tell_no_address_and_no_key(
    project: Project, manager: User
) -> None:
    make_judge(key_variable="JUDGE_API_KEY_LAB")
    make_question_set(count=3)
    client = client_of(manager)
    (question_set,) = client.get("/api/v1/question-sets").json()["results"]
    assert question_set["question_count"] == 3
    answer = client.get("/api/v1/judges")
    assert answer.json()["results"][0]["model"] == "judge-1"
    assert "JUDGE_API_KEY" not in answer.content.decode()
    assert "127.0.0.1" not in answer.content.decode()


# --- Starting -------------------------------------------------------------------------------


def body(where: Project, **changes: Any) -> dict[str, Any]:
    return {
        "project": where.slug,
        "checkpoint": make_base().pk,
        "question_set": pictured_questions().pk,
        "judge": make_judge().pk,
        **changes,
    }


def test_starting_queues_a_run(project: Project, manager: User) -> None:
    sent = body(project, temperature=0.7, seed=3)
    answer = client_of(manager).post("/api/v1/evaluations", sent, format="json")
    assert answer.status_code == 201
    run = Run.objects.get(pk=answer.json()["run"])
    assert (run.kind, run.state, run.seed, run.project) == ("evaluation", "queued", 3, project)
    assert run.options == {
        "question_set": sent["question_set"],
        "judge": sent["judge"],
        "temperature": 0.7,
    }
    assert (run.base_id, run.policy, run.requested_by) == (sent["checkpoint"], None, manager)


def test_the_same_key_starts_one_run(project: Project, manager: User) -> None:
    client, sent = client_of(manager), body(project)
    headers = {"HTTP_IDEMPOTENCY_KEY": "once"}
    first = client.post("/api/v1/evaluations", sent, format="json", **headers)
    second = client.post("/api/v1/evaluations", sent, format="json", **headers)
    assert first.json() == second.json()
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"project": "unknown"}, 404),
        ({"checkpoint": 0}, 400),
        ({"judge": 0}, 400),
        ({"temperature": 3}, 400),
        ({"preset": "none"}, 400),
    ],
)
def test_what_cannot_be_started_is_refused(
    project: Project, manager: User, changes: dict[str, Any], status: int
) -> None:
    sent = body(project, **changes)
    answer = client_of(manager).post("/api/v1/evaluations", sent, format="json")
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert not Run.objects.exists()


def test_a_judge_that_does_not_fit_is_named(project: Project, manager: User) -> None:
    exact = make_judge("exact", kind="exact", base_url="", model="")
    answer = client_of(manager).post(
        "/api/v1/evaluations", body(project, judge=exact.pk), format="json"
    )
    assert answer.status_code == 422
    assert "judge" in answer.json()["detail"]


# --- Who may --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "reads", "starts"),
    [(None, 404, 404), ("annotator", 403, 403), ("reviewer", 200, 403), ("manager", 200, 201)],
)
def test_roles(project: Project, role: str | None, reads: int, starts: int) -> None:
    evaluation = make_evaluation([6, 1], project=project)
    user = make_member(project, role) if role else make_user()
    client = client_of(user)
    for path in ("", "/answers"):
        answer = client.get(f"/api/v1/evaluations/{evaluation.pk}{path}")
        assert answer.status_code == reads
    evaluation.question_set.questions.update(image=make_image())
    chosen = {"judge": evaluation.judge_id, "question_set": evaluation.question_set_id}
    sent = {"project": project.slug, "checkpoint": make_base().pk, **chosen}
    make_member(make_project(), "manager", user)
    answer = client.post("/api/v1/evaluations", sent, format="json")
    assert answer.status_code == starts
    seen = client.get("/api/v1/evaluations").json()["results"]
    assert bool(seen) == (reads == 200)


@pytest.mark.parametrize("scope", ["read", "annotate", "manage"])
def test_starting_needs_the_scope(project: Project, manager: User, scope: str) -> None:
    answer = client_of(manager, scope).post("/api/v1/evaluations", {}, format="json")
    assert answer.status_code == 403


def test_nobody_is_asked_who_they_are() -> None:
    assert APIClient().get("/api/v1/evaluations").status_code == 401
    assert not Evaluation.objects.exists()
