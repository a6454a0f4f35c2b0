"""Participants reach their labelling and nothing else, whatever route is added."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation import exporting, leases
from annotation.crowd.confinement import HOME, OPEN
from annotation.models import ApiToken, Invitation, Membership, Project, Study
from annotation.models.projects import OneProjectOnly
from annotation.onboarding import joining
from tests import factories
from tests.annotation.crowd.conftest import answer, arrive, participant
from tests.security.world import ROUTES, make_world

FOR_EVERYBODY = {"live", "ready", "metrics"}


@pytest.mark.django_db
def test_every_route_but_those_listed_is_refused() -> None:
    world = make_world()
    client = Client()
    client.force_login(world.people["annotator"])
    world.people["annotator"].is_participant = True
    world.people["annotator"].save()
    let_through = {}
    for name, route in ROUTES.items():
        if name in OPEN | FOR_EVERYBODY:
            continue
        for method in ("get", "post", "put", "patch", "delete"):
            status = getattr(client, method)(f"{world.address(route)}").status_code
            if status != 403 and not (name in HOME and method == "get"):
                let_through[name, method] = status
    assert let_through == {}


def test_home_is_ones_labelling(project: Project, study: Study) -> None:
    client = arrive(study)
    label = reverse("annotation:label", args=[project.slug])
    for path in ("/", "/projects/", project.get_absolute_url()):
        assert client.get(path)["Location"] == label
    for name in ("my-answers", "guidelines"):
        page = client.get(reverse(f"annotation:{name}", args=[project.slug])).content.decode()
        assert 'href="/projects/"' not in page
        assert "Account menu" not in page


def test_another_project_does_not_exist_for_them(study: Study) -> None:
    client, other = arrive(study), factories.make_project()
    for name in ("label", "my-answers", "guidelines", "study-finished"):
        assert client.get(reverse(f"annotation:{name}", args=[other.slug])).status_code == 404


def test_they_become_no_member_elsewhere_and_nothing_more_here(
    project: Project, study: Study
) -> None:
    arrive(study)
    who, other = participant().user, factories.make_project()
    with pytest.raises(OneProjectOnly):
        joining.add(other, who, "annotator")
    _, raw = Invitation.create(other, role="annotator", created_by=factories.make_admin())
    with pytest.raises(OneProjectOnly):
        joining.accept(raw, who)
    with pytest.raises(OneProjectOnly):
        joining.change_role(project.memberships.get(user=who), "manager")
    assert list(Membership.objects.filter(user=who).values_list("project", "role")) == [
        (project.pk, "annotator")
    ]
    manager = Client()
    manager.force_login(factories.make_member(other, "manager"))
    path = reverse("annotation-api:members", args=[other.slug])
    sent: Any = {"username": who.username, "role": "annotator"}
    assert manager.post(path, sent, content_type="application/json").status_code == 409


def test_no_token_speaks_for_them(project: Project, study: Study) -> None:
    arrive(study)
    _, raw = ApiToken.create(participant().user, name="x", scopes=["annotate", "read"])
    client = Client(headers={"Authorization": f"Bearer {raw}"})
    path = reverse("annotation-api:next", args=[project.slug])
    assert client.post(path, {}, content_type="application/json").status_code == 401


def test_their_ids_are_for_managers_alone(project: Project, study: Study) -> None:
    leases.change_overlap(project, usual=1, maximum=1)
    arrive(study, "SECRET-PID", "SECRET-SESSION")
    for _ in range(2):
        answer(project, participant("SECRET-PID").user)
    release = exporting.make_release(project)
    for format in exporting.FORMATS:
        assert b"SECRET" not in b"".join(exporting.stream(release, format))
    reviewer = Client()
    reviewer.force_login(factories.make_member(project, "reviewer"))
    for name in ("project", "quality", "comparisons", "disputes", "releases", "guidelines"):
        page = reviewer.get(reverse(f"annotation:{name}", args=[project.slug]))
        assert page.status_code == 200
        assert b"SECRET" not in page.content
    path = reverse("annotation:study-participants", args=[project.slug, study.pk])
    assert reviewer.get(path).status_code == 403
    manager = Client()
    manager.force_login(factories.make_member(project, "manager"))
    assert b"SECRET-PID" in b"".join(manager.get(path).streaming_content)  # type: ignore[attr-defined]
