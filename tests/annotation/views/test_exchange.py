"""Imports, releases and tokens as pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation import exporting, jobs
from annotation.models import ApiToken, ImportJob, Project, Release, User
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.make_project(k=1)


@pytest.fixture
def manager(project: Project) -> User:
    return factories.make_member(project, "manager")


@pytest.fixture
def client(manager: User) -> Client:
    client = Client()
    client.force_login(manager)
    return client


def upload(client: Client, project: Project, content: bytes, **fields: Any) -> Any:
    records = SimpleUploadedFile("my pairs, new.jsonl", content)
    data = {"format": "llava_rlhf", "records": records, **fields}
    return client.post(reverse("annotation:imports", args=[project.slug]), data)


def test_an_upload_becomes_a_job_and_names_every_bad_line(client: Client, project: Project) -> None:
    response = upload(client, project, b'not json\n{"id": "a"}\n')
    job = ImportJob.objects.get()
    assert response.url == reverse("annotation:import", args=[project.slug, job.pk])
    assert (job.name, job.state) == ("my pairs new.jsonl", "queued")
    waiting = client.get(response.url, headers={"HX-Request": "true"}).content
    assert b'hx-trigger="every 1s"' in waiting
    assert b"<html" not in waiting
    jobs.run_import(job.pk)
    text = client.get(response.url).content.decode()
    assert "Refused: nothing was imported" in text
    assert "hx-trigger" not in text
    job.refresh_from_db()
    assert {problem["line"] for problem in job.problems} == {1, 2}
    assert not project.comparisons.exists()


def test_two_answer_files_are_asked_for_together(client: Client, project: Project) -> None:
    response = upload(client, project, b"[]", format="mmhal")
    assert response.status_code == 422
    assert b"The second model&#x27;s answer file is needed." in response.content
    second = SimpleUploadedFile("other.json", b"[]")
    response = upload(client, project, b"[]", second_records=second)
    assert b"This format takes one file." in response.content
    assert not ImportJob.objects.exists()


def test_a_release_is_built_and_downloaded(client: Client, project: Project) -> None:
    comparison = factories.make_comparison(project)
    factories.judge(comparison, "2")
    path = reverse("annotation:releases", args=[project.slug])
    response = client.post(path, {"held_out_percent": 0, "seed": 4, "honesty_only": "on"})
    release = Release.objects.get()
    assert response.url == release.get_absolute_url()
    assert (release.seed, release.held_out_share) == (4, 0)
    assert release.policy["honesty_only"] is True
    assert b"hx-get" in client.get(response.url).content
    jobs.build_release(release.pk)
    assert b"Download" in client.get(response.url, headers={"HX-Request": "true"}).content
    arguments = [project.slug, release.number, "llava_rlhf"]
    download = client.get(reverse("annotation:release-download", args=arguments))
    (record,) = [json.loads(line) for line in b"".join(download.streaming_content).splitlines()]
    assert (record["id"], record["preference"]) == (comparison.external_id, 1)
    assert "attachment" in download["Content-Disposition"]


def test_a_release_without_a_decision_says_why(client: Client, project: Project) -> None:
    factories.make_comparison(project)
    path = reverse("annotation:releases", args=[project.slug])
    response = client.post(path, {"held_out_percent": 10, "seed": 0}, follow=True)
    assert f"No comparison of {project.name} is decided yet." in response.content.decode()
    assert not Release.objects.exists()


def test_downloads_refuse_unknown_formats_and_parts(client: Client, project: Project) -> None:
    factories.judge(factories.make_comparison(project))
    release = exporting.make_release(project)
    for name, split in (("pickle", ""), ("csv", "everything")):
        path = reverse("annotation:release-download", args=[project.slug, release.number, name])
        response = client.get(path, {"split": split})
        assert response.url == reverse("annotation:releases", args=[project.slug])


def test_a_token_is_shown_once_and_can_be_revoked(client: Client, manager: User) -> None:
    path = reverse("annotation:tokens")
    made = client.post(path, {"name": "script", "scopes": ["read", "train"], "days": 30})
    raw = made.context["raw"]
    token = ApiToken.objects.get()
    assert raw in made.content.decode()
    assert made["Cache-Control"] and "no-store" in made["Cache-Control"]
    assert (token.user, token.scopes) == (manager, ["read", "train"])
    assert token.expires_at is not None
    assert 29 <= (token.expires_at - timezone.now()).days <= 30
    assert raw not in client.get(path).content.decode()
    client.post(reverse("annotation:token-revoke", args=[token.pk]))
    path = "/api/v1/projects"
    assert client.get(path, headers={"Authorization": f"Bearer {raw}"}).status_code == 401


@pytest.mark.parametrize("change", [{"scopes": []}, {"scopes": ["all"]}, {"days": 9999}])
def test_a_token_needs_known_scopes_and_an_end(client: Client, change: dict[str, Any]) -> None:
    data = {"name": "script", "scopes": ["read"], "days": 30, **change}
    assert client.post(reverse("annotation:tokens"), data).status_code == 422
    assert not ApiToken.objects.exists()
