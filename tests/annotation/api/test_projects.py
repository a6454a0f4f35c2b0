"""REST of projects: whose they are, their settings, their progress."""

from __future__ import annotations

import pytest

from annotation import projects
from annotation.api.projects import ProjectSerializer, ProjectSettingsSerializer
from annotation.forms.projects import ProjectForm
from annotation.models import Assignment, Comparison, Membership, Project
from tests.annotation.api import Api, answer
from tests.factories import (
    judge,
    make_admin,
    make_comparison,
    make_comparisons,
    make_member,
    make_project,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project(k=2)


@pytest.fixture
def annotator(project):
    return Api(make_member(project))


def test_settings_are_changed_one_at_a_time(api: Api, project: Project) -> None:
    path = f"projects/{project.slug}"
    changed = api.patch(path, {"gold_rate": 0.2, "guidelines": "# New", "state": "paused"})
    assert changed.status_code == 200
    assert (changed.json()["gold_rate"], changed.json()["guidelines_version"]) == (0.2, 2)
    project.refresh_from_db()
    assert (project.state, project.judgments_per_comparison) == ("paused", 2)
    refused = api.patch(path, {"judgments_per_comparison": 4, "max_judgments": 2})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "max_judgments"
    api.patch(path, {"slug": "other", "created_by": 1, "guidelines_version": 9})
    project.refresh_from_db()
    assert (project.guidelines_version, project.created_by) == (2, None)


def test_rest_takes_the_settings_of_the_page() -> None:
    form = set(ProjectForm.base_fields)
    assert form == set(projects.SETTINGS)
    assert set(ProjectSettingsSerializer().get_fields()) == form
    assert set(ProjectSerializer().get_fields()) >= form


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("name", ""), ("question", ""), ("question", "x" * 201), ("state", "gone")],
        *[("judgments_per_comparison", 0), ("judgments_per_comparison", 4), ("max_judgments", 51)],
        *[("lease_minutes", 0), ("lease_minutes", 1441), ("gold_rate", 0.51), ("gold_rate", -0.1)],
        *[("repeat_rate", 0.21), ("pause_below", 1.1), ("pause_after", 0), ("pause_after", 1001)],
        *[("quiz_pass_mark", 1.1), ("quiz_pass_mark", "all"), ("quiz_attempts", 0)],
        *[("quiz_attempts", 21), ("quiz_attempts", 1.5), ("allow_tie", "perhaps")],
    ],
)
def test_page_and_rest_refuse_the_same_settings(
    api: Api, project: Project, name: str, value: object
) -> None:
    refused = api.patch(f"projects/{project.slug}", {name: value})
    assert refused.status_code == 400
    assert {one["field"] for one in refused.json()["errors"]} <= {name, "max_judgments"}
    if name != "allow_tie":  # a ticked box has no other values
        stored = {one: getattr(project, one) for one in projects.SETTINGS}
        assert not ProjectForm({**stored, name: value}, instance=project).is_valid()


def test_a_change_leaves_what_it_does_not_name(api: Api, project: Project) -> None:
    """Also what somebody else changes while it is on its way."""
    Project.objects.update(guidelines="# Theirs", guidelines_version=5)
    projects.change(project, {"quiz_pass_mark": 0.5})
    project.refresh_from_db()
    assert (project.guidelines, project.guidelines_version) == ("# Theirs", 5)
    assert (project.quiz_pass_mark, project.judgments_per_comparison) == (0.5, 2)


def test_settings_that_no_longer_fit_are_refused(project: Project) -> None:
    Project.objects.update(judgments_per_comparison=3, max_judgments=5)
    with pytest.raises(projects.BadSettings, match="usual number"):
        projects.change(project, {"max_judgments": 2, "name": "New"})
    project.refresh_from_db()
    assert (project.max_judgments, project.name == "New") == (5, False)


def test_projects_lists_ones_own_with_the_role(project, annotator):
    make_project()
    listed = annotator.get("projects").json()["results"]
    assert [(entry["slug"], entry["role"]) for entry in listed] == [(project.slug, "annotator")]


def test_projects_are_paged(django_assert_max_num_queries):
    admin = Api(make_admin())
    for _ in range(5):
        make_project()
    first = admin.get("projects", page_size=2).json()
    assert len(first["results"]) == 2
    seen = [entry["slug"] for entry in first["results"]]
    page = first
    while page["next"]:
        page = admin.client.get(page["next"]).json()
        seen += [entry["slug"] for entry in page["results"]]
    assert len(set(seen)) == len(seen) == 5


def test_creating_a_project_makes_one_its_manager():
    admin = make_admin()
    created = Api(admin).post(
        "projects", {"slug": "birds", "name": "Birds", "judgments_per_comparison": 2}
    )
    assert created.status_code == 201
    project = Project.objects.get(slug="birds")
    assert (project.judgments_per_comparison, project.max_judgments) == (2, 2)
    assert project.created_by == admin
    assert Membership.objects.get(project=project).role == "manager"


def test_fields_that_a_request_may_not_set_stay_as_they_are():
    body = {"slug": "birds", "name": "Birds", "state": "closed", "created_by": 99, "role": "x"}
    Api(make_admin()).post("projects", body)
    project = Project.objects.get(slug="birds")
    assert (project.state, project.created_by.is_superuser) == ("open", True)


def test_a_maximum_below_the_usual_number_is_refused():
    body = {"slug": "b", "name": "B", "judgments_per_comparison": 3, "max_judgments": 2}
    refused = Api(make_admin()).post("projects", body)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "max_judgments"


def test_people_without_the_permission_create_no_project():
    refused = Api(make_user()).post("projects", {"slug": "b", "name": "B"})
    assert refused.status_code == 403


def test_progress_counts_the_project_and_oneself(project, annotator):
    comparison = make_comparison(project)
    judge(comparison)
    given = annotator.post(f"projects/{project.slug}/assignments/next").json()
    shown = Assignment.objects.get(token=given["token"]).order
    annotator.post(f"assignments/{given['token']}/judgment", answer(str(shown.index(2) + 1)))
    make_comparison(project)
    path = f"projects/{project.slug}/progress"
    progress = annotator.get(path).json()
    own = {"judged": 1, "judged_today": 1, "skipped": 0}
    assert progress == {"project": {"comparisons": 2}, "own": own}
    assert Api(make_member(project, "reviewer")).get(path).json()["project"] == {
        "comparisons": 2,
        "waiting": 1,
        "decided": 1,
        "undecided": 0,
        "disputed": 0,
        "retired": 0,
        "judgments": 2,
        "wanted": 4,
        "surplus": 0,
        "open_leases": 0,
        "by_machine": 0,
        "share": 0.5,
    }


def test_progress_shows_members_to_reviewers(project):
    reviewer = make_member(project, "reviewer")
    members = Api(reviewer).get(f"projects/{project.slug}/progress").json()["members"]
    assert [(entry["user"], entry["role"]) for entry in members] == [
        (reviewer.username, "reviewer")
    ]


def test_progress_takes_no_more_queries_for_more_people(
    project, django_assert_num_queries, django_assert_max_num_queries
):
    reviewer = Api(make_member(project, "reviewer"))
    path = f"projects/{project.slug}/progress"
    reviewer.get(path)
    with django_assert_max_num_queries(12) as few:
        reviewer.get(path)
    for comparison in make_comparisons(project, 3):
        Comparison.objects.exclude(pk=comparison.pk).update(priority=-1)
        Comparison.objects.filter(pk=comparison.pk).update(priority=1)
        judge(comparison)
    with django_assert_num_queries(len(few)):
        reviewer.get(path)
