"""Projects, members and comparisons as pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation import projects, queue
from annotation.forms.projects import ProjectForm
from annotation.models import Comparison, Invitation, Membership, Project, User
from annotation.onboarding import joining
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.make_project(k=1, maximum=3)


@pytest.fixture
def manager(project: Project) -> User:
    return factories.make_member(project, "manager")


@pytest.fixture
def client(manager: User) -> Client:
    client = Client()
    client.force_login(manager)
    return client


def settings_of(project: Project, **changes: Any) -> dict[str, Any]:
    return {**{name: getattr(project, name) for name in projects.SETTINGS}, **changes}


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_list_shows_own_projects_in_a_steady_number_of_queries(
    client: Client, manager: User
) -> None:
    factories.make_project(name="Of others")
    path = reverse("annotation:projects")
    with CaptureQueriesContext(connection) as one_project:
        first = client.get(path)
    for _ in range(5):
        more = factories.make_project()
        factories.make_member(more, user=manager)
        factories.make_comparison(more)
    with CaptureQueriesContext(connection) as six_projects:
        second = client.get(path)
    assert len(six_projects) == len(one_project)
    assert [len(one.context["cards"]) for one in (first, second)] == [1, 6]
    assert b"Of others" not in second.content


def test_a_new_project_has_its_maker_as_manager() -> None:
    admin = factories.make_admin()
    client = Client()
    client.force_login(admin)
    factories.make_project(slug="street", name="Street")
    data = settings_of(Project(name="Street"))
    assert client.post(reverse("annotation:project-new"), data).status_code == 302
    made = Project.objects.get(slug="street-2")
    assert made.created_by == admin
    assert made.memberships.get().role == "manager"


def test_a_project_needs_a_maximum_not_below_the_usual_number(
    client: Client, project: Project
) -> None:
    path = reverse("annotation:project-edit", args=[project.slug])
    data = settings_of(project, judgments_per_comparison=4, max_judgments=2)
    response = client.post(path, data)
    assert response.status_code == 422
    assert b"Must not be below the usual number of people." in response.content
    project.refresh_from_db()
    assert project.judgments_per_comparison == 1


def test_every_setting_stands_in_one_section() -> None:
    form = ProjectForm()
    shown = [field.name for _, fields, _ in form.sections() for field in fields]
    assert sorted(shown) == sorted(form.fields)


def test_a_closed_section_opens_for_its_error() -> None:
    client = Client()
    client.force_login(factories.make_admin())
    path = reverse("annotation:project-new")
    closed = b'<details class="card card-fold"><summary'
    assert client.get(path).content.count(closed) == 4
    wrong = settings_of(factories.make_project(), judgments_per_comparison=3, max_judgments=2)
    assert client.post(path, wrong).content.count(closed) == 3


def test_settings_reach_work_that_waits_and_version_the_guidelines(
    client: Client, project: Project
) -> None:
    comparison = factories.make_comparison(project)
    path = reverse("annotation:project-edit", args=[project.slug])
    data = settings_of(project, judgments_per_comparison=2, guidelines="New", name="Renamed")
    assert client.post(path, data).status_code == 302
    comparison.refresh_from_db()
    project.refresh_from_db()
    assert (comparison.wanted_judgments, comparison.open_slots) == (2, 2)
    assert (project.name, project.guidelines, project.guidelines_version) == ("Renamed", "New", 2)


def test_fields_that_are_not_in_the_form_cannot_be_set(client: Client, project: Project) -> None:
    path = reverse("annotation:project-edit", args=[project.slug])
    client.post(path, settings_of(project, slug="stolen", created_by="", guidelines_version=9))
    unchanged = Project.objects.get(pk=project.pk)
    for name in ("slug", "created_by", "guidelines_version"):
        assert getattr(unchanged, name) == getattr(project, name)


def test_adding_a_member_by_username(client: Client, project: Project) -> None:
    newcomer = factories.make_user("newcomer")
    path = reverse("annotation:members", args=[project.slug])
    client.post(path, {"username": "newcomer", "role": "reviewer"})
    assert project.memberships.get(user=newcomer).role == "reviewer"
    again = client.post(path, {"username": "newcomer", "role": "annotator"})
    assert "newcomer is a member already." in said(again)
    assert project.memberships.get(user=newcomer).role == "reviewer"


def test_adding_nobody_names_the_way_out(client: Client, project: Project) -> None:
    path = reverse("annotation:members", args=[project.slug])
    response = client.post(path, {"username": "nobody", "role": "annotator"})
    assert response.status_code == 422
    assert b"Send an invitation link instead." in response.content


def test_pausing_returns_open_leases_and_resuming_ends_it(client: Client, project: Project) -> None:
    annotator = factories.make_member(project)
    comparison = factories.make_comparison(project)
    queue.claim(project, annotator)
    membership = project.memberships.get(user=annotator)
    path = reverse("annotation:member", args=[project.slug, membership.pk])
    client.post(path, {"action": "pause"})
    comparison.refresh_from_db()
    membership.refresh_from_db()
    assert (membership.paused, comparison.open_slots) == (True, 1)
    client.post(path, {"action": "resume"})
    membership.refresh_from_db()
    assert not membership.paused


@pytest.mark.parametrize("change", [{"action": "remove"}, {"role": "annotator"}])
def test_the_last_manager_stays(
    client: Client, project: Project, manager: User, change: dict[str, str]
) -> None:
    own = project.memberships.get(user=manager)
    response = client.post(reverse("annotation:member", args=[project.slug, own.pk]), change)
    assert "Make somebody else a manager first." in said(response)
    assert project.memberships.get(user=manager).role == "manager"
    second = factories.make_member(project, "manager")
    client.force_login(second)
    client.post(reverse("annotation:member", args=[project.slug, own.pk]), change)
    assert not project.memberships.filter(user=manager, role="manager").exists()


def test_an_invitation_is_used_once(client: Client, project: Project) -> None:
    shown = client.post(
        reverse("annotation:invitations", args=[project.slug]), {"role": "annotator"}
    )
    (link,) = shown.context["links"]
    guest = Client()
    guest.force_login(factories.make_user("guest"))
    assert guest.get(link).status_code == 200
    assert guest.post(link).status_code == 302
    assert project.memberships.get(user__username="guest").role == "annotator"
    other = Client()
    other.force_login(factories.make_user("other"))
    assert other.post(link).status_code == 410
    assert not project.memberships.filter(user__username="other").exists()
    assert (
        b"invitation-link"
        not in client.get(reverse("annotation:members", args=[project.slug])).content
    )


def test_many_links_are_made_at_once_each_for_one_person(client: Client, project: Project) -> None:
    path = reverse("annotation:invitations", args=[project.slug])
    shown = client.post(path, {"role": "annotator", "note": "class of May", "count": 50})
    links = shown.context["links"]
    assert len(set(links)) == 50 == project.invitations.filter(note="class of May").count()
    for link in links[:2]:
        guest = Client()
        guest.force_login(factories.make_user())
        assert guest.post(link).status_code == 302
    assert project.memberships.filter(role="annotator").count() == 2
    for wrong in (0, 101, "many"):
        assert client.post(path, {"role": "annotator", "count": wrong}).status_code == 422
    assert project.invitations.count() == 50


def test_a_withdrawn_invitation_opens_nothing(client: Client, project: Project) -> None:
    invitation, raw = Invitation.create(
        project, role="annotator", note="Noor", created_by=factories.make_admin()
    )
    path = reverse("annotation:invitation-withdraw", args=[project.slug, invitation.pk])
    page = client.get(reverse("annotation:members", args=[project.slug]))
    assert path.encode() in page.content
    assert client.post(path).status_code == 302
    assert Client().get(reverse("annotation:join", args=[raw])).status_code == 410
    assert client.post(path).status_code == 404


def test_an_invitation_that_was_used_cannot_be_withdrawn(client: Client, project: Project) -> None:
    invitation, raw = Invitation.create(
        project, role="annotator", created_by=factories.make_admin()
    )
    joining.accept(raw, factories.make_user())
    path = reverse("annotation:invitation-withdraw", args=[project.slug, invitation.pk])
    assert client.post(path).status_code == 404
    assert Invitation.objects.filter(pk=invitation.pk).exists()


def test_an_invitation_does_not_raise_the_role_of_a_member(project: Project) -> None:
    annotator = factories.make_member(project)
    _, raw = Invitation.create(project, role="manager", created_by=factories.make_admin())
    guest = Client()
    guest.force_login(annotator)
    guest.post(reverse("annotation:join", args=[raw]))
    assert Membership.objects.get(project=project, user=annotator).role == "annotator"


def test_comparisons_are_filtered_by_outcome_and_id(client: Client, project: Project) -> None:
    decided = factories.make_comparison(project, external_id="alpha-1")
    factories.judge(decided)
    factories.make_comparison(project, external_id="alpha-2")
    factories.make_comparison(project, external_id="beta")
    path = reverse("annotation:comparisons", args=[project.slug])

    def ids(**query: str) -> list[str]:
        return [one.external_id for one in client.get(path, query).context["page"]]

    assert ids(outcome="decided") == ["alpha-1"]
    assert ids(text="ALPHA") == ["alpha-1", "alpha-2"]
    assert ids(text="alpha", outcome="waiting") == ["alpha-2"]
    assert len(ids(outcome="nonsense", project__name="x")) == 3


def test_the_list_of_comparisons_asks_a_steady_number_of_queries(
    client: Client, project: Project
) -> None:
    path = reverse("annotation:comparisons", args=[project.slug])
    counts = []
    for more in (1, 9):
        factories.make_comparisons(project, more)
        with CaptureQueriesContext(connection) as queries:
            client.get(path)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_comparison_shows_votes_without_names(client: Client, project: Project) -> None:
    comparison = factories.make_comparison(project)
    judgment = factories.judge(comparison, "2")
    text = client.get(
        reverse("annotation:comparison", args=[project.slug, comparison.pk])
    ).content.decode()
    assert "Response 1 is better" in text
    assert judgment.assignment.annotator.username not in text


def test_a_comparison_of_another_project_is_not_found(client: Client, project: Project) -> None:
    foreign: Comparison = factories.make_comparison(factories.make_project())
    path = reverse("annotation:comparison", args=[project.slug, foreign.pk])
    assert client.get(path).status_code == 404
