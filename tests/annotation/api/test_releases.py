"""Releases over REST: frozen once, then streamed."""

import csv
import io
import json

import pytest

from annotation.models import Project, Release
from tests.annotation.api import body_of
from tests.factories import (
    judge,
    make_comparison,
)

pytestmark = pytest.mark.django_db


def test_a_release_is_made_listed_and_streamed(project, api):
    judge(make_comparison(project), "2")
    made = api.post(f"projects/{project.slug}/releases", {"held_out_share": 0})
    assert made.status_code == 201
    release = made.json()
    assert (release["state"], release["counts"]["train"]) == ("ready", 1)
    listed = api.get(f"projects/{project.slug}/releases").json()["results"]
    assert listed == [api.get(f"releases/{release['id']}").json()]
    streamed = api.get(f"releases/{release['id']}/records")
    assert streamed.streaming
    assert "attachment" in streamed["Content-Disposition"]
    lines = body_of(streamed).splitlines()
    assert [json.loads(line)["preference"] for line in lines] == [1]
    assert body_of(api.get(f"releases/{release['id']}/records", split="held_out")) == b""


def test_a_release_streams_as_csv(project, api):
    judge(make_comparison(project))
    release = api.post(f"projects/{project.slug}/releases").json()
    streamed = api.get(f"releases/{release['id']}/records", format="csv")
    assert streamed["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(body_of(streamed).decode())))
    assert [row["preference"] for row in rows] == ["1"]


def test_a_project_without_a_decided_comparison_has_nothing_to_release(project, api):
    make_comparison(project)
    refused = api.post(f"projects/{project.slug}/releases")
    assert refused.status_code == 409
    assert "decided" in refused.json()["detail"]
    assert not Release.objects.exists()


@pytest.mark.parametrize(
    "parameters", [{"format": "pickle"}, {"split": "test"}, {"format": "csv", "order": "id"}]
)
def test_an_unknown_format_or_split_is_refused(project, api, parameters):
    judge(make_comparison(project))
    release = api.post(f"projects/{project.slug}/releases").json()
    assert api.get(f"releases/{release['id']}/records", **parameters).status_code == 400


def test_a_release_stays_the_same_while_people_go_on(project, api):
    judge(make_comparison(project))
    release = api.post(f"projects/{project.slug}/releases").json()
    before = body_of(api.get(f"releases/{release['id']}/records", format="votes"))
    judge(make_comparison(project))
    Project.objects.update(question="Which is worse?")
    assert body_of(api.get(f"releases/{release['id']}/records", format="votes")) == before
