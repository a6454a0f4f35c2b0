"""Being named is not being allowed: hashes, ids, invitations, links and replays, by who names them.

Beside the walk of routes (``tests/test_access_walk.py``) this one walks what requests *name*. Every
member of every body that writes is found in the schema of the API; one that is not listed here
fails: whoever adds one says whether it names something, and what somebody else's is.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from annotation import access, jobs
from annotation.image_sources import Stored
from annotation.images import Decoder
from annotation.models import Image, ImportJob, Membership, User
from tests.factories import (
    make_image,
    make_user,
    picture_bytes,
)
from tests.security.operations import Operation, operations, prepare, resolved, right_body
from tests.security.world import World, make_world

Body = dict[str, Any]
REFUSED = {400, 404, 422}

# --- What bodies name -------------------------------------------------------------------------

PLAIN = {
    *("tags", "notes", "archived"),
    *("name", "slug", "description", "question", "state", "guidelines", "guidelines_version"),
    *("judgments_per_comparison", "max_judgments", "allow_tie", "mark_spans", "ask_confidence"),
    *("ask_correction", "correction_required", "output", "marks"),
    *("lease_minutes", "gold_rate", "repeat_rate", "pause_below", "pause_after", "created_at"),
    *("quiz_pass_mark", "quiz_attempts", "role", "paused", "username", "id", "from", "value"),
    *("captions", "caption_type", "length_bonus", "preference", "hallucination", "kind"),
    # Webhooks are the site's, and open to whoever wants to be told.
    *("up_to", "inbox", "email", "webhook"),
    *("platform", "participant_parameter", "study_parameter", "session_parameter", "places"),
    *("session_hours", "completion_code", "return_url", "failed_code", "ended"),
    *("more_hallucinated", "more_helpful", "note", "explanation", "text", "most", "version"),
    *("why", "response", "start", "end", "format", "keep_labels", "skip_missing_images"),
    *("minimum_margin", "minimum_reliability", "honesty_only", "imported_labels", "seed"),
    *(
        "held_out_share",
        "preset",
        "model",
        "settings",
        "gpus",
        "max_attempts",
        "promoted",
        "reason",
    ),
    *("confidence", "active_seconds", "source", "copy", "temperature", "sampling"),
    # Uploads and their like: what is in them is read as records, whose ``image`` is listed below.
    *("records", "second_records", "images", "answers", "questions", "protocol", "allow_missing"),
    *("leave_out_unusable", "leave_out_others", "accept_chance_agreement", "model_name"),
    # One's own, or of the installation and open to whoever may start an evaluation.
    *("client_uuid", "question_set", "judge", "options"),
    *("level", "audit_share", "sample_size", "comparisons", "action", "machine_votes"),
    *("amount", "all", "dry_run", "archived"),
}
"""Members that name nothing of a project, by their last name."""


def image(world: World) -> str:
    return str(world.rows["foreign image"].sha256)


def row(name: str) -> Callable[[World], Any]:
    return lambda foreign: foreign.rows[name].pk


def records(name: str) -> Callable[[Body, Any], None]:
    def put(body: Body, value: Any) -> None:
        body[name][0]["image"] = value

    return put


def member(name: str) -> Callable[[Body, Any], None]:
    def put(body: Body, value: Any) -> None:
        body[name] = [value] if isinstance(body.get(name), list) else value

    return put


References = dict[tuple[str, str], tuple[Callable[[World], Any], Callable[[Body, Any], None]]]
REFERENCES: References = {
    ("annotation-api:comparisons", "comparisons[].image"): (image, records("comparisons")),
    ("annotation-api:prompts", "prompts[].image"): (image, records("prompts")),
    ("annotation-api:gold", "comparison"): (row("comparison"), member("comparison")),
    ("annotation-api:comparison-changes", "comparisons[]"): (
        row("comparison"),
        member("comparisons"),
    ),
    ("annotation-api:corrupted", "comparison"): (row("comparison"), member("comparison")),
    ("annotation-api:examples", "comparison"): (row("comparison"), member("comparison")),
    ("annotation-api:quiz", "questions[]"): (row("gold"), member("questions")),
    ("annotation-api:next", "ahead_of"): (
        lambda foreign: str(foreign.rows["assignment"].token),
        member("ahead_of"),
    ),
    ("annotation-api:machine-labellings", "machine"): (
        lambda foreign: f"reward_model:{foreign.rows['reward model'].pk}",
        member("machine"),
    ),
    ("training-api:runs", "after"): (row("run"), member("after")),
    ("benchmark-api:evaluations", "project"): (lambda w: w.project.slug, member("project")),
    ("benchmark-api:bring-answers", "project"): (lambda w: w.project.slug, member("project")),
    ("benchmark-api:evaluations", "checkpoint"): (row("checkpoint"), member("checkpoint")),
}
for route in ("training-api:runs", "training-api:chains"):
    REFERENCES |= {
        (route, "project"): (lambda foreign: foreign.project.slug, member("project")),
        (route, "release"): (row("release"), member("release")),
        (route, "base"): (row("checkpoint"), member("base")),
        (route, "policy"): (row("checkpoint"), member("policy")),
        (route, "reward_model"): (row("checkpoint"), member("reward_model")),
    }
HARMLESS = {("annotation-api:next", "ahead_of")}
"""Somebody else's token there is no lease that the person has: it leaves nothing out."""


def members(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    schema = resolved(schema)
    if schema.get("type") == "array":
        yield from members(schema["items"], f"{path}[]")
    elif schema.get("properties"):
        for name, inner in schema["properties"].items():
            yield from members(inner, f"{path}.{name}" if path else name)
    elif path:
        yield path


def test_every_member_of_every_body_is_listed() -> None:
    named = {(op.route.name, path) for op in operations() for path in members(op.schema)}
    unknown = {
        (route, path)
        for route, path in named - set(REFERENCES)
        if path.rpartition(".")[2].removesuffix("[]") not in PLAIN
    }
    assert unknown == set(), "say in PLAIN or REFERENCES what this names"
    assert set(REFERENCES) <= named


@pytest.fixture
def foreign(world: World) -> World:
    """Another project with one of everything, of which nobody of ``world`` is a member."""
    other = make_world(evaluated=False)
    other.rows["foreign image"] = other.comparison.prompt.image
    return other


def manager_of(world: World) -> Client:
    client = Client()
    client.force_login(world.people["manager"])
    return client


def send(client: Client, world: World, operation: Operation, body: Any, **headers: str) -> Any:
    ask = getattr(client, operation.method)
    address = world.address(operation.route)
    return ask(address, body, content_type=operation.content_type, headers=headers)


def test_what_belongs_to_another_project_cannot_be_named(world: World, foreign: World) -> None:
    client = manager_of(world)
    taken, refused_own = [], []
    for operation in operations():
        for (name, path), (value, put) in REFERENCES.items():
            if name != operation.route.name:
                continue
            with transaction.atomic():
                prepare(world, operation)
                own = send(client, world, operation, right_body(world, operation))
                if own.status_code >= 300:
                    refused_own.append((name, own.status_code, own.content[:200]))
                transaction.set_rollback(True)
            with transaction.atomic():
                prepare(world, operation)
                body = right_body(world, operation)
                put(body, value(foreign))
                answer = send(client, world, operation, body)
                allowed = REFUSED | ({200, 204} if (name, path) in HARMLESS else set())
                if answer.status_code not in allowed:
                    taken.append((name, path, answer.status_code, answer.content[:200]))
                transaction.set_rollback(True)
    assert refused_own == []
    assert taken == []


# --- An image by its hash ---------------------------------------------------------------------


def pair(image: Image) -> Body:
    return {
        "id": "new",
        "image": image.sha256,
        "conversations": [{"from": "human", "value": "<image>\nWhat?"}],
        "output_1": {"value": "A cat."},
        "output_2": {"value": "A dog."},
    }


@pytest.mark.parametrize("role", ["annotator", "reviewer", "manager", "admin"])
def test_an_image_is_named_by_whoever_sees_it(world: World, foreign: World, role: str) -> None:
    """A manager of one project who sees another may show its pictures in theirs as well."""
    person = world.people["manager"]
    if role == "admin":
        User.objects.filter(pk=person.pk).update(is_superuser=True)
    else:
        Membership.objects.create(project=foreign.project, user=person, role=role)
    client = manager_of(world)
    path = f"/api/v1/projects/{world.project.slug}/comparisons"
    body = {"comparisons": [pair(foreign.comparison.prompt.image)]}
    assert client.post(path, body, content_type="application/json").status_code == 201


def test_a_hash_opens_no_picture_by_way_of_an_import(world: World, foreign: World) -> None:
    """By REST, and by a file that a worker reads."""
    client, image = manager_of(world), foreign.comparison.prompt.image
    path = f"/api/v1/projects/{world.project.slug}"
    body = {"comparisons": [pair(image)]}
    refused = client.post(f"{path}/comparisons", body, content_type="application/json")
    assert refused.status_code == 422
    file = io.BytesIO(json.dumps(pair(image)).encode())
    sent = client.post(f"{path}/imports", {"format": "llava_rlhf", "records": file})
    jobs.run_import(sent.json()["id"])
    job = ImportJob.objects.get(pk=sent.json()["id"])
    assert (job.state, job.problems[0]["field"]) == ("failed", "image")
    assert client.get(f"/api/v1/images/{image.sha256}").status_code == 404


def test_what_was_uploaded_into_a_project_is_named_there_and_nowhere_else(
    world: World, foreign: World
) -> None:
    client, data = manager_of(world), picture_bytes()
    path = f"/api/v1/projects/{world.project.slug}"
    sent = client.post(f"{path}/images", data, content_type="image/png")
    image = Image.objects.get(sha256=sent.json()["sha256"])
    body = {"comparisons": [pair(image)]}
    other = Client()
    other.force_login(foreign.people["manager"])
    elsewhere = f"/api/v1/projects/{foreign.project.slug}/comparisons"
    assert other.post(elsewhere, body, content_type="application/json").status_code == 422
    named = client.post(f"{path}/comparisons", body, content_type="application/json")
    assert named.status_code == 201
    # Whoever has the picture may upload it, and then name it.
    other.post(f"/api/v1/projects/{foreign.project.slug}/images", data, content_type="image/png")
    assert other.post(elsewhere, body, content_type="application/json").status_code == 201


def test_the_import_of_somebody_who_left_names_what_the_project_has(world: World) -> None:
    other = make_image()
    for person in (None, make_user()):
        found = Stored(access.images_to_name(person, world.project))
        with Decoder() as decoder:
            assert found.find(other.sha256, decoder) is None
            own = found.find(world.comparison.prompt.image.sha256, decoder)
        assert (own is not None) == (person is None)
