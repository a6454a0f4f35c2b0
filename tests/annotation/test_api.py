"""Annotating over REST, from the next assignment to an edited judgment."""

import uuid

import pytest

from annotation.models import Comparison, Judgment, Membership, Project
from tests.annotation.api import Api, answer
from tests.factories import (
    judge,
    make_admin,
    make_comparison,
    make_comparisons,
    make_member,
    make_project,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project(k=2)


@pytest.fixture
def api(project):
    return Api(make_member(project))


def test_an_annotator_takes_answers_and_is_done(project, api):
    comparison = make_comparison(project, model_1="secret-model")
    response = api.post(f"projects/{project.slug}/assignments/next")
    assert response.status_code == 200
    given = response.json()
    texts = {shown["response"]: shown["text"] for shown in given["responses"]}
    assert texts == {1: comparison.response_1, 2: comparison.response_2}
    assert [shown["label"] for shown in given["responses"]] == ["A", "B"]
    assert given["conversation"] == comparison.prompt.conversation
    assert "secret-model" not in response.content.decode()
    sent = api.post(f"assignments/{given['token']}/judgment", answer("1"))
    assert sent.status_code == 201
    assert sent.json()["more_hallucinated"] == "1"
    assert api.post(f"projects/{project.slug}/assignments/next").status_code == 204


def test_an_assignment_can_be_looked_at_and_renewed(project, api):
    make_comparison(project)
    given = api.post(f"projects/{project.slug}/assignments/next").json()
    seen = api.get(f"assignments/{given['token']}").json()
    assert seen == given
    renewed = api.post(f"assignments/{given['token']}/renew").json()
    assert renewed["expires_at"] > given["expires_at"]


def test_the_next_assignment_ahead_of_the_one_on_screen(project, api):
    make_comparisons(project, 2)
    path = f"projects/{project.slug}/assignments/next"
    first = api.post(path).json()
    second = api.post(path, {"ahead_of": first["token"]}).json()
    assert first["token"] != second["token"]
    assert api.post(path).json()["token"] == first["token"]


def test_sending_an_answer_again_is_answered_the_same(project, api):
    make_comparison(project)
    given = api.post(f"projects/{project.slug}/assignments/next").json()
    body = answer("tie", more_helpful="2", note="both fine", active_seconds=2.5)
    first = api.post(f"assignments/{given['token']}/judgment", body)
    second = api.post(f"assignments/{given['token']}/judgment", body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert Judgment.objects.count() == 1


def test_one_uuid_with_two_answers_is_refused_as_a_problem(project, api):
    make_comparison(project)
    given = api.post(f"projects/{project.slug}/assignments/next").json()
    body = answer("1")
    api.post(f"assignments/{given['token']}/judgment", body)
    refused = api.post(f"assignments/{given['token']}/judgment", {**body, "more_hallucinated": "2"})
    assert refused.status_code == 422
    assert refused["Content-Type"] == "application/problem+json"
    assert refused.json()["title"] == "The client UUID belongs to another answer"


def test_an_edit_needs_the_version_it_saw(project, api):
    make_comparison(project)
    given = api.post(f"projects/{project.slug}/assignments/next").json()
    judgment = api.post(f"assignments/{given['token']}/judgment", answer("1")).json()
    path = f"judgments/{judgment['id']}"
    edited = api.put(path, answer("2", version=1))
    assert (edited.status_code, edited.json()["version"]) == (200, 2)
    stale = api.put(path, answer("1", version=1))
    assert (stale.status_code, stale.json()["version"]) == (412, 2)
    assert api.get(path).json()["more_hallucinated"] == "2"
    listed = api.get(f"projects/{project.slug}/judgments").json()
    assert [entry["id"] for entry in listed] == [judgment["id"]]


def test_a_skip_gives_the_comparison_back(project, api):
    comparison = make_comparison(project)
    given = api.post(f"projects/{project.slug}/assignments/next").json()
    skipped = api.post(f"assignments/{given['token']}/skip", {"reason": "sensitive"})
    assert skipped.json()["state"] == "skipped"
    comparison.refresh_from_db()
    assert comparison.open_slots == 2


INVALID = [
    ({"more_hallucinated": "left"}, "more_hallucinated"),
    ({"client_uuid": "no"}, "client_uuid"),
    ({"confidence": 9}, "confidence"),
    ({"note": "x" * 3000}, "note"),
    ({"note": "a\0b"}, "note"),
    ({"note": "\ud800"}, "note"),
    ({"active_seconds": -3}, "active_seconds"),
    ({"spans": [{"response": 3, "start": 0, "end": 2, "kind": "object"}]}, "spans[0].response"),
]


@pytest.mark.parametrize(("fields", "named"), INVALID)
def test_an_invalid_answer_names_its_field(project, api, fields, named):
    make_comparison(project)
    given = api.post(f"projects/{project.slug}/assignments/next").json()
    refused = api.post(f"assignments/{given['token']}/judgment", {**answer(), **fields})
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [named]
    assert not Judgment.objects.exists()


def test_a_tie_without_its_second_answer_names_the_field(project, api):
    make_comparison(project)
    given = api.post(f"projects/{project.slug}/assignments/next").json()
    refused = api.post(f"assignments/{given['token']}/judgment", answer("tie"))
    assert (refused.status_code, refused.json()["field"]) == (422, "more_helpful")


def test_spans_survive_the_way_through(project, api):
    make_comparison(project, response_1="a red circle")
    given = api.post(f"projects/{project.slug}/assignments/next").json()
    span = {"response": 1, "start": 2, "end": 5, "kind": "attribute"}
    body = answer("1", spans=[span])
    stored = api.post(f"assignments/{given['token']}/judgment", body).json()
    assert stored["spans"] == [span]
    assert api.post(f"assignments/{given['token']}/judgment", body).status_code == 200


def test_a_closed_project_hands_nothing_out(project, api):
    Project.objects.update(state="closed")
    refused = api.post(f"projects/{project.slug}/assignments/next")
    assert (refused.status_code, refused.json()["detail"]) == (409, "The project is closed.")


def test_a_paused_member_is_told_so(project):
    annotator = make_member(project)
    Membership.objects.update(paused=True)
    refused = Api(annotator).post(f"projects/{project.slug}/assignments/next")
    assert refused.status_code == 409
    assert "paused" in refused.json()["detail"]


# --- projects ---------------------------------------------------------------------------------


def test_projects_lists_ones_own_with_the_role(project, api):
    make_project()
    listed = api.get("projects").json()["results"]
    assert [(entry["slug"], entry["role"]) for entry in listed] == [(project.slug, "annotator")]


def test_projects_are_paged(django_assert_max_num_queries):
    admin = Api(make_admin())
    for _ in range(5):
        make_project()
    first = admin.get("projects", page_size=2).json()
    assert len(first["results"]) == 2
    seen = [entry["slug"] for entry in first["results"]]
    page = first
    while page["next"]:
        page = admin.client.get(page["next"]).json()
        seen += [entry["slug"] for entry in page["results"]]
    assert len(set(seen)) == len(seen) == 5


def test_creating_a_project_makes_one_its_manager():
    admin = make_admin()
    created = Api(admin).post(
        "projects", {"slug": "birds", "name": "Birds", "judgments_per_comparison": 2}
    )
    assert created.status_code == 201
    project = Project.objects.get(slug="birds")
    assert (project.judgments_per_comparison, project.max_judgments) == (2, 2)
    assert project.created_by == admin
    assert Membership.objects.get(project=project).role == "manager"


def test_fields_that_a_request_may_not_set_stay_as_they_are():
    body = {"slug": "birds", "name": "Birds", "state": "closed", "created_by": 99, "role": "x"}
    Api(make_admin()).post("projects", body)
    project = Project.objects.get(slug="birds")
    assert (project.state, project.created_by.is_superuser) == ("open", True)


def test_a_maximum_below_the_usual_number_is_refused():
    body = {"slug": "b", "name": "B", "judgments_per_comparison": 3, "max_judgments": 2}
    refused = Api(make_admin()).post("projects", body)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "max_judgments"


def test_people_without_the_permission_create_no_project():
    refused = Api(make_user()).post("projects", {"slug": "b", "name": "B"})
    assert refused.status_code == 403


def test_progress_counts_the_project_and_oneself(project, api):
    comparison = make_comparison(project)
    judge(comparison)
    given = api.post(f"projects/{project.slug}/assignments/next").json()
    api.post(f"assignments/{given['token']}/judgment", answer("2"))
    make_comparison(project)
    progress = api.get(f"projects/{project.slug}/progress").json()
    assert progress["project"] == {
        "comparisons": 2,
        "waiting": 1,
        "decided": 1,
        "undecided": 0,
        "disputed": 0,
        "judgments": 2,
        "wanted": 4,
        "surplus": 0,
        "open_leases": 0,
        "share": 0.5,
    }
    assert progress["own"] == {"judged": 1, "judged_today": 1, "skipped": 0}
    assert "members" not in progress


def test_progress_shows_members_to_reviewers(project):
    reviewer = make_member(project, "reviewer")
    members = Api(reviewer).get(f"projects/{project.slug}/progress").json()["members"]
    assert [(entry["user"], entry["role"]) for entry in members] == [
        (reviewer.username, "reviewer")
    ]


def test_progress_takes_no_more_queries_for_more_people(
    project, django_assert_num_queries, django_assert_max_num_queries
):
    reviewer = Api(make_member(project, "reviewer"))
    path = f"projects/{project.slug}/progress"
    reviewer.get(path)
    with django_assert_max_num_queries(12) as few:
        reviewer.get(path)
    for comparison in make_comparisons(project, 3):
        Comparison.objects.exclude(pk=comparison.pk).update(priority=-1)
        Comparison.objects.filter(pk=comparison.pk).update(priority=1)
        judge(comparison)
    with django_assert_num_queries(len(few)):
        reviewer.get(path)


# --- errors -----------------------------------------------------------------------------------


def test_unknown_parameters_are_refused(project, api):
    refused = api.get("projects", created_by__password__startswith="a")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "created_by__password__startswith"


@pytest.mark.parametrize("body", ["{", "[1, 2", "\ufeff", '{"a": NaN}'])
def test_a_body_that_is_not_json_is_a_problem(project, api, body):
    refused = api.post(f"projects/{project.slug}/assignments/next", body)
    assert refused.status_code == 400
    assert refused["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("body", ["[]", "7", '"text"', "null"])
def test_a_body_of_another_type_is_a_problem(project, api, body):
    make_comparison(project)
    given = api.post(f"projects/{project.slug}/assignments/next").json()
    refused = api.post(f"assignments/{given['token']}/judgment", body)
    assert refused.status_code == 400


def test_what_does_not_exist_is_a_problem(api):
    missing = api.get(f"assignments/{uuid.uuid4()}")
    assert missing.status_code == 404
    assert missing.json()["title"] == "Not found"
