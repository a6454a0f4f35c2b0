"""The leaderboard as a page: figures with their intervals, who sees which, its queries."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Project, User
from tests.benchmark.factories import make_evaluation, make_judge, make_question_set
from tests.benchmark.test_views import client_of, text_of
from tests.factories import make_member

pytestmark = pytest.mark.django_db


def test_leaderboard_shows_figures_with_their_intervals(project: Project, manager: User) -> None:
    evaluation = make_evaluation([6, 3, 0, 2, 5, 5, 4, 1], project=project, model_name="LLaVA")
    page = text_of(client_of(manager).get(reverse("benchmark:leaderboard")))
    summary = evaluation.summary
    assert "LLaVA" in page
    assert f'>3.25<span class="cell-sub">{summary["score"]["low"]:.2f} to' in page
    assert "38 %" in page  # the rate, 3 of 8
    assert "46 %" in page  # informativeness, 11 of 24
    assert "8 of 8 questions" in page


def test_leaderboard_never_ranks_judges_together(project: Project, manager: User) -> None:
    question_set = make_question_set(count=2)
    for name in ("strict", "kind"):
        judge = make_judge(name)
        make_evaluation([1, 2], question_set=question_set, judge=judge, project=project)
    response = client_of(manager).get(reverse("benchmark:leaderboard"))
    groups = response.context["groups"]
    assert [len(group.rows) for group in groups] == [1, 1]
    assert {group.first.judge.name for group in groups} == {"strict", "kind"}


def test_leaderboard_says_what_its_questions_can_show(project: Project, manager: User) -> None:
    question_set = make_question_set(count=8)
    for name, ratings in (("low", [0, 1, 0, 1, 2, 0, 1, 0]), ("high", [6, 5, 6, 5, 6, 6, 5, 4])):
        make_evaluation(ratings, question_set=question_set, project=project, model_name=name)
    page = text_of(client_of(manager).get(reverse("benchmark:leaderboard")))
    assert "These 8 questions usually do not show a difference in score under 1.03" in page
    assert '<span class="badge badge-danger">lower</span>' in page
    assert "p = 0.008" in page


def test_published_rows_stand_apart(manager: User) -> None:
    page = text_of(client_of(manager).get(reverse("benchmark:leaderboard")))
    assert "LLaVA-RLHF-13B-336" in page
    assert "gpt-4-0314, retired" in page
    assert "No scores yet" in page


def test_an_annotator_sees_no_scores(project: Project) -> None:
    make_evaluation([1, 2], project=project, model_name="SECRET MODEL")
    annotator = client_of(make_member(project, "annotator"))
    page = text_of(annotator.get(reverse("benchmark:leaderboard")))
    assert "SECRET MODEL" not in page
    assert "annotators do not see" in page


def test_the_number_of_queries_does_not_grow_with_evaluations(
    project: Project, manager: User, django_assert_num_queries: Any
) -> None:
    question_set = make_question_set(count=2)
    client = client_of(manager)
    counts = []
    for number in range(2):
        for extra in range(2 + 3 * number):
            name = f"model {number} {extra}"
            make_evaluation([1, 2], question_set=question_set, project=project, model_name=name)
        for address in ("benchmark:leaderboard", "benchmark:evaluations"):
            with django_assert_num_queries(20, exact=False) as captured:
                client.get(reverse(address))
            counts.append(len(captured))
    assert counts[:2] == counts[2:]
