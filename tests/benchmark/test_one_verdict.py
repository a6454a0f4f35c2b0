"""One verdict in one place, charts that leave nobody out, and rows that say what they are."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from annotation.models import Project, Release
from benchmark.board import leaderboard, significance
from benchmark.models import Evaluation, QuestionSet
from tests.benchmark.factories import make_evaluation, make_judge, make_question_set
from tests.benchmark.test_parentage import BAD, GOOD, NEAR, evaluate, ppo, run_page
from tests.factories import make_admin, make_member, make_project
from tests.training.factories import make_base, make_checkpoint
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db
# Six questions all worse: 2 / 2^6 = 0.031, which three pairs of one base make 0.094.
LOWER = [5, 4, 5, 4, 5, 5, 5, 4, 6, 5, 6, 5]


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def questions() -> QuestionSet:
    make_judge()
    return make_question_set(count=len(GOOD))


def board(project: Project, **query: Any) -> str:
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    answer = client.get(reverse("benchmark:leaderboard"), query)
    assert answer.status_code == 200
    return answer.content.decode()


def told(page: str) -> set[str]:
    """All p values of a page with what they are corrected for."""
    return set(re.findall(r"p [=<] [\d.]+; [^<)]*|p [=<] [\d.]+, one comparison", page))


def test_run_page_and_leaderboard_say_the_same_of_a_pair(
    project: Project, questions: QuestionSet
) -> None:
    base = make_base()
    evaluate(GOOD, questions, base, project)
    policy = ppo(project, base)
    evaluation = evaluate(LOWER, questions, policy, project)
    evaluate(NEAR, questions, ppo(project, base), project)
    assert policy.run is not None
    own = "p = 0.031; 0.094 corrected for the 3 pairs of the 3 models made from one base"
    pages = {
        "run": run_page(project, policy.run),
        "leaderboard": board(project),
    }
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    pages["evaluation"] = client.get(evaluation.get_absolute_url()).content.decode()
    for name, page in pages.items():
        assert own in told(page), (name, told(page))
        assert "only before correction" in page or "but only before correction" in page, name
    compared = client.get(
        reverse("benchmark:compare"),
        {"first": Evaluation.objects.get(checkpoint=base).pk, "second": evaluation.pk},
    ).content.decode()
    assert own.replace("p =", "P =", 1) in compared


def test_unrelated_models_change_nothing(project: Project, questions: QuestionSet) -> None:
    base = make_base()
    first = evaluate(GOOD, questions, base, project)
    second = evaluate(LOWER, questions, ppo(project, base), project)
    visible = Evaluation.objects.all()
    before = significance.between(first, second, visible)
    assert before is not None and before.verdict == "shown"
    for number in range(14):
        evaluate([*GOOD[:-1], number % 6], questions, make_base(), project)
    assert significance.between(first, second, visible) == before


def test_an_older_evaluation_is_one_comparison(project: Project, questions: QuestionSet) -> None:
    base = make_base()
    first = evaluate(BAD, questions, base, project)
    second = evaluate(GOOD, questions, ppo(project, base), project)
    evaluate(GOOD, questions, base, project)
    assert significance.between(first, second, Evaluation.objects.all()) is None
    assert significance.alone(0.01).told == "p = 0.010, one comparison"


def test_every_model_is_drawn_or_named_and_can_be_chosen(
    project: Project, questions: QuestionSet
) -> None:
    base = make_base()
    rows = [evaluate(BAD, questions, base, project)]
    rows += [evaluate(GOOD, questions, ppo(project, base), project) for _ in range(8)]
    (group,) = leaderboard.groups(Evaluation.objects.all())
    assert len(group.charted) == leaderboard.MOST_SERIES
    assert {*group.charted, *group.undrawn} == set(rows)
    assert rows[0] in group.charted  # the base is never the one that is missing
    page = board(project)
    assert "The charts draw 6 of 9 models; not drawn: " in page
    missing = group.undrawn[0]
    (chosen,) = leaderboard.groups(Evaluation.objects.all(), [missing.pk, rows[0].pk])
    assert set(chosen.charted) == {missing, rows[0]}
    assert "The charts draw 2 of 9 models" in board(project, draw=[missing.pk, rows[0].pk, "x"])


def test_with_few_models_nothing_is_left_out(project: Project, questions: QuestionSet) -> None:
    for _ in range(3):
        evaluate(GOOD, questions, ppo(project, make_base()), project)
    assert "The charts draw" not in board(project)


def test_sets_stand_in_an_order_that_administrators_change(project: Project) -> None:
    for number, name in enumerate(("b", "a", "c")):
        questions = make_question_set(count=2, name=name, version=name * 64)
        make_evaluation([6, number], question_set=questions, project=project)
    names = [str(group.first.question_set) for group in leaderboard.groups(Evaluation.objects)]
    assert names == ["a", "b", "c"]
    client = Client()
    client.force_login(make_admin())
    third = QuestionSet.objects.get(name="c")
    listed = reverse("admin:benchmark_questionset_changelist")
    rows = list(QuestionSet.objects.all())
    form = {"form-TOTAL_FORMS": 3, "form-INITIAL_FORMS": 3, "_save": "Save"}
    for number, row in enumerate(rows):
        form |= {f"form-{number}-id": row.pk, f"form-{number}-place": 1 if row == third else 100}
    assert client.post(listed, form).status_code == 302
    names = [str(group.first.question_set) for group in leaderboard.groups(Evaluation.objects)]
    assert names == ["c", "a", "b"]


def test_a_row_says_project_release_and_temperature(
    project: Project, questions: QuestionSet
) -> None:
    release = Release.objects.create(project=project, number=4)
    policy = ppo(project, make_base())
    Run.objects.filter(pk=policy.run_id).update(release=release)
    evaluate(GOOD, questions, Checkpoint.objects.get(pk=policy.pk), project)
    page = board(project)
    assert f">release {release.number}</a>" in page and project.name in page
    assert "greedy (temperature 0)" in page


def test_scores_of_a_shared_base_are_seen_by_all_who_can_use_it(
    project: Project, questions: QuestionSet
) -> None:
    base = make_base()
    shared = evaluate(GOOD, questions, base, project)
    own = evaluate(GOOD, questions, ppo(project, base), project)
    elsewhere = make_project()
    client = Client()
    client.force_login(make_member(elsewhere, "reviewer"))
    page = client.get(reverse("benchmark:leaderboard")).content.decode()
    assert base.name in page and own.model_name not in page
    detail = client.get(shared.get_absolute_url())
    assert detail.status_code == 200
    assert project.name not in detail.content.decode()
    assert client.get(own.get_absolute_url()).status_code == 404
    annotator = Client()
    annotator.force_login(make_member(elsewhere, "annotator"))
    assert annotator.get(shared.get_absolute_url()).status_code == 404
    assert client.post(reverse("benchmark:judge-again", args=[shared.pk])).status_code == 403


@pytest.mark.parametrize(
    ("accuracy", "pairs", "said"),
    [(5 / 6, 6, "5 of 6 pairs (44 to 97 %)"), (0.625, 4, "2.5 of 4 pairs (22 to 91 %)")],
)
def test_an_accuracy_says_of_how_many(
    project: Project, accuracy: float, pairs: int, said: str
) -> None:
    base = make_base()
    run = ppo(project, base).run
    assert run is not None
    model = make_checkpoint(
        run,
        step=1,
        kind="reward_model",
        metrics={"held_out/accuracy": accuracy, "held_out/pairs": float(pairs)},
    )
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    page = client.get(model.get_absolute_url()).content.decode()
    assert said in page
    assert f"Measured on {pairs} held-out pairs only" in page
