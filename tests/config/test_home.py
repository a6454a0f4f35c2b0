"""The start page by role, and the steps of a project."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation import steps
from annotation.models import Project, Release, User
from tests import factories
from tests.benchmark import factories as benchmark
from tests.training import factories as training
from tests.training.fake_app import fake_kinds
from training.models import Run

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module", autouse=True)
def fake_kinds_are_registered() -> None:
    fake_kinds.register_all()


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def undone(project: Project) -> list[str]:
    return [step.title for step in steps.of([project])[project.pk] if not step.done]


def test_steps_of_a_project_are_ticked_from_its_data() -> None:
    project = factories.make_project(k=1, guidelines="")
    factories.make_member(project, "manager")
    waits = undone(project)
    assert waits[0] == "Import comparisons"

    comparison = factories.make_comparison(project)
    assert undone(project) == (waits := waits[1:])
    project.change_guidelines("Say what the image shows.")
    assert undone(project) == (waits := waits[1:])
    factories.make_comparison(project, gold_more_hallucinated="1")  # a gold item waits for nobody
    project.comparisons.exclude(pk=comparison.pk).update(open_slots=0)
    factories.judge(comparison)  # by a second member
    assert undone(project) == (waits := waits[2:]) == ["Make a release", "Train", "Score"]
    Release.objects.create(project=project, number=1, state=Release.State.FAILED)
    assert undone(project) == waits
    Release.objects.create(
        project=project, number=2, state=Release.State.READY, artefact="lines.gz", sha256="a" * 64
    )
    assert undone(project) == ["Train", "Score"]

    run = training.make_run(project)
    policy = training.make_checkpoint(run, final=False)
    assert undone(project) == ["Train", "Score"]
    policy = training.make_checkpoint(run)
    assert undone(project) == ["Score"]
    benchmark.make_evaluation([6, 3], checkpoint=policy)
    assert undone(project) == []


def test_next_step_is_the_first_that_is_not_done() -> None:
    project = factories.make_project(guidelines="Written before anything came in.")
    taken = steps.of([project])[project.pk]
    assert [step.title for step in taken if step.is_next] == ["Import comparisons"]


def test_project_shows_its_steps_to_managers_only() -> None:
    project = factories.make_project()
    factories.make_comparison(project)
    for role, shown in (("manager", True), ("reviewer", False), ("annotator", False)):
        page = client_of(factories.make_member(project, role)).get(project.get_absolute_url())
        assert ("From import to a score" in page.content.decode()) is shown


def test_annotators_start_with_their_projects() -> None:
    annotator = factories.make_member(factories.make_project())
    answer = client_of(annotator).get(reverse("home"))
    assert answer.status_code == 302
    assert answer["Location"] == reverse("annotation:projects")
    assert Client().get(reverse("home"))["Location"].startswith(reverse("login"))


def test_managers_start_with_what_waits_and_what_came_of_it() -> None:
    project = factories.make_project(name="Street scenes", k=1, guidelines="Look closely.")
    manager = factories.make_member(project, "manager")
    factories.make_member(project)
    disputed = factories.make_comparison(project)
    disputed.outcome = "disputed"
    disputed.save()
    factories.make_comparison(project)
    run = training.make_run(project)
    Run.objects.filter(pk=run.pk).update(name="A run of ours")
    evaluation = benchmark.make_evaluation(
        [6, 3], model_name="ours", checkpoint=training.make_checkpoint(run), project=project
    )
    elsewhere = factories.make_project(name="Of others")
    training.make_run(elsewhere)

    page = client_of(manager).get(reverse("home"))
    text = page.content.decode()
    assert [(one.title, one.detail) for one in page.context["waiting"]] == [
        ("Rule in Street scenes", "1 disputed comparison"),
        ("Label in Street scenes", "1 comparison waits"),
    ]
    assert "A run of ours" in text and evaluation.get_absolute_url() in text
    assert "Of others" not in text


def test_start_page_asks_as_often_for_one_project_as_for_many() -> None:
    manager = factories.make_user()
    questions = benchmark.make_question_set(count=1)

    def fill() -> None:
        project = factories.make_project(k=1)
        factories.make_member(project, "manager", manager)
        factories.make_comparison(project)
        run = training.make_run(project)
        policy = training.make_checkpoint(run)
        benchmark.make_evaluation([6], question_set=questions, checkpoint=policy, project=project)

    fill()
    client = client_of(manager)
    client.get(reverse("home"))
    with CaptureQueriesContext(connection) as one:
        client.get(reverse("home"))
    for _ in range(3):
        fill()
    with CaptureQueriesContext(connection) as four:
        client.get(reverse("home"))
    assert len(four) == len(one)
