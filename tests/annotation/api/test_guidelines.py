"""Guidelines over REST: examples are drafted, published, read and acknowledged."""

from __future__ import annotations

import pytest

from annotation.models import Project, User, WorkedExample
from tests.annotation.api import Api
from tests.factories import make_comparison, make_member

pytestmark = pytest.mark.django_db
SPAN = {"response": 2, "start": 2, "end": 6, "kind": "object"}


@pytest.fixture
def path(project: Project) -> str:
    project.change_guidelines("Look closely.")
    return f"projects/{project.slug}/guidelines"


@pytest.fixture
def reader(project: Project) -> Api:
    return Api(make_member(project))


def draft(api: Api, path: str, project: Project, **fields: object) -> dict[str, object]:
    asked = {
        "comparison": make_comparison(project).pk,
        "more_hallucinated": "2",
        "why": "There is no star.",
        "spans": [SPAN],
        **fields,
    }
    made = api.post(f"{path}/examples", asked)
    assert made.status_code == 201
    return made.json()


def test_an_example_is_seen_once_its_version_is_published(
    api: Api, reader: Api, path: str, project: Project
) -> None:
    example = draft(api, path, project)
    assert (example["added_in"], example["spans"]) == (None, [SPAN])
    assert [one["id"] for one in api.get(path).json()["pending"]] == [example["id"]]
    assert reader.get(path).json()["examples"] == []
    published = api.post(f"{path}/versions")
    assert (published.status_code, published.json()["pending"]) == (201, [])
    seen = reader.get(path).json()
    assert (seen["version"], seen["newest"], seen["text"]) == (3, 3, "Look closely.")
    assert [one["id"] for one in seen["examples"]] == [example["id"]]
    assert "pending" not in seen
    earlier = reader.get(path, version=2).json()
    assert (earlier["version"], earlier["newest"], earlier["examples"]) == (2, 3, [])
    assert api.post(f"{path}/versions").status_code == 409


def test_an_example_leaves_with_the_next_version(api: Api, path: str, project: Project) -> None:
    example = draft(api, path, project)
    one = f"{path}/examples/{example['id']}"
    api.post(f"{path}/versions")
    assert api.delete(one).status_code == 204
    shown = api.get(path).json()
    assert [one["to_remove"] for one in shown["examples"]] == [True]
    assert api.post(f"{path}/versions").json()["examples"] == []
    assert api.delete(one).status_code == 404


def test_a_draft_is_dropped_at_once(api: Api, path: str, project: Project) -> None:
    example = draft(api, path, project)
    assert api.delete(f"{path}/examples/{example['id']}").status_code == 204
    assert not WorkedExample.objects.exists()


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        ({"comparison": 0}, 400),
        ({"comparison": 10**9}, 404),
        ({"more_hallucinated": "3"}, 400),
        ({"why": ""}, 400),
        ({"spans": [{**SPAN, "end": 10**6}]}, 422),
        ({"spans": [{**SPAN, "kind": "taste"}]}, 400),
    ],
)
def test_a_bad_example_is_refused(
    api: Api, path: str, project: Project, bad: dict[str, object], status: int
) -> None:
    asked = {"comparison": make_comparison(project).pk, "more_hallucinated": "2", "why": "Why."}
    assert api.post(f"{path}/examples", {**asked, **bad}).status_code == status
    assert not WorkedExample.objects.exists()


def test_a_version_is_acknowledged_as_it_was_read(
    api: Api, reader: Api, path: str, project: Project, manager: User
) -> None:
    assert reader.get(path).json()["acknowledged"] == 0
    project.change_guidelines("Look more closely.")
    read = reader.put(f"{path}/acknowledgement", {"version": 2})
    assert (read.status_code, read.json()) == (200, {"version": 2})
    assert reader.put(f"{path}/acknowledgement", {"version": 1}).json() == {"version": 2}
    shown = reader.get(path).json()
    assert (shown["acknowledged"], shown["newest"]) == (2, 3)
    assert reader.put(f"{path}/acknowledgement", {"version": 4}).status_code == 422
    assert project.memberships.get(user=manager).guidelines_acknowledged == 0


@pytest.mark.parametrize(("version", "status"), [("9", 404), ("0", 400), ("two", 400)])
def test_a_version_that_never_was_is_not_found(
    api: Api, path: str, version: str, status: int
) -> None:
    assert api.get(path, version=version).status_code == status
