"""Annotating over REST, from the next assignment to an edited judgment."""

import pytest

from annotation.models import Assignment, Judgment, Membership, Project
from tests.annotation.api import Api, answer
from tests.factories import (
    make_comparison,
    make_comparisons,
    make_member,
    make_project,
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
    texts = {shown["text"] for shown in given["responses"]}
    assert texts == {comparison.response_1, comparison.response_2}
    named = [(shown["label"], shown["response"]) for shown in given["responses"]]
    assert named == [("A", 1), ("B", 2)]
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
    ({"corrections": [{"response": 3, "text": "a"}]}, "corrections[0].response"),
    ({"corrections": [{"response": 1}]}, "corrections[0].text"),
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


@pytest.mark.parametrize("shown_first", [1, 2])
def test_a_correction_names_a_place_and_is_kept_by_its_record_number(project, api, shown_first):
    Project.objects.update(ask_correction="better", correction_required=True)
    make_comparison(project)
    path = f"projects/{project.slug}/assignments/next"
    api.post(path)
    Assignment.objects.update(shown_first=shown_first)
    given = api.post(path).json()
    assert (given["ask_correction"], given["correction_required"]) == ("better", True)
    better = given["responses"][1]
    send = f"assignments/{given['token']}/judgment"
    for wrong in ([], [{"response": 1, "text": "A star."}]):
        refused = api.post(send, answer("1", corrections=wrong))
        assert (refused.status_code, refused.json()["field"]) == (422, "corrections")
    corrected = [{"response": 2, "text": f"{better['text']} Yes.\n"}]
    body = answer("1", corrections=corrected)
    stored = api.post(send, body).json()
    assert stored["corrections"] == corrected
    assert api.post(send, body).status_code == 200
    kept = [{**corrected[0], "response": 3 - shown_first}]
    judgment = Judgment.objects.get()
    assert judgment.corrections == kept
    assert judgment.versions.get().corrections == kept
    reviewer = Api(make_member(project, "reviewer"))
    [seen] = reviewer.get(f"projects/{project.slug}/comparisons").json()["results"]
    assert seen["corrections"] == kept
    counts = reviewer.get(f"projects/{project.slug}/progress").json()["project"]
    assert (counts["corrected"], counts["judgments"]) == (1, 1)


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
