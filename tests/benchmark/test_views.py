"""Pages: they work for those who may, and say 403 or 404 to the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Project, User
from benchmark import evaluating
from benchmark.evaluation_runs import evaluation_of
from benchmark.models import Evaluation
from tests.benchmark.factories import make_evaluation, make_judge, make_question_set, record
from tests.benchmark.test_evaluation_runs import make_base, make_evaluation_run
from tests.factories import make_admin, make_image, make_member, make_project, make_user
from training.models import Run

pytestmark = pytest.mark.django_db


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


# --- An evaluation --------------------------------------------------------------------------


def test_evaluation_shows_answers_verdicts_and_coverage(project: Project, manager: User) -> None:
    question_set = make_question_set(count=8)
    evaluation = make_evaluation([6, 1], question_set=question_set, project=project)
    page = text_of(client_of(manager).get(evaluation.get_absolute_url()))
    assert "model answers 1." in page
    assert "6 · no hallucination" in page
    assert "1 · hallucinated" in page
    assert "2 of 8 questions" in page


def test_evaluation_without_a_score_says_so(project: Project, manager: User) -> None:
    evaluation = make_evaluation([6, None], project=project)
    page = text_of(client_of(manager).get(evaluation.get_absolute_url()))
    assert "No headline score yet" in page
    assert "1 verdict could not be read as a rating" in page
    assert "Ask the judge again" in page


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3, 4]),
        ("show=hallucinated", [2, 3]),
        ("show=honest", [1]),
        ("show=open", [4]),
        ("type=adversarial", [2]),
        ("type=adversarial&show=honest", []),
        ("type=nonsense&show=nonsense", [1, 2, 3, 4]),
    ],
)
def test_answers_can_be_filtered(
    project: Project, manager: User, query: str, numbers: list[int]
) -> None:
    evaluation = make_evaluation([6, 1, 0, None], project=project)
    response = client_of(manager).get(f"{evaluation.get_absolute_url()}?{query}")
    assert [answer.question.number for answer in response.context["page"]] == numbers


def test_answers_are_paginated_with_a_fixed_number_of_queries(
    project: Project, manager: User, django_assert_max_num_queries: Any
) -> None:
    evaluation = make_evaluation([n % 7 for n in range(40)], project=project)
    client = client_of(manager)
    with django_assert_max_num_queries(22):
        response = client.get(f"{evaluation.get_absolute_url()}?page=2&show=honest")
    assert response.context["page"].number == 2
    assert "show=honest&amp;page=1" in response.content.decode()


def test_text_of_models_and_judges_is_never_html(project: Project, manager: User) -> None:
    attack = "<script>alert(1)</script>"
    evaluation = make_evaluation([1], project=project, model_name=attack)
    evaluation.answers.update(text=attack)
    evaluation.verdicts().update(text=attack)
    question = evaluation.question_set.questions.get()
    client = client_of(manager)
    for address in (
        evaluation.get_absolute_url(),
        reverse("benchmark:leaderboard"),
        reverse("benchmark:question", args=[question.pk]),
    ):
        assert "<script>alert" not in client.get(address).content.decode()


def test_progress_polls_until_the_end(project: Project, manager: User) -> None:
    evaluation = make_evaluation([1, 2], project=project)
    client, address = client_of(manager), reverse("benchmark:progress", args=[evaluation.pk])
    Evaluation.objects.update(state="judging")
    answer = client.get(address)
    assert "2 of 2 verdicts" in text_of(answer)
    assert 'hx-trigger="every 2s"' in text_of(answer)
    Evaluation.objects.update(state="complete")
    answer = client.get(address)
    assert answer["HX-Refresh"] == "true"
    assert "hx-trigger" not in text_of(answer)


def test_judging_again_begins_anew(project: Project, manager: User) -> None:
    evaluation = make_evaluation([6, None], project=project)
    response = client_of(manager).post(reverse("benchmark:judge-again", args=[evaluation.pk]))
    assert response.status_code == 302
    evaluation.refresh_from_db()
    assert evaluation.state == "judging"
    assert evaluation.verdicts().count() == 1


def test_settling_a_verdict_gives_the_score(project: Project, manager: User) -> None:
    evaluation = make_evaluation([6, None], project=project)
    verdict = evaluation.verdicts().get(rating=None)
    address = reverse("benchmark:settle", args=[verdict.pk])
    client = client_of(manager)
    client.post(address, {"rating": "9"})
    evaluation.refresh_from_db()
    assert evaluation.state == "incomplete"
    client.post(address, {"rating": "2"})
    evaluation.refresh_from_db()
    assert evaluation.summary["score"]["value"] == 4


# --- Questions and their images -------------------------------------------------------------


def test_a_question_shows_what_each_visible_model_said(project: Project, manager: User) -> None:
    question_set = make_question_set(count=2)
    make_evaluation([6, 1], question_set=question_set, project=project, model_name="ours")
    make_evaluation([2, 1], question_set=question_set, project=make_project(), model_name="theirs")
    question = question_set.questions.first()
    page = text_of(client_of(manager).get(reverse("benchmark:question", args=[question.pk])))
    assert "ours answers 1." in page
    assert "theirs" not in page


def test_the_image_is_served_to_readers_only(project: Project, manager: User) -> None:
    image = make_image()
    question = make_question_set(count=1).questions.get()
    address = reverse("benchmark:question-image", args=[question.pk])
    assert client_of(manager).get(address).status_code == 404
    question.image = image
    question.save()
    answer = client_of(manager).get(address)
    assert answer["Content-Type"] == "image/png"
    assert answer["X-Content-Type-Options"] == "nosniff"
    with image.file.open("rb") as stored:
        assert b"".join(answer.streaming_content) == stored.read()
    for outsider in (make_user(), make_member(project, "annotator")):
        assert client_of(outsider).get(address).status_code == 404


# --- Comparing ------------------------------------------------------------------------------


def test_compare_says_when_no_difference_is_shown(project: Project, manager: User) -> None:
    question_set = make_question_set(count=8)
    first = make_evaluation([3, 2, 4] * 2 + [1, 1], question_set=question_set, project=project)
    second = make_evaluation(
        [2, 3, 4] * 2 + [1, 1], question_set=question_set, project=project, model_name="other"
    )
    address = f"{reverse('benchmark:compare')}?first={first.pk}&second={second.pk}"
    answer = client_of(manager).get(address)
    for evaluation in (first, second):
        assert f'<a href="{evaluation.get_absolute_url()}">' in answer.content.decode()
        found = evaluation.summary["score"]
        assert f"{found['low']:.2f} to {found['high']:.2f}" in answer.content.decode()
    page = text_of(answer)
    assert "No difference in score shown" in page
    assert "does not mean that they are equal" in page
    assert "p = 1.000" in page


def test_compare_says_when_one_is_shown(project: Project, manager: User) -> None:
    question_set = make_question_set(count=8)
    first = make_evaluation([0] * 8, question_set=question_set, project=project)
    second = make_evaluation([6] * 8, question_set=question_set, project=project, model_name="b")
    address = f"{reverse('benchmark:compare')}?first={first.pk}&second={second.pk}"
    page = text_of(client_of(manager).get(address))
    assert "A difference in score is shown" in page
    assert '+6.00<span class="cell-sub">+2.11 to +6.00</span>' in page
    assert "−100 points" in page  # noqa: RUF001
    assert "p = 0.008" in page  # 2 of 256 sign patterns.


def test_compare_refuses_what_is_not_comparable(project: Project, manager: User) -> None:
    question_set = make_question_set(count=2)
    first = make_evaluation([1, 2], question_set=question_set, project=project)
    second = make_evaluation(
        [1, 2], question_set=question_set, project=project, judge=make_judge("another")
    )
    hidden = make_evaluation([1, 2], question_set=question_set, project=make_project())
    client, address = client_of(manager), reverse("benchmark:compare")
    for one, two, reason in (
        (first, second, "cannot be compared"),
        (first, first, "two different evaluations"),
        (first, hidden, "not one of the available choices"),
    ):
        answer = client.get(address, {"first": one.pk, "second": two.pk})
        assert answer.status_code == 422
        assert reason in text_of(answer)


# --- Who may --------------------------------------------------------------------------------


def addresses(evaluation: Evaluation) -> dict[str, str]:
    return {
        "detail": evaluation.get_absolute_url(),
        "progress": reverse("benchmark:progress", args=[evaluation.pk]),
        "judge-again": reverse("benchmark:judge-again", args=[evaluation.pk]),
        "settle": reverse("benchmark:settle", args=[evaluation.verdicts().get(rating=None).pk]),
    }


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [(None, 404, 404), ("annotator", 403, 403), ("reviewer", 200, 403), ("manager", 200, 302)],
)
def test_roles(project: Project, role: str | None, reads: int, writes: int) -> None:
    evaluation = make_evaluation([6, None], project=project)
    client = client_of(make_member(project, role) if role else make_user())
    where = addresses(evaluation)
    for name in ("detail", "progress"):
        assert client.get(where[name]).status_code == reads, name
    for name in ("settle", "judge-again"):
        assert client.post(where[name], {"rating": "3"}).status_code == writes, name
        assert client.get(where[name]).status_code == 405, name


def test_an_evaluation_without_project_is_open_to_reviewers_and_kept_by_administrators(
    project: Project,
) -> None:
    evaluation = make_evaluation([6, None])
    where = addresses(evaluation)
    reviewer = client_of(make_member(project, "reviewer"))
    assert reviewer.get(where["detail"]).status_code == 200
    assert reviewer.post(where["judge-again"]).status_code == 403
    assert client_of(make_member(project, "annotator")).get(where["detail"]).status_code == 404
    assert client_of(make_admin()).post(where["judge-again"]).status_code == 302


@pytest.mark.parametrize("name", ["leaderboard", "evaluations", "compare", "start"])
def test_strangers_are_asked_to_log_in(name: str) -> None:
    answer = Client().get(reverse(f"benchmark:{name}"))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/")


def test_starting_needs_a_managed_project(project: Project, manager: User) -> None:
    address = reverse("benchmark:start")
    assert client_of(manager).get(address).status_code == 200
    assert client_of(make_member(project, "reviewer")).get(address).status_code == 403


def test_the_form_starts_a_run_and_leads_to_it(project: Project, manager: User) -> None:
    base, hidden = make_base(), make_base("in no project of theirs")
    trained_elsewhere = make_evaluation_run(make_project())
    hidden.kind, hidden.source, hidden.path = "policy", "", "checkpoints/x"
    hidden.run, hidden.base = trained_elsewhere, base
    hidden.save()
    sent = {
        "project_choice": project.pk,
        "model": base.pk,
        "question_set": trained_elsewhere.options["question_set"],
        "judge": trained_elsewhere.options["judge"],
        "temperature": "0.3",
        "preset": "default",
        "gpus": 0,
        "seed": 5,
    }
    client, address = client_of(manager), reverse("benchmark:start")
    refused = client.post(address, {**sent, "model": hidden.pk})
    assert refused.status_code == 422
    assert "not one of the available choices" in text_of(refused)
    answer = client.post(address, sent)
    assert answer.status_code == 302, answer.context["form"].errors
    run = Run.objects.exclude(pk=trained_elsewhere.pk).get()
    assert (run.kind, run.project, run.base, run.seed) == ("evaluation", project, base, 5)
    assert run.options["temperature"] == 0.3


def test_an_abandoned_run_does_not_leave_an_evaluation_waiting(project: Project) -> None:
    run = make_evaluation_run(project)
    evaluation = evaluation_of(run)
    run.state, run.finished_at = "failed", run.created_at
    run.save()
    evaluating.end_abandoned()
    evaluation.refresh_from_db()
    assert evaluation.state == "failed"


def test_small_worlds_scenes_are_drawn_without_smoothing(project: Project, manager: User) -> None:
    question_set = make_question_set(protocol="small_world", records=[record(0)])
    question_set.questions.update(image=make_image())
    evaluation = make_evaluation([1], question_set=question_set, project=project)
    assert "answer-image pixelated" in text_of(
        client_of(manager).get(evaluation.get_absolute_url())
    )


def test_the_chart_s_figures_are_on_the_page(project: Project, manager: User) -> None:
    make_evaluation([6, 3, 0, 2, 5, 5, 4, 1], project=project, model_name="LLaVA")
    response = client_of(manager).get(reverse("benchmark:leaderboard"))
    (group,) = response.context["groups"]
    page = response.content.decode()
    start = page.index(f'<script id="{group.chart_id}" type="application/json">')
    drawn = json.loads(page[page.index(">", start) + 1 : page.index("</script>", start)])
    assert drawn["categories"][0] == "attribute"
    assert drawn["series"][0]["values"] == [6, 3, 0, 2, 5, 5, 4, 1]
    assert drawn["max"] == 6


def test_an_evaluation_says_that_its_judge_is_at_another_one() -> None:
    project = make_project()
    question_set = make_question_set(count=2)
    first = make_evaluation([6, 1], question_set=question_set, project=project)
    second = make_evaluation([2], question_set=question_set, project=project, model_name="next")
    client = client_of(make_member(project, "reviewer"))
    Evaluation.objects.update(state="judging", summary={})
    second.verdicts().delete()
    address = reverse("benchmark:progress", args=[second.pk])
    assert "Waits until judge has rated another model" in client.get(address).content.decode()
    Evaluation.objects.filter(pk=first.pk).update(state="complete")
    assert "0 of 1 verdicts" in client.get(address).content.decode()
