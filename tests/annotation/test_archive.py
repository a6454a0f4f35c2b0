"""Archived projects and releases: in no list, not trained on, and nothing is lost."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import reverse

from annotation import exporting
from annotation.models import Project, Release
from tests import factories
from training.chain_form import trainable_releases

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.make_project(k=1)


@pytest.fixture
def manager(project: Project) -> Client:
    client = Client()
    client.force_login(factories.make_member(project, "manager"))
    return client


@pytest.fixture
def release(project: Project) -> Release:
    factories.judge(factories.make_comparison(project))
    return exporting.make_release(project)


def listed(client: Client, path: str, by: str = "id") -> list[object]:
    return [one[by] for one in client.get(path).json()["results"]]


def patch(client: Client, path: str, **body: object) -> int:
    return client.patch(path, json.dumps(body), content_type="application/json").status_code


def test_an_archived_project_is_in_no_list_until_it_is_asked_for(
    project: Project, manager: Client
) -> None:
    inside = f"/api/v1/projects/{project.slug}"
    assert patch(manager, inside, state="archived") == 200
    assert listed(manager, "/api/v1/projects") == []
    assert listed(manager, "/api/v1/projects?archived=true", "slug") == [project.slug]
    assert listed(manager, "/api/v1/projects?archived=any", "slug") == [project.slug]
    assert manager.get("/api/v1/projects?archived=2").status_code == 400
    projects = reverse("annotation:projects")
    assert "Archived projects (1)" in manager.get(projects).content.decode()
    assert project.name in manager.get(f"{projects}?archived=only").content.decode()
    assert project.name not in manager.get("/").content.decode()
    # It is there for whoever has its address, hands out nothing, and comes back.
    assert manager.get(project.get_absolute_url()).status_code == 200
    factories.make_comparison(project)
    assert manager.post(f"{inside}/assignments/next", {}, "application/json").status_code == 409
    assert patch(manager, inside, state="open") == 200
    assert listed(manager, "/api/v1/projects", "slug") == [project.slug]


def test_an_archived_release_is_in_no_list_and_is_not_trained_on(
    project: Project, manager: Client, release: Release
) -> None:
    def trainable() -> list[int]:
        user = project.memberships.get(role="manager").user
        return [one.pk for one in trainable_releases(user)]

    rest, page = (
        f"/api/v1/releases/{release.pk}",
        reverse("annotation:releases", args=[project.slug]),
    )
    archive = reverse("annotation:release-archive", args=[project.slug, release.number])
    assert trainable() == [release.pk]
    for put_away, bring_back in (
        (
            lambda: patch(manager, rest, archived=True),
            lambda: patch(manager, rest, archived=False),
        ),
        (
            lambda: manager.post(archive).status_code,
            lambda: manager.post(archive, {"archived": "no"}).status_code,
        ),
    ):
        assert put_away() in (200, 302)
        assert trainable() == []
        assert listed(manager, f"/api/v1/projects/{project.slug}/releases") == []
        assert listed(manager, f"/api/v1/projects/{project.slug}/releases?archived=true") == [
            release.pk
        ]
        shown = manager.get(page).content.decode()
        assert "Archived releases (1)" in shown and "All releases are archived" in shown
        assert f"Release {release.number}" in manager.get(f"{page}?archived=only").content.decode()
        assert "Bring back" in manager.get(release.get_absolute_url()).content.decode()
        # Whoever has its number still gets the same bytes.
        assert manager.get(f"{rest}/records").status_code == 200
        assert bring_back() in (200, 302)
        assert trainable() == [release.pk]
    Project.objects.filter(pk=project.pk).update(state="archived")
    assert trainable() == []


def test_only_managers_put_releases_away(project: Project, release: Release) -> None:
    client = Client()
    client.force_login(factories.make_member(project, "reviewer"))
    assert patch(client, f"/api/v1/releases/{release.pk}", archived=True) == 403
    release.refresh_from_db()
    assert release.archived_at is None
