"""What the labelling page's requests do, beside what the browser tests show."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation import leases, queue
from annotation.models import Assignment, Comparison, Judgment, Project, User
from tests import factories

pytestmark = pytest.mark.django_db
SCRIPT = {"HX-Request": "true"}


@pytest.fixture
def project() -> Project:
    project = factories.make_project(k=1)
    factories.make_comparisons(project, 3)
    return project


@pytest.fixture
def annotator(project: Project) -> User:
    return factories.make_member(project)


@pytest.fixture
def client(annotator: User) -> Client:
    client = Client()
    client.force_login(annotator)
    return client


@pytest.fixture
def assignment(project: Project, annotator: User) -> Assignment:
    found = queue.claim(project, annotator)
    assert found is not None
    return found


def answer(client: Client, assignment: Assignment, **fields: Any) -> Any:
    fields = {"client_uuid": uuid.uuid4(), "more_hallucinated": "1", **fields}
    fields["more_hallucinated"] = assignment.turned(fields["more_hallucinated"])
    path = reverse("annotation:answer", args=[assignment.token])
    return client.post(path, fields, headers=SCRIPT)


def test_page_shows_the_same_comparison_until_it_is_answered(
    client: Client, project: Project
) -> None:
    path = reverse("annotation:label", args=[project.slug])
    shown = [client.get(path).context["assignment"].token for _ in range(2)]
    assert shown[0] == shown[1]
    assert Assignment.objects.count() == 1


def test_page_shows_the_responses_in_the_recorded_order(
    client: Client, project: Project, assignment: Assignment
) -> None:
    Assignment.objects.update(shown_first=2)
    text = client.get(reverse("annotation:label", args=[project.slug])).content.decode()
    comparison = assignment.comparison
    assert text.index(comparison.response_2) < text.index(comparison.response_1)


def test_ahead_is_another_comparison_and_the_same_one_again(
    client: Client, project: Project, assignment: Assignment
) -> None:
    path = reverse("annotation:label-next", args=[project.slug])
    tokens = [
        client.post(path, {"beside": assignment.token}).context["assignment"].token
        for _ in range(2)
    ]
    assert tokens[0] == tokens[1] != assignment.token


def test_ahead_of_two_is_a_third(client: Client, project: Project, assignment: Assignment) -> None:
    path = reverse("annotation:label-next", args=[project.slug])
    second = client.post(path, {"beside": assignment.token}).context["assignment"].token
    third = client.post(path, {"beside": [assignment.token, second]}).context["assignment"].token
    assert len({assignment.token, second, third}) == 3


def test_nobody_holds_more_than_a_page_needs(client: Client, project: Project) -> None:
    path = reverse("annotation:label-next", args=[project.slug])
    held = [uuid.uuid4() for _ in range(leases.MOST_BESIDE + 1)]
    assert client.post(path, {"beside": held}, headers=SCRIPT).status_code == 422
    assert client.post(path, {"beside": ["no uuid"]}, headers=SCRIPT).status_code == 422
    assert not Assignment.objects.exists()


def test_answer_says_how_far_the_project_is(client: Client, assignment: Assignment) -> None:
    response = answer(client, assignment, active_seconds="3.5")
    assert response.status_code == 200
    assert b'id="label-progress"' in response.content
    judgment = Judgment.objects.get()
    assert (judgment.more_hallucinated, judgment.active_seconds) == ("1", 3.5)


def test_answer_sent_twice_is_one_judgment(client: Client, assignment: Assignment) -> None:
    fields = {"client_uuid": uuid.uuid4()}
    codes = [answer(client, assignment, **fields).status_code for _ in range(2)]
    assert codes == [200, 200]
    assert Judgment.objects.count() == 1


def test_another_answer_under_the_same_uuid_is_refused(
    client: Client, assignment: Assignment
) -> None:
    fields = {"client_uuid": uuid.uuid4()}
    answer(client, assignment, **fields)
    refused = answer(client, assignment, more_hallucinated="2", **fields)
    assert refused.status_code == 422
    assert Judgment.objects.get().more_hallucinated == "1"


@pytest.mark.parametrize(
    "fields",
    [
        {"more_hallucinated": "3"},
        {"more_hallucinated": "tie"},
        {"more_hallucinated": ""},
        {"client_uuid": "7"},
        {"active_seconds": "-1"},
        {"more_helpful": "1"},
        {"confidence": "6"},
        {"note": "x" * 2001},
        {"spans": "{"},
        {"spans": "7"},
        {"spans": '{"response": 1}'},
        {"spans": '[{"response": 1, "start": 0, "end": 9999, "kind": "object"}]'},
        {"spans": '[{"response": 1, "start": 0, "end": 5, "kind": "lie"}]'},
    ],
)
def test_answers_that_are_none_change_nothing(
    client: Client, assignment: Assignment, fields: dict[str, str]
) -> None:
    response = answer(client, assignment, **fields)
    assert response.status_code == 422
    assert response["Content-Type"].startswith("text/plain")
    assert not Judgment.objects.exists()


def test_a_change_needs_the_version_that_it_saw(client: Client, assignment: Assignment) -> None:
    answer(client, assignment)
    assert answer(client, assignment, more_hallucinated="2", version=1).status_code == 200
    assert answer(client, assignment, more_hallucinated="1", version=1).status_code == 412
    assert Judgment.objects.get().more_hallucinated == "2"


def test_previous_walks_back_through_my_answers(client: Client, project: Project) -> None:
    path = reverse("annotation:label", args=[project.slug])
    answered = []
    for _ in range(2):
        assignment = client.get(path).context["assignment"]
        answer(client, assignment)
        answered.append(Judgment.objects.get(assignment=assignment))
    back = reverse("annotation:label-previous", args=[project.slug])
    last = client.post(back).context["judgment"]
    earlier = client.post(back, {"before": last.pk}).context["judgment"]
    nothing = client.post(back, {"before": earlier.pk})
    assert [last, earlier] == answered[::-1]
    assert b"data-nothing" in nothing.content


def test_my_answers_can_be_changed_and_only_mine(client: Client, project: Project) -> None:
    label = reverse("annotation:label", args=[project.slug])
    answered = []
    for _ in range(2):
        assignment = client.get(label).context["assignment"]
        answer(client, assignment)
        answered.append(Judgment.objects.get(assignment=assignment))
    theirs = factories.judge(Comparison.objects.get(judgments=None))
    mine = client.get(reverse("annotation:my-answers", args=[project.slug]))
    assert mine.context["judgments"] == answered[::-1]
    page = client.get(label, {"change": answered[0].pk})
    assert page.context["judgment"] == answered[0]
    assert b'name="version" value="1"' in page.content
    for wrong in (theirs.pk, 0, "x"):
        assert client.get(label, {"change": wrong}).status_code == 404


def test_my_answers_take_a_steady_number_of_queries(
    client: Client, project: Project, django_assert_num_queries: Any
) -> None:
    path = reverse("annotation:my-answers", args=[project.slug])
    label = reverse("annotation:label", args=[project.slug])
    answer(client, client.get(label).context["assignment"])
    with CaptureQueriesContext(connection) as few:
        client.get(path)
    with_one = len(few)
    answer(client, client.get(label).context["assignment"])
    with django_assert_num_queries(with_one):
        client.get(path)


def test_skip_needs_one_of_the_reasons(client: Client, assignment: Assignment) -> None:
    path = reverse("annotation:skip", args=[assignment.token])
    assert client.post(path, {"reason": "bored"}).status_code == 422
    assert client.post(path, {"reason": "sensitive"}, headers=SCRIPT).status_code == 200
    assignment.refresh_from_db()
    assert (assignment.state, assignment.skip_reason) == ("skipped", "sensitive")


def test_a_paused_member_is_told_and_given_nothing(
    client: Client, project: Project, annotator: User
) -> None:
    queue.pause(project.memberships.get(user=annotator))
    page = client.get(reverse("annotation:label", args=[project.slug]))
    assert b"You are paused in this project" in page.content
    ahead = client.post(reverse("annotation:label-next", args=[project.slug]), headers=SCRIPT)
    assert ahead.status_code == 409
    assert not Assignment.objects.exists()


def test_acknowledging_guidelines_stores_their_version(
    client: Client, project: Project, annotator: User
) -> None:
    project.change_guidelines("Look closely.")
    label = reverse("annotation:label", args=[project.slug])
    assert b"data-show-guidelines" in client.get(label).content
    client.post(reverse("annotation:acknowledge", args=[project.slug]), {"version": 2})
    assert project.memberships.get(user=annotator).guidelines_acknowledged == 2
    assert b"data-show-guidelines" not in client.get(label).content


def test_guidelines_are_markdown_without_html(client: Client, project: Project) -> None:
    project.change_guidelines(
        "**bold** <b onclick='x()'>raw</b> [a](javascript:x()) [b](https://b.c)"
    )
    text = client.get(reverse("annotation:label", args=[project.slug])).content.decode()
    prose = text[text.index('<div class="prose">') :]
    assert "<strong>bold</strong>" in prose
    assert "<b onclick" not in prose
    assert 'href="javascript:' not in prose
    assert '<a href="https://b.c" rel="noopener noreferrer">b</a>' in prose
