"""Pages and JSON are sent compressed and in a length that says little; streams as they are."""

from __future__ import annotations

import gzip

import pytest
from django.test import Client

from annotation import exporting
from tests import factories

pytestmark = pytest.mark.django_db
GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
def client() -> Client:
    found = Client()
    found.force_login(factories.make_admin())
    return found


@pytest.mark.parametrize("path", ["/projects/", "/api/v1/projects", "/api/schema/"])
def test_a_page_is_sent_compressed_to_whoever_takes_that(client: Client, path: str) -> None:
    for _ in range(12):
        factories.make_project()
    plain, sent = client.get(path), client.get(path, headers=GZIP)
    assert "Content-Encoding" not in plain
    assert sent["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in sent["Vary"]
    assert int(sent["Content-Length"]) == len(sent.content) < len(plain.content) / 2
    assert len(gzip.decompress(sent.content)) == len(plain.content)


def test_the_same_page_has_many_lengths(client: Client) -> None:
    assert len({len(client.get("/api/schema/", headers=GZIP).content) for _ in range(12)}) > 1


def test_what_is_streamed_stays_as_it_is(client: Client) -> None:
    project = factories.make_project(k=1)
    factories.judge(factories.make_comparison(project))
    release = exporting.make_release(project)
    for path in ("records", "folder"):
        address = f"/api/v1/releases/{release.pk}/{path}"
        answer = client.get(address, headers=GZIP)
        assert answer.status_code == 200
        assert b"".join(answer.streaming_content)
        assert "Content-Encoding" not in answer
