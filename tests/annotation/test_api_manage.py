"""REST of managing: settings, members, invitations, imports, quality and gold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.base import ContentFile

from annotation import jobs
from annotation.models import (
    Comparison,
    IdempotentAnswer,
    ImportJob,
    Invitation,
    Membership,
    Project,
    User,
)
from tests.annotation.api import Api
from tests.annotation.test_importing import record
from tests.annotation.test_jobs import uploads
from tests.factories import (
    judge,
    make_comparison,
    make_member,
    make_project,
    make_user,
    picture_bytes,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(k=1, gold_rate=0.1)


@pytest.fixture
def manager(project: Project) -> User:
    return make_member(project, "manager")


@pytest.fixture
def api(manager: User) -> Api:
    return Api(manager)


# --- Settings ---------------------------------------------------------------------------------


def test_settings_are_changed_one_at_a_time(api: Api, project: Project) -> None:
    path = f"projects/{project.slug}"
    changed = api.patch(path, {"gold_rate": 0.2, "guidelines": "# New", "state": "paused"})
    assert changed.status_code == 200
    assert (changed.json()["gold_rate"], changed.json()["guidelines_version"]) == (0.2, 2)
    project.refresh_from_db()
    assert (project.state, project.judgments_per_comparison) == ("paused", 1)
    refused = api.patch(path, {"judgments_per_comparison": 4, "max_judgments": 2})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "max_judgments"
    api.patch(path, {"slug": "other", "created_by": 1, "guidelines_version": 9})
    project.refresh_from_db()
    assert (project.guidelines_version, project.created_by) == (2, None)


# --- People -----------------------------------------------------------------------------------


def test_members_are_added_changed_and_removed(api: Api, project: Project) -> None:
    path, person = f"projects/{project.slug}/members", make_user("jun")
    added = api.post(path, {"username": "jun", "role": "annotator"})
    assert (added.status_code, added.json()["username"]) == (201, "jun")
    assert api.post(path, {"username": "jun", "role": "annotator"}).status_code == 409
    assert api.post(path, {"username": "nobody", "role": "annotator"}).status_code == 400
    one = f"{path}/{added.json()['id']}"
    changed = api.patch(one, {"role": "reviewer", "paused": True})
    assert (changed.json()["role"], changed.json()["paused"]) == ("reviewer", True)
    assert api.patch(one, {"paused": False}).json()["paused"] is False
    assert len(api.get(path).json()["results"]) == 2
    assert api.delete(one).status_code == 204
    assert not Membership.objects.filter(user=person).exists()


def test_the_last_manager_stays(api: Api, project: Project, manager: User) -> None:
    membership = project.memberships.get(user=manager)
    one = f"projects/{project.slug}/members/{membership.pk}"
    assert api.delete(one).status_code == 409
    assert api.patch(one, {"role": "annotator"}).status_code == 409
    membership.refresh_from_db()
    assert membership.role == "manager"


def test_an_invitation_link_is_shown_once_and_stored_nowhere(api: Api, project: Project) -> None:
    path, key = f"projects/{project.slug}/invitations", {"Idempotency-Key": "one"}
    made = api.post(path, {"role": "annotator", "note": "Noor"}, **key)
    again = api.post(path, {"role": "annotator", "note": "Noor"}, **key)
    raw = made.json()["link"].rstrip("/").rpartition("/")[2]
    assert Invitation.objects.usable().matching(raw).get().pk == again.json()["id"]
    assert (again.status_code, again.json()["link"]) == (201, None)
    assert raw not in json.dumps(list(IdempotentAnswer.objects.values_list("answer", flat=True)))
    (listed,) = api.get(path).json()["results"]
    assert "link" not in listed
    assert api.delete(f"{path}/{listed['id']}").status_code == 204
    assert api.delete(f"{path}/{listed['id']}").status_code == 404


# --- Imports ----------------------------------------------------------------------------------


def send_files(api: Api, project: Project, key: str, *records: Any, **fields: Any) -> Any:
    files = uploads(*records, images={"a.png": picture_bytes(colour=(1, 2, 3))})
    form = {"format": "llava_rlhf", "records": files["records"], "images": files["images"]}
    headers = {"Idempotency-Key": key}
    path = f"/api/v1/projects/{project.slug}/imports"
    return api.client.post(path, {**form, **fields}, headers=headers)


def test_files_are_imported_and_every_fault_is_told(api: Api, project: Project) -> None:
    made = send_files(api, project, "one", record(1))
    assert (made.status_code, made.json()["state"]) == (201, "queued")
    assert send_files(api, project, "one", record(1)).json() == made.json()
    assert send_files(api, project, "one", record(2)).status_code == 422
    jobs.run_import(ImportJob.objects.get().pk)
    done = api.get(f"projects/{project.slug}/imports/{made.json()['id']}").json()
    assert (done["state"], done["created_count"], done["problems"]) == ("succeeded", 1, [])
    bad = send_files(api, project, "two", {"id": "x"})
    jobs.run_import(bad.json()["id"])
    told = api.get(f"projects/{project.slug}/imports").json()["results"][1]
    assert (told["state"], told["problems"][0]["line"]) == ("failed", 1)


def test_a_form_that_does_not_fit_its_format_is_refused(api: Api, project: Project) -> None:
    refused = send_files(api, project, "one", record(1), format="mmhal")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "second_records"
    unknown = send_files(api, project, "two", record(1), format="pickle")
    assert unknown.json()["errors"][0]["field"] == "format"
    assert not ImportJob.objects.exists()


def test_captions_come_with_a_rest_import(api: Api, project: Project) -> None:
    captions = ContentFile(json.dumps({"a.png": "a dog"}).encode(), name="captions.json")
    bare = record(1)
    del bare["captions"]
    made = send_files(api, project, "one", bare, captions=captions)
    jobs.run_import(made.json()["id"])
    assert Comparison.objects.get().prompt.captions == ["a dog"]


# --- Quality and gold -------------------------------------------------------------------------


def test_the_quality_report_says_what_the_pages_say(project: Project) -> None:
    for said in ("1", "1", "tie"):
        judge(make_comparison(project), said, "1" if said == "tie" else "")
    found = Api(make_member(project, "reviewer")).get(f"projects/{project.slug}/quality").json()
    assert found["ties"] == {
        "part": 1,
        "whole": 3,
        "value": pytest.approx(1 / 3),
        "low": pytest.approx(0.061, abs=1e-3),
        "high": pytest.approx(0.792, abs=1e-3),
    }
    assert [one["answers"] for one in found["annotators"]] == [1, 1, 1]
    assert found["annotators"][0]["gold"]["value"] is None
    assert (
        "Cannot say yet" in found["forecast"]["reason"] or "Nothing" in found["forecast"]["reason"]
    )
    assert (len(found["days"]), found["days"][-1]["answers"]) == (28, 3)
    assert found["agreement"]["comparisons"] == 0


def test_gold_is_stated_listed_and_withdrawn(api: Api, project: Project) -> None:
    path, comparison = f"projects/{project.slug}/gold", make_comparison(project)
    body = {"comparison": comparison.pk, "more_hallucinated": "2", "explanation": "a star"}
    made = api.post(path, body)
    assert (made.status_code, made.json()["more_hallucinated"]) == (201, "2")
    (listed,) = api.get(path).json()["results"]
    assert (listed["explanation"], listed["corrupted_from"]) == ("a star", None)
    assert api.delete(f"{path}/{comparison.pk}").status_code == 204
    comparison.refresh_from_db()
    assert not comparison.is_gold
    other = make_comparison(make_project())
    assert api.post(path, {**body, "comparison": other.pk}).status_code == 404


def test_gold_is_made_by_corruption_and_by_promotion(api: Api, project: Project) -> None:
    comparison = make_comparison(project, response_1="Two red apples.", response_2="A cat.")
    judge(comparison, "2")
    drafts = api.get(f"projects/{project.slug}/comparisons/{comparison.pk}/drafts").json()
    assert {one["kind"] for one in drafts} == {"object", "count", "colour"}
    body = {"comparison": comparison.pk, "text": drafts[0]["text"]}
    made = api.post(f"projects/{project.slug}/gold/corrupted", body)
    assert made.status_code == 201
    assert made.json()["corrupted_from"] == comparison.external_id
    same = {"comparison": comparison.pk, "text": "Two red apples."}
    assert api.post(f"projects/{project.slug}/gold/corrupted", same).status_code == 422
    promoted = api.post(f"projects/{project.slug}/gold/promote", {"most": 5})
    assert (promoted.status_code, promoted.json()) == (201, {"made": 0})
