"""The pages of guidelines and worked examples."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Project, User, WorkedExample
from annotation.models.projects import LONGEST_GUIDELINES
from annotation.onboarding import guidelines
from annotation.templatetags import annotation_tags
from tests import factories
from tests.security import patterns

pytestmark = pytest.mark.django_db
SPAN = {"response": 2, "start": 11, "end": 21, "kind": "object"}


@pytest.fixture
def project() -> Project:
    return factories.make_project(guidelines="Look closely.")


@pytest.fixture
def manager(project: Project) -> User:
    return factories.make_member(project, "manager")


@pytest.fixture
def client(manager: User) -> Client:
    client = Client()
    client.force_login(manager)
    return client


@pytest.fixture
def example(project: Project, manager: User) -> WorkedExample:
    comparison = factories.make_comparison(project)
    return guidelines.draft(
        comparison, manager, more_hallucinated="2", why="There is no star.", spans=[SPAN]
    )


def as_annotator(project: Project) -> Client:
    client = Client()
    client.force_login(factories.make_member(project))
    return client


def test_an_example_is_written_and_published(client: Client, project: Project) -> None:
    comparison = factories.make_comparison(project)
    path = reverse("annotation:example", args=[project.slug, comparison.pk])
    assert client.get(path).status_code == 200
    given = {"more_hallucinated": "2", "why": "There is no star.", "spans": json.dumps([SPAN])}
    client.post(path, given)
    example = WorkedExample.objects.get()
    assert (example.more_hallucinated, example.spans) == ("2", [SPAN])
    page = reverse("annotation:guidelines", args=[project.slug])
    assert "There is no star." not in as_annotator(project).get(page).content.decode()
    client.post(reverse("annotation:publish", args=[project.slug]))
    shown = as_annotator(project).get(page).content.decode()
    assert "There is no star." in shown
    assert '<mark data-kind="object" data-marks="1">green star</mark>' in shown


@pytest.mark.parametrize(
    "bad",
    [
        {"why": ""},
        {"more_hallucinated": "3"},
        {"spans": '{"a": 1}'},
        {"spans": json.dumps([{**SPAN, "end": 500}])},
    ],
)
def test_a_bad_example_is_refused_and_said(
    client: Client, project: Project, bad: dict[str, str]
) -> None:
    comparison = factories.make_comparison(project)
    path = reverse("annotation:example", args=[project.slug, comparison.pk])
    given = {"more_hallucinated": "2", "why": "Because.", "spans": "[]", **bad}
    assert client.post(path, given).status_code == 422
    assert not WorkedExample.objects.exists()


def test_examples_are_read_before_the_first_labelling(
    client: Client, project: Project, example: WorkedExample
) -> None:
    client.post(reverse("annotation:publish", args=[project.slug]))
    reader = as_annotator(project)
    label = reverse("annotation:label", args=[project.slug])
    page = reader.get(label)
    assert page.context["guidelines_unread"]
    assert "There is no star." in page.content.decode()
    acknowledge = reverse("annotation:acknowledge", args=[project.slug])
    reader.post(acknowledge, {"version": page.context["guidelines"].number - 1})
    assert reader.get(label).context["guidelines_unread"]
    reader.post(acknowledge, {"version": page.context["guidelines"].number})
    assert not reader.get(label).context["guidelines_unread"]


def test_earlier_versions_can_be_read(
    client: Client, project: Project, example: WorkedExample
) -> None:
    client.post(reverse("annotation:publish", args=[project.slug]))
    client.post(reverse("annotation:example-remove", args=[project.slug, example.pk]))
    client.post(reverse("annotation:publish", args=[project.slug]))
    page = reverse("annotation:guidelines", args=[project.slug])
    assert "There is no star." not in client.get(page).content.decode()
    assert "There is no star." in client.get(f"{page}?version=2").content.decode()
    assert client.get(f"{page}?version=9").status_code == 404
    assert client.get(f"{page}?version=x").status_code == 404


def test_publishing_nothing_is_said(client: Client, project: Project) -> None:
    path = reverse("annotation:publish", args=[project.slug])
    assert "Add or take out an example" in client.post(path, follow=True).content.decode()
    project.refresh_from_db()
    assert project.guidelines_version == 1


def test_what_is_shown_as_an_example_cannot_become_work_again(
    client: Client, project: Project, example: WorkedExample
) -> None:
    path = reverse("annotation:gold", args=[project.slug, example.comparison_id])
    said = client.post(path, {"more_hallucinated": ""}, follow=True).content.decode()
    assert "example in the guidelines" in said
    example.comparison.refresh_from_db()
    assert example.comparison.is_gold


def test_guidelines_are_bounded_on_the_page_and_over_rest(
    client: Client, project: Project, manager: User
) -> None:
    page = reverse("annotation:project-edit", args=[project.slug])
    form = client.get(page).context["form"]
    sent = {name: value for name, value in form.initial.items() if value is not None}
    path = f"/api/v1/projects/{project.slug}"
    for letters, taken in ((LONGEST_GUIDELINES, True), (LONGEST_GUIDELINES + 1, False)):
        text = "a" * letters
        answer = client.post(page, {**sent, "guidelines": text})
        assert answer.status_code == (302 if taken else 422)
        told = client.patch(path, {"guidelines": text}, content_type="application/json")
        assert told.status_code == (200 if taken else 400)
    project.refresh_from_db()
    assert len(project.guidelines) == LONGEST_GUIDELINES


@pytest.mark.parametrize("pump", ["[", "![", "[a](", "**a ", "_a", "`", "<", "|a|\n", "> ", "- "])
def test_guidelines_are_rendered_in_linear_time_and_once(pump: str) -> None:
    def made(length: int) -> str:
        return pump * (length // len(pump))

    render = annotation_tags.markdown
    assert not patterns.grows_faster_than_linearly(
        render.__wrapped__, made, lengths=(1024, 16_384), suspect_seconds=0.01
    )
    before = render.cache_info()
    assert render(made(900)) == render(made(900))
    after = render.cache_info()
    assert (after.misses, after.hits) == (before.misses + 1, before.hits + 1)
