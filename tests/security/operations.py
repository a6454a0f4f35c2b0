"""Every operation of the OpenAPI schema that writes, with a right request to it.

A new route is found by itself. Its body is made up from the schema; where that is not enough,
BODIES says what else a right one holds, and PREPARED what must be so before.
"""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import apps
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.client import MULTIPART_CONTENT
from drf_spectacular.generators import SchemaGenerator

from annotation.models import Assignment, Image, Project
from annotation.onboarding import quiz
from tests.factories import make_comparison, make_prompt
from tests.security.world import ROUTES, Route, World
from training.models import Run

TABLES = {
    model._meta.db_table: model
    for model in apps.get_models()
    if model._meta.app_label in ("annotation", "training", "benchmark", "auth")
}
JSON = "application/json"
OWN = {"submit", "renew", "skip", "judgment", "next"}
"""Routes on what belongs to one person: the annotator's."""
WITHOUT_FIELDS = {"annotation-api:images"}
"""The body is a picture."""
Rows = dict[tuple[str, Any], dict[str, Any]]


# --- What a right request needs beyond its schema ---------------------------------------------


def record(world: World, **more: Any) -> dict[str, Any]:
    asked = [{"from": "human", "value": "<image>\nWhat?"}]
    image = world.comparison.prompt.image.sha256
    return {"id": "new", "image": image, "conversations": asked, **more}


def pair(world: World) -> dict[str, Any]:
    return record(world, output_1={"value": "A cat."}, output_2={"value": "A dog."})


def run_body(world: World) -> dict[str, Any]:
    run = world.rows["run"]
    return {"project": world.project.slug, "base": run.base_id, "release": run.release_id}


def evaluation_body(world: World) -> dict[str, Any]:
    evaluation = world.rows["evaluation"]
    named = {"question_set": evaluation.question_set_id, "judge": evaluation.judge_id}
    return {"project": world.project.slug, "checkpoint": world.rows["checkpoint"].pk, **named}


def answers_body(world: World) -> dict[str, Any]:
    evaluation = world.rows["evaluation"]
    data = evaluation.question_set.questions.first().data
    answers = io.BytesIO(json.dumps([{**data, "model_answer": "Three."}]).encode())
    answers.name = "answers.json"
    named = {"question_set": evaluation.question_set_id, "judge": evaluation.judge_id}
    return {"project": world.project.slug, "model_name": "m", "answers": answers, **named}


def questions_body(world: World) -> dict[str, Any]:
    asked = {"question_id": 1, "image": "a.jpg", "text": "Is there a cup?", "label": "no"}
    questions = io.BytesIO(json.dumps(asked).encode())
    questions.name = "coco_pope_random.json"
    return {"protocol": "pope", "questions": questions, "allow_missing": "true"}


BODIES: dict[str, Callable[[World], dict[str, Any]]] = {
    "annotation-api:project": lambda world: {"name": "Renamed"},
    "annotation-api:member": lambda world: {"role": "reviewer"},
    "annotation-api:members": lambda world: {"username": world.people["outsider"].username},
    "annotation-api:comparisons": lambda world: {"comparisons": [pair(world)]},
    "annotation-api:comparison-changes": lambda world: {
        "action": "priority",
        "amount": 1,
        "comparisons": [world.comparison.pk],
    },
    "annotation-api:release": lambda world: {"archived": False},
    "annotation-api:prompts": lambda world: {"prompts": [record(world)]},
    "annotation-api:gold": lambda world: {"comparison": world.comparison.pk},
    "annotation-api:examples": lambda world: {"comparison": world.comparison.pk},
    "annotation-api:corrupted": lambda world: {"comparison": world.comparison.pk},
    "annotation-api:quiz": lambda world: {"questions": [world.rows["gold"].pk]},
    "annotation-api:notice-choices": lambda world: {
        "choices": [{"kind": "run_failed", "inbox": True, "email": False, "webhook": None}]
    },
    "annotation-api:machine-labellings": lambda world: {
        **{"machine": f"reward_model:{world.rows['reward model'].pk}", "level": 0.3},
        **{"confidence": 0.8, "audit_share": 0, "sample_size": 5, "comparisons": 100},
    },
    "annotation-api:machine-labelling": lambda world: {"action": "withdraw"},
    "annotation-api:studies": lambda world: {"completion_code": "C1"},
    "annotation-api:imports": lambda world: {
        "format": "llava_rlhf",
        "records": io.BytesIO(json.dumps(pair(world)).encode()),
    },
    "training-api:base-imports": lambda world: {"name": "new", "source": "org/new"},
    "training-api:runs": lambda world: {**run_body(world), "kind": "dpo"},
    "training-api:chains": lambda world: {**run_body(world), "steps": [{"kind": "dpo"}]},
    "benchmark-api:evaluations": evaluation_body,
    "benchmark-api:bring-answers": answers_body,
    "benchmark-api:question-sets": questions_body,
}


def dispute(world: World) -> None:
    world.comparison.outcome = "disputed"
    world.comparison.save()


def fail_the_quiz(world: World) -> None:
    quiz.choose(world.project, [world.rows["gold"].pk])
    Project.objects.filter(pk=world.project.pk).update(quiz_pass_mark=1, quiz_attempts=1)
    world.rows["membership"].quiz_attempts.update(passed=False, ended_at=Now())
    # Whoever has worked needs no quiz.
    mine = Assignment.objects.filter(annotator=world.people["annotator"])
    mine.update(annotator=world.people["outsider"])


def make_work(world: World) -> None:
    image = Image.objects.first()  # storage may be in trouble
    for _ in range(8):
        make_comparison(world.project, prompt=make_prompt(world.project, image=image))


def failed_run(world: World) -> None:
    Run.objects.filter(pk=world.rows["run"].pk).update(state="failed", finished_at=Now())


PREPARED: dict[str, Callable[[World], None]] = {
    "annotation-api:machine-labellings": lambda world: make_work(world),
    "annotation-api:dispute": dispute,
    "annotation-api:quiz-attempts": fail_the_quiz,
    "training-api:run-resume": failed_run,
}


# --- Operations of the schema -------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    route: Route
    method: str
    content_type: str
    schema: dict[str, Any]
    """Of the body; empty where the route takes none."""

    @property
    def name(self) -> str:
        return f"{self.method} {self.route.path}"


@cache
def described() -> dict[str, Any]:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return dict(json.loads(json.dumps(schema, default=str)))


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    for part in (schema, *schema.get("allOf", []), *schema.get("oneOf", [])):
        if "$ref" in part:
            name = part["$ref"].rpartition("/")[2]
            return resolved(described()["components"]["schemas"][name])
    return schema


def operations() -> Iterator[Operation]:
    by_shape = {re.sub(r"<[^>]*>", "{}", f"/{one.path}"): one for one in ROUTES.values()}
    for path, methods in described()["paths"].items():
        route = by_shape[re.sub(r"{[^}]*}", "{}", path)]
        for method, about in methods.items():
            if method == "get" or route.name in WITHOUT_FIELDS:
                continue
            content = about.get("requestBody", {}).get("content", {})
            schema = next((one["schema"] for one in content.values()), {})
            form = "multipart/form-data" in content
            kind = MULTIPART_CONTENT if form else JSON
            yield Operation(route, method, kind, resolved(schema))


def made_up(schema: dict[str, Any]) -> Any:
    """The least that the schema allows."""
    schema = resolved(schema)
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("type") == "object":
        required = schema.get("required", [])
        return {name: made_up(schema["properties"][name]) for name in required}
    if schema.get("type") == "array":
        return [made_up(schema["items"])]
    if schema.get("format") == "uuid":
        return str(uuid.uuid4())
    number = schema.get("minimum", 1)
    return {"string": "new", "integer": number, "number": number, "boolean": False}[schema["type"]]


def right_body(world: World, operation: Operation) -> dict[str, Any]:
    if not operation.schema:
        return {}
    known = BODIES.get(operation.route.name, lambda world: {})
    return {**made_up(operation.schema), **known(world)}


def prepare(world: World, operation: Operation) -> None:
    PREPARED.get(operation.route.name, lambda world: None)(world)


# --- Sending ------------------------------------------------------------------------------------


def rows() -> Rows:
    """Every row of every table, by table and key."""
    parts = (f"SELECT '{table}', to_jsonb(row) FROM \"{table}\" AS row" for table in TABLES)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        found = [(table, json.loads(row)) for table, row in cursor.fetchall()]
    return {(table, row[TABLES[table]._meta.pk.column]): row for table, row in found}


def logged_in(world: World) -> dict[str, Client]:
    """A client of each person who sends."""
    clients = {}
    for role in ("annotator", "admin"):
        clients[role] = Client()
        clients[role].force_login(world.people[role])
    return clients


def send(clients: dict[str, Client], world: World, operation: Operation, body: Any) -> Any:
    role = "annotator" if operation.route.name.partition(":")[2] in OWN else "admin"
    ask = getattr(clients[role], operation.method)
    return ask(world.address(operation.route), body, content_type=operation.content_type)
