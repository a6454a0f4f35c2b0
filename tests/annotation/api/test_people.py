"""REST of people: members and invitations."""

from __future__ import annotations

import json

import pytest

from annotation.models import (
    IdempotentAnswer,
    Invitation,
    Membership,
    Project,
    User,
)
from tests.annotation.api import Api
from tests.factories import (
    make_user,
)

pytestmark = pytest.mark.django_db


def test_members_are_added_changed_and_removed(api: Api, project: Project) -> None:
    path, person = f"projects/{project.slug}/members", make_user("jun")
    added = api.post(path, {"username": "jun", "role": "annotator"})
    assert (added.status_code, added.json()["username"]) == (201, "jun")
    assert api.post(path, {"username": "jun", "role": "annotator"}).status_code == 409
    assert api.post(path, {"username": "nobody", "role": "annotator"}).status_code == 400
    one = f"{path}/{added.json()['id']}"
    changed = api.patch(one, {"role": "reviewer", "paused": True})
    assert (changed.json()["role"], changed.json()["paused"]) == ("reviewer", True)
    assert api.patch(one, {"paused": False}).json()["paused"] is False
    assert len(api.get(path).json()["results"]) == 2
    assert api.delete(one).status_code == 204
    assert not Membership.objects.filter(user=person).exists()


def test_the_last_manager_stays(api: Api, project: Project, manager: User) -> None:
    membership = project.memberships.get(user=manager)
    one = f"projects/{project.slug}/members/{membership.pk}"
    assert api.delete(one).status_code == 409
    assert api.patch(one, {"role": "annotator"}).status_code == 409
    membership.refresh_from_db()
    assert membership.role == "manager"


def test_an_invitation_link_is_shown_once_and_stored_nowhere(api: Api, project: Project) -> None:
    path, key = f"projects/{project.slug}/invitations", {"Idempotency-Key": "one"}
    made = api.post(path, {"role": "annotator", "note": "Noor"}, **key)
    again = api.post(path, {"role": "annotator", "note": "Noor"}, **key)
    raw = made.json()["link"].rstrip("/").rpartition("/")[2]
    assert Invitation.objects.usable().matching(raw).get().pk == again.json()["id"]
    assert (again.status_code, again.json()["link"]) == (201, None)
    assert raw not in json.dumps(list(IdempotentAnswer.objects.values_list("answer", flat=True)))
    (listed,) = api.get(path).json()["results"]
    assert "link" not in listed
    assert api.delete(f"{path}/{listed['id']}").status_code == 204
    assert api.delete(f"{path}/{listed['id']}").status_code == 404
