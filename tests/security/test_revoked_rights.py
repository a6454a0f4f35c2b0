"""What somebody made or asked for while they might is worth no more than what they may now."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from annotation import access
from annotation.models import Comparison, Invitation, Membership, User
from annotation.onboarding import joining
from benchmark.models import SharedLink
from tests.factories import (
    make_admin,
    make_member,
    make_project,
    make_token,
    make_user,
)
from tests.security.operations import Operation, operations, prepare, right_body
from tests.security.test_references import manager_of, pair, send
from tests.security.world import World

# --- An invitation is worth no more than its maker --------------------------------------------


def demote(membership: Membership) -> None:
    joining.change_role(membership, "reviewer")


def leave(membership: Membership) -> None:
    membership.user.is_active = False
    membership.user.save()


def forget(membership: Membership) -> None:
    """Their account is deleted."""
    membership.project.invitations.update(created_by=None)


@pytest.mark.parametrize("change", [joining.remove, demote, leave, forget])
@pytest.mark.parametrize("role", ["annotator", "manager"])
def test_an_invitation_opens_nothing_once_its_maker_may_not_invite(
    db: None, change: Callable[[Membership], None], role: str
) -> None:
    project = make_project()
    maker = make_member(project, "manager")
    make_member(project, "manager")
    _, raw = Invitation.create(project, role=role, created_by=maker)
    path = reverse("annotation:join", args=[raw])
    assert Client().get(path).status_code == 200
    change(project.memberships.get(user=maker))
    guest = Client()
    guest.force_login(make_user())
    assert (Client().get(path).status_code, guest.post(path).status_code) == (410, 410)
    with pytest.raises(joining.InvitationUsed):
        joining.accept(raw, make_user())
    assert not project.invitations.usable().exists()


def test_a_removed_manager_does_not_return_by_their_own_invitation(db: None) -> None:
    project = make_project()
    maker = make_member(project, "manager")
    make_member(project, "manager")
    _, raw = Invitation.create(project, role="manager", created_by=maker)
    joining.remove(project.memberships.get(user=maker))
    with pytest.raises(joining.InvitationUsed):
        joining.accept(raw, maker)
    assert access.role(maker, project) is None


def test_an_administrators_invitation_lasts_while_they_are_one(db: None) -> None:
    project, maker = make_project(), make_admin()
    _, raw = Invitation.create(project, role="manager", created_by=maker)
    User.objects.filter(pk=maker.pk).update(is_superuser=False)
    with pytest.raises(joining.InvitationUsed):
        joining.accept(raw, make_user())
    User.objects.filter(pk=maker.pk).update(is_superuser=True)
    assert joining.accept(raw, make_user()) == project


def test_a_public_link_opens_nothing_once_its_maker_is_no_administrator(world: World) -> None:
    paths = [
        reverse("shared:index", args=[world.secrets["share"]]),
        reverse("shared:summary", args=[world.secrets["share"], "md"]),
    ]
    assert [Client().get(path).status_code for path in paths] == [200, 200]
    assert SharedLink.objects.get().state == "open"
    User.objects.filter(pk=world.people["admin"].pk).update(is_superuser=False)
    assert [Client().get(path).status_code for path in paths] == [404, 404]
    assert SharedLink.objects.get().state == "closed"


# --- A replay is checked like a first request -------------------------------------------------

ADMINISTRATORS = {"training-api:base-imports", "benchmark-api:question-sets"}
CREATORS = {"annotation-api:projects"}


def replayable() -> list[Operation]:
    def is_idempotent(operation: Operation) -> bool:
        names = (operation.method, "create")
        view = operation.route.view
        return any(getattr(getattr(view, name, None), "idempotent", False) for name in names)

    return [one for one in operations() if one.method == "post" and is_idempotent(one)]


def lose(world: World, person: User, how: str) -> None:
    """``person`` may not do any more what they did."""
    mine = Membership.objects.filter(project=world.project, user=person)
    if how == "removed":
        mine.delete()
    else:
        mine.update(role="annotator")
    User.objects.filter(pk=person.pk).update(is_superuser=False)
    person.user_permissions.clear()


@pytest.mark.parametrize("how", ["removed", "demoted"])
def test_a_replay_is_refused_to_whoever_may_not_ask_any_more(world: World, how: str) -> None:
    answered, wrong = [], []
    assert len(replayable()) > 15
    for operation in replayable():
        name = operation.route.name
        with transaction.atomic():
            prepare(world, operation)
            person = make_member(world.project, "manager")
            User.objects.filter(pk=person.pk).update(is_superuser=name in ADMINISTRATORS)
            if name in CREATORS:
                person.user_permissions.add(Permission.objects.get(codename="add_project"))
            client = Client()
            client.force_login(person)
            key = {"Idempotency-Key": "once"}
            right = json.dumps(right_body(world, operation), default=lambda file: "")
            form = not operation.content_type.startswith("application/json")

            def ask(
                operation: Operation = operation,
                client: Client = client,
                key: dict[str, str] = key,
                right: str = right,
                form: bool = form,
            ) -> HttpResponse:
                # Files are read to their end by the first request, and made anew.
                body = right_body(world, operation) if form else right
                return send(client, world, operation, body, **key)  # type: ignore[no-any-return]

            first, again = ask(), ask()
            if first.status_code >= 300 or again.status_code != first.status_code:
                wrong.append((name, first.status_code, again.status_code, again.content[:200]))
            lose(world, person, how)
            after = ask()
            if after.status_code not in (401, 403, 404):
                answered.append((name, after.status_code))
            transaction.set_rollback(True)
    assert wrong == []
    assert answered == []


def test_a_replay_needs_the_scope_of_a_first_request(world: World) -> None:
    """It is the person's, not the token's: another token of theirs with the scope is answered."""
    person = world.people["manager"]
    path = f"/api/v1/projects/{world.project.slug}/invitations"
    statuses = []
    for scopes in (("manage",), ("read",), ("manage",)):
        client = Client(headers={"Authorization": f"Bearer {make_token(person, *scopes)}"})
        sent = client.post(
            path,
            {"role": "annotator"},
            content_type="application/json",
            headers={"Idempotency-Key": "k"},
        )
        statuses.append(sent.status_code)
    assert statuses == [201, 403, 201]
    assert Invitation.objects.filter(created_by=person, note="").count() == 1


def test_a_replay_of_what_is_done_writes_nothing(world: World) -> None:
    """It is looked at like a first request only as far as its first write."""
    client = manager_of(world)
    path = f"/api/v1/projects/{world.project.slug}/comparisons"
    body = {"comparisons": [pair(world.comparison.prompt.image)]}
    key = {"Idempotency-Key": "k"}
    answers = [
        client.post(path, body, content_type="application/json", headers=key) for _ in range(3)
    ]
    first = answers[0].json()
    assert (first["created"], first["unchanged"]) == (1, 0)
    assert [one.json() for one in answers] == [first] * 3
    assert Comparison.objects.filter(project=world.project, external_id="new").count() == 1
