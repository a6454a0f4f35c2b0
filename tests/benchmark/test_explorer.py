"""Questions side by side: of a ranking, and of two models."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Project
from benchmark.board import explorer, leaderboard
from benchmark.board.leaderboard import Group
from benchmark.models import Answer, Evaluation
from tests.benchmark.factories import make_evaluation, make_question_set
from tests.benchmark.injections import INJECTIONS
from tests.factories import make_member, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def group(project: Project) -> Group:
    """Eight questions, one of each type; the models differ most on the third."""
    questions = make_question_set(count=8)
    for name, ratings in (("Low", [3, 2, 0, 3, 3, 3, 3, 3]), ("High", [3, 4, 6, 3, 3, 4, 3, 3])):
        make_evaluation(ratings, question_set=questions, model_name=name, project=project)
    (found,) = leaderboard.groups(Evaluation.objects.all())
    return found


def test_each_model_has_its_rating_at_each_question(group: Group) -> None:
    grid = explorer.grid(group)
    assert [model.model_name for model in grid.models] == ["High", "Low"]
    assert [line.question.number for line in grid.lines] == list(range(1, 9))
    third = grid.lines[2]
    assert [(cell.got.text, cell.got.good) for cell in third.cells] == [("6", True), ("0", False)]


def test_questions_are_chosen_by_type_and_sorted_by_spread(group: Group) -> None:
    numbers = [line.question.number for line in explorer.grid(group, by_spread=True).lines]
    assert numbers[:3] == [3, 2, 6]
    (line,) = explorer.grid(group, question_type="counting").lines
    assert line.question.type == "counting"


def test_an_answer_that_speaks_to_the_judge_is_marked_and_counted(
    group: Group, project: Project
) -> None:
    Answer.objects.filter(evaluation=group.rows[1], question__index=4).update(text=INJECTIONS[0])
    grid = explorer.grid(group)
    assert grid.addressing == 1
    assert grid.lines[4].cells[1].addresses_judge
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    page = client.get(reverse("benchmark:explorer", args=[group.id])).content.decode()
    assert "1 answer speaks to the judge" in page
    assert page.count('title="Speaks to the judge"') == 1


def test_the_number_of_queries_does_not_grow(group: Group, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(3):
        explorer.grid(group)


def test_rankings_of_others_are_not_there(group: Group) -> None:
    client = Client()
    client.force_login(make_member(make_project(), "manager"))
    assert client.get(reverse("benchmark:explorer", args=[group.id])).status_code == 404


def test_largest_changes_come_first_and_equal_ones_in_their_order(
    group: Group, django_assert_num_queries: Any
) -> None:
    high, low = group.rows
    with django_assert_num_queries(2):
        changes = explorer.largest_changes(low, high)
    found = [(change.question.number, change.first, change.second) for change in changes]
    assert found == [(3, 0, 6), (2, 2, 4), (6, 3, 4)]
    assert [change.question.number for change in explorer.largest_changes(low, high, most=1)] == [3]


def test_what_one_model_was_not_asked_is_no_change(group: Group) -> None:
    partial = make_evaluation([6], question_set=group.first.question_set, model_name="partial")
    (change,) = explorer.largest_changes(group.first, partial)
    assert (change.question.number, change.first, change.second) == (1, 3, 6)
