"""The site for administrators gives nobody more than they have: permissions do not reach power."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.files.storage import default_storage
from django.db import models
from django.test import Client
from django.urls import reverse

from annotation.models import Membership, Project, User
from benchmark.models import Judge
from tests import factories
from tests.benchmark.factories import make_judge
from tests.security.world import World

pytestmark = pytest.mark.django_db

EDITED_WITH_PERMISSION = {Project, Membership}
SUPERUSERS_EDIT = {User, Group, Judge, SocialAccount}


@pytest.fixture
def staff() -> User:
    """Somebody who has every permission and is no superuser."""
    person = factories.make_user(is_staff=True)
    person.user_permissions.set(Permission.objects.all())
    return person


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def address_of(model: Any, step: str, *arguments: Any) -> str:
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{step}", args=arguments)


def made_by(person: User) -> set[type]:
    """The models that the site lets ``person`` make rows of."""
    client, models = client_of(person), admin.site._registry
    return {one for one in models if client.get(address_of(one, "add")).status_code == 200}


def test_a_new_installation_has_no_account() -> None:
    assert not User.objects.exists()


def test_every_model_that_can_be_made_by_hand_is_listed(staff: User) -> None:
    assert made_by(staff) == EDITED_WITH_PERMISSION
    assert made_by(factories.make_admin()) == EDITED_WITH_PERMISSION | SUPERUSERS_EDIT


def test_staff_cannot_raise_themselves_nor_lower_others(staff: User) -> None:
    superuser, group = factories.make_admin(), Group.objects.create(name="crew")
    staff.groups.add(group)
    judge = make_judge()
    client, before = client_of(staff), [_row(one) for one in (staff, superuser, group, judge)]
    for row in (staff, superuser, group, judge):
        for step in ("change", "delete"):
            address = address_of(row, step, row.pk)
            sent = {
                **{name: value for name, value in _row(row).items() if value is not None},
                "is_superuser": "on",
                "permissions": list(Permission.objects.values_list("pk", flat=True)),
                "base_url": "http://169.254.169.254/",
                "post": "yes",
            }
            assert client.post(address, sent).status_code == 403, address
    password = reverse("admin:auth_user_password_change", args=[superuser.pk])
    assert client.post(password, {"password1": "x" * 12, "password2": "x" * 12}).status_code == 403
    assert [_row(one) for one in (staff, superuser, group, judge)] == before
    assert not group.permissions.exists()


def test_the_address_of_a_judge_is_for_superusers(staff: User) -> None:
    address = address_of(Judge, "add")
    sent = {"name": "mine", "kind": "openai", "parser": "careful", "model": "m", "options": "{}"}
    sent |= {"base_url": "http://10.0.0.1/v1", "key_variable": "JUDGE_API_KEY", "concurrency": "4"}
    assert client_of(staff).post(address, sent).status_code == 403
    assert not Judge.objects.exists()
    assert client_of(factories.make_admin()).post(address, sent).status_code == 302
    assert Judge.objects.get().base_url == "http://10.0.0.1/v1"


def _row(row: Any) -> dict[str, Any]:
    return dict(type(row).objects.filter(pk=row.pk).values().get())


# --- Rows that others depend on ---------------------------------------------------------------


def test_what_cannot_be_edited_by_hand_cannot_be_deleted_by_hand() -> None:
    """Counters and votes would no longer fit each other."""
    client = client_of(factories.make_admin())
    comparison = factories.make_comparison(factories.make_project())
    vote = factories.judge(comparison)
    for model in set(admin.site._registry) - EDITED_WITH_PERMISSION - SUPERUSERS_EDIT:
        assert b"delete_selected" not in client.get(address_of(model, "changelist")).content
        assert client.post(address_of(model, "delete", 1), {"post": "yes"}).status_code == 403
    refused = client.post(address_of(type(vote), "delete", vote.pk), {"post": "yes"})
    assert refused.status_code == 403


@pytest.mark.parametrize("model", [User, Project, Membership])
def test_whom_and_what_votes_hang_on_stays(model: Any) -> None:
    client = client_of(factories.make_admin())
    project = factories.make_project()
    vote = factories.judge(factories.make_comparison(project))
    voter = vote.assignment.annotator
    row = {
        User: voter,
        Project: project,
        Membership: Membership.objects.get(user=voter),
    }[model]
    client.post(address_of(model, "delete", row.pk), {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    client.post(address_of(model, "changelist"), chosen)
    assert type(vote).objects.filter(pk=vote.pk).exists()
    comparison = vote.comparison
    comparison.refresh_from_db()
    assert comparison.judgment_count == type(vote).objects.filter(comparison=comparison).count()


# --- Links -----------------------------------------------------------------------------------


def test_every_link_of_a_row_leads_somewhere(world: World) -> None:
    """Those of files too: a file is at its row's address, which says who may read it."""
    client, asked = client_of(world.people["admin"]), dict[str, int]()
    for model in admin.site._registry:
        row = model._default_manager.first()
        page = client.get(address_of(model, "change", row.pk)) if row is not None else None
        for link in set(re.findall(r'href="(/[^"#]*)', page.content.decode() if page else "")):
            if link not in asked:
                answer = client.get(link, follow=True)
                asked[link] = answer.status_code
                list(answer)
    assert any("/images/" in link for link in asked) and any("/releases/" in link for link in asked)
    assert {link: status for link, status in asked.items() if status != 200} == {}


def test_a_file_in_storage_has_no_address_but_that_of_its_row() -> None:
    fields = [
        (model, field)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.FileField)
    ]
    assert len(fields) > 5
    for model, field in fields:
        row = model(pk=7)
        setattr(row, field.attname, "folder/name")
        row.get_absolute_url = lambda: "/the/row"
        assert getattr(row, field.attname).url == "/the/row"
    with pytest.raises(ValueError, match="no address of its own"):
        default_storage.url("folder/name")
