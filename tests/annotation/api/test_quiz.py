"""REST of the entry quiz, and of its settings."""

from __future__ import annotations

import pytest

from annotation import gold_and_repeats
from annotation.models import Membership, Project, User
from annotation.onboarding import quiz
from tests.annotation.api import Api
from tests.factories import make_comparison, make_comparisons, make_member, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def newcomer(project: Project) -> User:
    return make_member(project)


@pytest.fixture
def questions(api: Api, project: Project) -> list[int]:
    """Two of them, switched on over REST: all must be answered rightly, in one attempt."""
    made = make_comparisons(project, 2)
    for comparison in made:
        gold_and_repeats.make_gold(comparison, more_hallucinated="1")
    body = {"quiz_pass_mark": 1, "quiz_attempts": 1}
    assert api.patch(f"projects/{project.slug}", body).status_code == 200
    chosen = [one.pk for one in made]
    assert api.put(f"projects/{project.slug}/quiz", {"questions": chosen}).status_code == 200
    return chosen


def fail(project: Project, person: User) -> None:
    attempt = quiz.begin(project, person)
    while question := quiz.next_question(attempt):
        quiz.answer(question, "2")


def test_questions_are_chosen_and_read(api: Api, project: Project, questions: list[int]) -> None:
    path = f"projects/{project.slug}/quiz"
    shown = api.get(path).json()
    assert [one["id"] for one in shown["questions"]] == questions
    assert (shown["pass_mark"], shown["attempts"], shown["needed"]) == (1.0, 1, 2)
    plain = make_comparison(project)
    refused = api.put(path, {"questions": [plain.pk]})
    assert (refused.status_code, refused.json()["field"]) == (422, "questions")
    assert api.put(path, {"questions": ["one"]}).status_code == 400
    assert [one.pk for one in quiz.questions(project)] == questions
    assert api.put(path, {"questions": []}).json()["questions"] == []


def test_results_an_attempt_more_and_letting_in(
    api: Api, project: Project, questions: list[int], newcomer: User, manager: User
) -> None:
    path = f"projects/{project.slug}/quiz"
    fail(project, newcomer)
    [person] = api.get(path).json()["people"]
    assert (person["username"], person["state"]) == (newcomer.username, "no_attempt_left")
    assert person["attempts"] == [{"right": 0, "questions": 2, "passed": False}]
    assert [one["answers"] for one in api.get(path).json()["questions"]] == [1, 1]
    grant, key = f"{path}/members/{person['member']}/attempts", {"Idempotency-Key": "one"}
    granted = api.post(grant, **key)
    assert (granted.status_code, granted.json()["attempts_left"]) == (201, 1)
    assert granted.json()["grants"][0]["granted_by"] == manager.username
    assert api.post(grant, **key).json() == granted.json()
    assert api.post(grant).status_code == 409
    admitted = api.post(f"{path}/members/{person['member']}/admission").json()
    assert (admitted["state"], admitted["admitted_by"]) == ("let_in", manager.username)


def test_the_quiz_is_for_annotators_of_the_project(
    api: Api, project: Project, questions: list[int], manager: User
) -> None:
    path = f"projects/{project.slug}/quiz/members"
    foreign = Membership.objects.get(user=make_member(make_project()))
    for pk in (project.memberships.get(user=manager).pk, foreign.pk):
        assert api.post(f"{path}/{pk}/attempts").status_code == 404
        assert api.post(f"{path}/{pk}/admission").status_code == 404
