"""The pages of the entry quiz."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation import gold_and_repeats
from annotation.models import Membership, Project, QuizAnswer, User
from annotation.onboarding import quiz
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    project = factories.make_project(quiz_pass_mark=1.0, quiz_attempts=1)
    made = factories.make_comparisons(project, 2)
    for comparison in made:
        gold_and_repeats.make_gold(
            comparison, more_hallucinated="1", explanation="The circle is blue."
        )
    quiz.choose(project, [one.pk for one in made])
    factories.make_comparisons(project, 2)
    return project


@pytest.fixture
def newcomer(project: Project) -> User:
    return factories.make_member(project)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def begin(client: Client, project: Project) -> QuizAnswer:
    client.post(reverse("annotation:quiz-begin", args=[project.slug]))
    return first(client, project)


def first(client: Client, project: Project) -> QuizAnswer:
    page = client.get(reverse("annotation:label", args=[project.slug]))
    question: QuizAnswer = page.context["question"]
    return question


def answer(client: Client, question: QuizAnswer, given: str) -> Any:
    path = reverse("annotation:quiz-answer", args=[question.pk])
    return client.post(path, {"more_hallucinated": given}, follow=True)


def test_a_newcomer_sees_the_quiz_instead_of_work(project: Project, newcomer: User) -> None:
    page = logged_in(newcomer).get(reverse("annotation:label", args=[project.slug]))
    assert "First a short quiz" in page.content.decode()
    assert "2 right answers let you in" in page.content.decode()


def test_the_right_answer_and_its_explanation_come_after_the_answer(
    project: Project, newcomer: User
) -> None:
    client = logged_in(newcomer)
    question = begin(client, project)
    before = client.get(reverse("annotation:label", args=[project.slug])).content.decode()
    assert "The circle is blue." not in before
    assert "hallucinates more</span>" not in before
    after = answer(client, question, "2").content.decode()
    assert "Not right." in after
    assert "The circle is blue." in after
    letter = "AB"[question.order.index(1)]
    assert f"Response {letter} hallucinates more." in after


def test_passing_leads_to_work(project: Project, newcomer: User) -> None:
    client = logged_in(newcomer)
    answer(client, begin(client, project), "1")
    assert "You passed: 2 of 2" in answer(client, first(client, project), "1").content.decode()
    page = client.get(reverse("annotation:label", args=[project.slug]))
    assert page.context["assignment"].comparison.is_gold is False


def test_failing_the_last_attempt_says_who_can_help(project: Project, newcomer: User) -> None:
    client = logged_in(newcomer)
    answer(client, begin(client, project), "2")
    answer(client, first(client, project), "1")
    page = client.get(reverse("annotation:label", args=[project.slug])).content.decode()
    assert "You have no attempt left" in page
    assert "1 of your answers were right" in page


def test_a_second_answer_to_a_question_changes_nothing(project: Project, newcomer: User) -> None:
    client = logged_in(newcomer)
    question = begin(client, project)
    answer(client, question, "2")
    assert "answered this question" in answer(client, question, "1").content.decode()
    assert QuizAnswer.objects.get(pk=question.pk).given == "2"
    assert client.post(reverse("annotation:quiz-answer", args=[question.pk])).status_code == 422


def test_feedback_is_for_answered_questions_of_ones_own(project: Project, newcomer: User) -> None:
    client = logged_in(newcomer)
    question = begin(client, project)
    path = f"{reverse('annotation:label', args=[project.slug])}?answered={question.pk}"
    assert client.get(path).status_code == 404
    answer(client, question, "1")
    assert client.get(path).status_code == 200
    assert logged_in(factories.make_member(project)).get(path).status_code == 404


def test_rest_refuses_work_with_a_problem(project: Project, newcomer: User) -> None:
    client = Client(headers={"Authorization": f"Bearer {factories.make_token(newcomer)}"})
    refused = client.post(
        reverse("annotation-api:next", args=[project.slug]), {}, content_type="application/json"
    )
    assert refused.status_code == 409
    assert refused["Content-Type"] == "application/problem+json"
    problem = refused.json()
    assert problem["title"] == "The entry quiz comes first"
    assert (problem["questions"], problem["needed"], problem["attempts_left"]) == (2, 2, 1)
    assert problem["page"] == reverse("annotation:label", args=[project.slug])


def test_a_manager_chooses_questions(project: Project) -> None:
    manager = factories.make_member(project, "manager")
    client, path = logged_in(manager), reverse("annotation:quiz", args=[project.slug])
    keep, drop = quiz.questions(project)
    client.post(path, {"questions": [keep.pk]})
    assert list(quiz.questions(project)) == [keep]
    plain = project.comparisons.filter(gold_more_hallucinated="").first()
    assert plain is not None
    assert client.post(path, {"questions": [plain.pk]}).status_code == 422
    assert list(quiz.questions(project)) == [keep]
    assert drop.is_gold


def test_a_manager_sees_results_and_lets_people_in(project: Project, newcomer: User) -> None:
    client = logged_in(newcomer)
    answer(client, begin(client, project), "2")
    manager = logged_in(factories.make_member(project, "manager"))
    path = reverse("annotation:quiz", args=[project.slug])
    assert "0 of 2 so far" in manager.get(path).content.decode()
    membership = Membership.objects.get(user=newcomer)
    manager.post(reverse("annotation:quiz-admit", args=[project.slug, membership.pk]))
    assert "let in" in manager.get(path).content.decode()
    page = client.get(reverse("annotation:label", args=[project.slug]))
    assert page.context["assignment"].comparison.is_gold is False


def test_a_manager_grants_one_more_attempt(project: Project, newcomer: User) -> None:
    client = logged_in(newcomer)
    manager = factories.make_member(project, "manager")
    path = reverse("annotation:quiz", args=[project.slug])
    membership = Membership.objects.get(user=newcomer)
    grant = reverse("annotation:quiz-grant", args=[project.slug, membership.pk])
    early = logged_in(manager).post(grant, follow=True).content.decode()
    assert f"{newcomer.username} has an attempt left" in early
    assert "One more attempt" not in early
    answer(client, begin(client, project), "2")
    answer(client, first(client, project), "2")
    assert "One more attempt" in logged_in(manager).get(path).content.decode()
    after = logged_in(manager).post(grant, follow=True).content.decode()
    assert f"one more granted by {manager.username}, today" in after
    page = client.get(reverse("annotation:label", args=[project.slug])).content.decode()
    assert "You have 1 attempt left" in page
    assert "Try again" in page


def test_the_page_of_results_needs_no_more_queries_for_more_people(
    project: Project, django_assert_max_num_queries: Any
) -> None:
    manager = logged_in(factories.make_member(project, "manager"))
    boss = factories.make_member(project, "manager")
    for _ in range(8):
        person = factories.make_member(project)
        quiz.begin(project, person)
        project.memberships.get(user=person).quiz_grants.create(granted_by=boss)
    with django_assert_max_num_queries(17):
        manager.get(reverse("annotation:quiz", args=[project.slug]))
