"""A model against the one it was trained from: on run pages, evaluation pages and the curve."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.models import Project
from benchmark import evaluating
from benchmark.board import leaderboard, parentage
from benchmark.models import Evaluation, Judge, QuestionSet
from tests.benchmark.factories import make_evaluation, make_judge, make_question_set
from tests.factories import make_member, make_project, make_user
from tests.training.factories import make_base, make_checkpoint
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db

GOOD = [6, 5, 6, 5, 6, 6, 5, 4, 6, 5, 6, 5]
NEAR = [6, 5, 5, 5, 6, 6, 5, 4, 6, 5, 6, 5]
BAD = [1, 0, 2, 0, 1, 1, 0, 0, 1, 2, 1, 0]


@pytest.fixture
def questions() -> QuestionSet:
    make_judge()
    return make_question_set(count=len(GOOD))


def ppo(project: Project, base: Checkpoint, *, start: Checkpoint | None = None) -> Checkpoint:
    """A policy that a run trained from ``start``, else from the base."""
    run = Run.objects.create(
        project=project,
        kind="ppo",
        name="Policy",
        requested_by=make_user(),
        base=base,
        policy=start,
        state="succeeded",
        finished_at=timezone.now(),
    )
    return make_checkpoint(run)


def evaluate(
    ratings: list[int | None], questions: QuestionSet, checkpoint: Checkpoint, project: Project
) -> Evaluation:
    return make_evaluation(
        ratings,
        question_set=questions,
        checkpoint=checkpoint,
        model_name=checkpoint.name,
        project=project,
        sampling={"temperature": 0.0, "seed": 0},
    )


def run_page(project: Project, run: Run) -> str:
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    answer = client.get(run.get_absolute_url())
    assert answer.status_code == 200
    return answer.content.decode()


def verdict(evaluation: Evaluation) -> str | None:
    change = parentage.change_of(evaluation, Evaluation.objects.all())
    return change.verdict if change else None


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [(GOOD, BAD, "fell"), (BAD, GOOD, "rose"), (GOOD, NEAR, "no difference shown")],
)
def test_a_change_is_what_a_paired_test_shows(
    project: Project,
    questions: QuestionSet,
    before: list[int | None],
    after: list[int | None],
    said: str,
) -> None:
    base = make_base()
    evaluate(before, questions, base, project)
    policy = ppo(project, base)
    evaluation = evaluate(after, questions, policy, project)
    assert verdict(evaluation) == said
    page = run_page(project, policy.run)
    assert ("lower than its parent" in page) is (said == "fell")
    assert f">{said}<" in page
    assert f"since {base.name}." in page
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    own = client.get(evaluation.get_absolute_url()).content.decode()
    assert (f"Lower than {base.name}, which it was trained from" in own) is (said == "fell")


def test_the_parent_is_the_policy_that_training_began_from(
    project: Project, questions: QuestionSet
) -> None:
    base = make_base()
    evaluate(BAD, questions, base, project)
    first = ppo(project, base)
    evaluate(GOOD, questions, first, project)
    second = ppo(project, base, start=first)
    evaluation = evaluate(NEAR, questions, second, project)
    assert verdict(evaluation) == "no difference shown"
    change = parentage.change_of(evaluation, Evaluation.objects.all())
    assert change is not None and change.parent.checkpoint == first


def test_an_ancestor_is_asked_where_the_parent_was_not_evaluated(
    project: Project, questions: QuestionSet
) -> None:
    base = make_base()
    evaluate(GOOD, questions, base, project)
    evaluation = evaluate(BAD, questions, ppo(project, base, start=ppo(project, base)), project)
    assert verdict(evaluation) == "fell"


@pytest.mark.parametrize("what", ["judge", "sampling", "coverage", "hidden", "incomplete"])
def test_what_is_not_comparable_says_nothing(
    project: Project, questions: QuestionSet, what: str
) -> None:
    # The parent is a policy of the project: what an imported base scores is seen by all.
    parent = ppo(project, make_base())
    before = evaluate(GOOD, questions, parent, project)
    policy = ppo(project, make_base(), start=parent)
    evaluation = evaluate(BAD, questions, policy, project)
    changes: dict[str, Any] = {
        "sampling": {"sampling": {"temperature": 1.0, "seed": 0}},
        "coverage": {"coverage": "d" * 64},
        "hidden": {"project": make_project()},
        "incomplete": {"state": "incomplete"},
    }
    if what == "judge":
        changes["judge"] = {"judge": make_judge("another")}
    Evaluation.objects.filter(pk=before.pk).update(**changes[what])
    page = run_page(project, policy.run)
    assert "lower than its parent" not in page
    assert "No model that it descends from has been evaluated the same way." in page
    assert Judge.objects.exists() and evaluation.state == "complete"


def test_a_fall_in_another_figure_is_told_too(project: Project, questions: QuestionSet) -> None:
    """Ratings of 3 and 2 alternate: nearly the same mean, but half the answers hallucinate."""
    base = make_base()
    evaluate([3] * 12, questions, base, project)
    policy = ppo(project, base)
    evaluate([2, 2, 2, 2, 2, 2, 2, 2, 2, 6, 6, 6], questions, policy, project)
    page = run_page(project, policy.run)
    assert ">no difference shown<" in page
    assert "Also worse: hallucination rate." in page


def test_the_curve_runs_from_the_oldest_ancestor_to_each_end(
    project: Project, questions: QuestionSet
) -> None:
    base = make_base()
    alone = make_base()
    first, other = ppo(project, base), ppo(project, base)
    second = ppo(project, base, start=first)
    for checkpoint, ratings in ((base, BAD), (first, NEAR), (second, GOOD), (other, BAD)):
        evaluate(ratings, questions, checkpoint, project)
    evaluate(GOOD, questions, alone, project)
    (group,) = leaderboard.groups(Evaluation.objects.all())
    curve = parentage.curves([group])[group.id]
    lines = {tuple(point["name"] for point in one["points"]) for one in curve["series"]}
    assert lines == {(base.name, first.name, second.name), (base.name, other.name)}
    charted = [row.pk for row in group.charted]
    ends = {one["name"]: one["colour"] for one in curve["series"]}
    assert len(set(ends.values())) == 2
    for row in group.rows:
        if row.pk in charted and row.model_name in ends:
            assert ends.pop(row.model_name) == charted.index(row.pk)
    assert all(colour >= len(charted) for colour in ends.values())
    point = next(one for one in curve["series"] if len(one["points"]) == 3)["points"][0]
    assert point["value"] == pytest.approx(sum(BAD) / 12)
    assert point["low"] < point["value"] < point["high"]
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    assert 'data-chart="curve"' in client.get(reverse("benchmark:leaderboard")).content.decode()


def test_models_without_kin_have_no_curve(project: Project, questions: QuestionSet) -> None:
    for ratings in (GOOD, BAD):
        evaluate(list(ratings), questions, make_base(), project)
    assert parentage.curves(leaderboard.groups(Evaluation.objects.all())) == {}


def test_the_number_of_queries_does_not_grow_with_models(
    project: Project, questions: QuestionSet, django_assert_num_queries: Any
) -> None:
    base = make_base()
    evaluate(BAD, questions, base, project)
    for _ in range(5):
        evaluate(GOOD, questions, ppo(project, base), project)
    groups = leaderboard.groups(Evaluation.objects.all())
    with django_assert_num_queries(1):
        parentage.curves(groups)


def test_an_open_leaderboard_learns_that_a_score_came(
    project: Project, questions: QuestionSet
) -> None:
    waiting = evaluate([6, *GOOD[1:-1], None], questions, make_base(), project)
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    page = client.get(reverse("benchmark:leaderboard"))
    address = f"{reverse('benchmark:fresh')}?have={page.context['fresh']}"
    assert address in page.content.decode()
    assert "HX-Refresh" not in client.get(address)
    Evaluation.objects.filter(pk=waiting.pk).update(state="complete")
    assert client.get(address)["HX-Refresh"] == "true"


def test_who_asked_for_a_score_that_fell_is_told_once(
    project: Project, questions: QuestionSet
) -> None:
    asker = make_member(project, "reviewer")
    base = make_base()
    evaluate(GOOD, questions, base, project)
    policy = ppo(project, base)
    for ratings, kinds in ((NEAR, []), (BAD, ["score_fell"])):
        evaluation = evaluate(ratings, questions, policy, project)
        Evaluation.objects.filter(pk=evaluation.pk).update(created_by=asker)
        for _ in range(2):
            evaluating.conclude(evaluation)
        assert list(asker.notices.values_list("kind", flat=True)) == kinds
    assert policy.name in asker.notices.get().title
