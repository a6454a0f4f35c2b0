"""People as judges: blind, in an order of their own, each answer rated once, one step back."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Project, User
from benchmark import evaluating
from benchmark.board import leaderboard
from benchmark.judging import by_hand, work
from benchmark.models import Evaluation, Judge, QuestionSet
from tests.benchmark.factories import make_judge, make_question_set
from tests.factories import make_member, make_project

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


@pytest.fixture
def judge() -> Judge:
    return make_judge("people", kind=Judge.Kind.PERSON, base_url="", model="")


@pytest.fixture
def question_set() -> QuestionSet:
    return make_question_set(count=4)


@pytest.fixture
def rater(project: Project) -> User:
    return make_member(project, "reviewer")


def answered(judge: Judge, questions: QuestionSet, project: Project, name: str) -> Evaluation:
    evaluation = evaluating.start(
        question_set=questions, judge=judge, model_name=name, project=project
    )
    said = {q: evaluating.Said(f"text {q.number}") for q in questions.questions.all()}
    evaluating.store_answers(evaluation, said)
    return evaluation


def client_of(user: User) -> Client:
    client = Client(headers=HTMX)
    client.force_login(user)
    return client


def page_of(judge: Judge) -> str:
    return reverse("benchmark:rate", args=[judge.pk])


def rate_all(client: Client, judge: Judge, ratings: list[int]) -> Any:
    answer = client.get(page_of(judge))
    for rating in ratings:
        task = answer.context["work"].task.token
        answer = client.post(page_of(judge), {"task": task, "rating": rating})
        assert answer.status_code == 200
    return answer


def test_ratings_give_the_score_and_a_group_of_their_own(
    judge: Judge, question_set: QuestionSet, project: Project, rater: User
) -> None:
    evaluation = answered(judge, question_set, project, "A model")
    last = rate_all(client_of(rater), judge, [6, 3, 2, 0])
    assert "Nothing waits for a rating" in last.content.decode()
    evaluation.refresh_from_db()
    assert evaluation.state == Evaluation.State.COMPLETE
    assert evaluation.summary["score"]["value"] == 2.75
    assert evaluation.summary["hallucination_rate"]["value"] == 0.5
    assert {v.rated_by for v in evaluation.verdicts()} == {rater}
    (group,) = leaderboard.groups(Evaluation.objects.all())
    assert group.first.judge == judge


def test_the_page_does_not_tell_the_model(
    judge: Judge, question_set: QuestionSet, project: Project, rater: User
) -> None:
    models = [answered(judge, question_set, project, f"SECRET {n}") for n in range(2)]
    client = client_of(rater)
    seen = []
    for _ in range(8):
        answer = client.get(page_of(judge))
        page, task = answer.content.decode(), answer.context["work"].task
        seen.append(task.answer)
        assert "SECRET" not in page
        assert f"/evaluations/{models[0].pk}" not in page
        assert f"text {task.answer.question.number}" in page
        client.post(page_of(judge), {"task": task.token, "rating": "4"})
    assert {a.evaluation for a in seen} == set(models)
    assert {a.question.number for a in seen} == {1, 2, 3, 4}


def test_the_order_differs_between_people_and_stays_for_one(
    judge: Judge, project: Project, rater: User
) -> None:
    answered(judge, make_question_set(count=30), project, "model")
    visible = Evaluation.objects.all()
    orders = [
        [pk for _, pk in sorted(by_hand._by_token(by_hand._unrated(visible), user).items())]
        for user in (rater, rater, make_member(project, "manager"))
    ]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])
    assert sorted(orders[0]) == sorted(orders[2])


def test_an_answer_is_rated_once(
    judge: Judge, question_set: QuestionSet, project: Project, rater: User
) -> None:
    evaluation = answered(judge, question_set, project, "model")
    client = client_of(rater)
    task = client.get(page_of(judge)).context["work"].task.token
    client.post(page_of(judge), {"task": task, "rating": "5"})
    again = client.post(page_of(judge), {"task": task, "rating": "1"})
    assert "had been rated already" in again.content.decode()
    assert [v.rating for v in evaluation.verdicts()] == [5]


def test_the_token_of_one_person_is_of_no_use_to_another(
    judge: Judge, question_set: QuestionSet, project: Project, rater: User
) -> None:
    evaluation = answered(judge, question_set, project, "model")
    task = client_of(rater).get(page_of(judge)).context["work"].task.token
    other = client_of(make_member(project, "manager"))
    other.post(page_of(judge), {"task": task, "rating": "5"})
    assert not evaluation.verdicts().exists()


@pytest.mark.parametrize("rating", ["7", "-1", "", "x"])
def test_another_rating_is_refused(
    judge: Judge, question_set: QuestionSet, project: Project, rater: User, rating: str
) -> None:
    evaluation = answered(judge, question_set, project, "model")
    client = client_of(rater)
    task = client.get(page_of(judge)).context["work"].task.token
    answer = client.post(page_of(judge), {"task": task, "rating": rating})
    assert answer.status_code == 422
    assert not evaluation.verdicts().exists()


def test_the_last_rating_can_be_taken_back_even_from_a_complete_evaluation(
    judge: Judge, question_set: QuestionSet, project: Project, rater: User
) -> None:
    evaluation = answered(judge, question_set, project, "model")
    client = client_of(rater)
    rate_all(client, judge, [6, 6, 6, 0])
    undo = reverse("benchmark:rate-undo", args=[judge.pk])
    answer = client.post(undo)
    evaluation.refresh_from_db()
    assert evaluation.state == Evaluation.State.JUDGING
    assert evaluation.summary == {}
    assert sorted(v.rating for v in evaluation.verdicts()) == [6, 6, 6]
    client.post(page_of(judge), {"task": answer.context["work"].task.token, "rating": "6"})
    evaluation.refresh_from_db()
    assert evaluation.summary["score"]["value"] == 6


def test_nobody_takes_back_what_another_rated(
    judge: Judge, question_set: QuestionSet, project: Project, rater: User
) -> None:
    evaluation = answered(judge, question_set, project, "model")
    rate_all(client_of(rater), judge, [6])
    other = client_of(make_member(project, "manager"))
    answer = other.post(reverse("benchmark:rate-undo", args=[judge.pk]))
    assert "nothing to take back" in answer.content.decode()
    assert evaluation.verdicts().count() == 1


def test_answers_of_other_projects_are_not_shown(
    judge: Judge, question_set: QuestionSet, rater: User
) -> None:
    answered(judge, question_set, make_project(), "model")
    assert client_of(rater).get(page_of(judge)).context["work"].total == 0


def test_no_machine_judges_for_a_person(
    judge: Judge, question_set: QuestionSet, project: Project
) -> None:
    evaluation = answered(judge, question_set, project, "model")
    work.judge(evaluation.pk)
    evaluation.refresh_from_db()
    assert evaluation.state == Evaluation.State.JUDGING
    assert not evaluation.verdicts().exists()


def test_the_leaderboard_leads_to_the_work(
    judge: Judge, question_set: QuestionSet, project: Project, rater: User
) -> None:
    answered(judge, question_set, project, "model")
    page = client_of(rater).get(reverse("benchmark:leaderboard")).content.decode()
    assert "4 answers wait for a person’s rating" in page  # noqa: RUF001
    assert page_of(judge) in page


def test_without_script_the_form_works_too(
    judge: Judge, question_set: QuestionSet, project: Project, rater: User
) -> None:
    evaluation = answered(judge, question_set, project, "model")
    client = Client()
    client.force_login(rater)
    task = client.get(page_of(judge)).context["work"].task.token
    answer = client.post(page_of(judge), {"task": task, "rating": "5"})
    assert answer.status_code == 302
    assert answer["Location"] == page_of(judge)
    assert evaluation.verdicts().get().rating == 5
