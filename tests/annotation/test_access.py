"""Who sees and may do what; test_access_walk has the routes."""

import pytest
from django.contrib.auth.models import AnonymousUser, Permission
from django.core.exceptions import PermissionDenied
from django.http import Http404

from annotation import access
from annotation.models import Comparison, Image, Project
from tests.factories import (
    make_admin,
    make_comparison,
    make_image,
    make_member,
    make_project,
    make_prompt,
    make_user,
)

pytestmark = pytest.mark.django_db

TABLE = [
    ("annotator", {"see", "annotate"}),
    ("reviewer", {"see", "annotate", "review"}),
    ("manager", {"see", "annotate", "review", "manage"}),
]


@pytest.mark.parametrize(("role", "allowed"), TABLE)
def test_a_role_has_its_permissions_and_those_below(role, allowed):
    project = make_project()
    member = make_member(project, role)
    for permission in access.Permission:
        assert access.may(member, project, permission) == (permission in allowed)
        if permission in allowed:
            assert access.require(member, project.slug, permission) == project
        else:
            with pytest.raises(PermissionDenied, match="needs the role"):
                access.require(member, project, permission)


@pytest.mark.parametrize("key", ["pk", "slug"])
def test_an_outsider_cannot_tell_a_project_from_nothing(key):
    project = make_project()
    outsider = make_member(make_project(), "manager")
    for asked in (project, getattr(project, key), "nowhere", 10**9):
        with pytest.raises(Http404):
            access.require(outsider, asked, "see")
    with pytest.raises(Http404):
        access.require(AnonymousUser(), project, "see")


def test_a_superuser_may_all():
    project = make_project()
    assert access.require(make_admin(), project.pk, "manage") == project
    assert access.role(make_admin(), project) == "manager"


def test_visible_rows_are_those_of_ones_projects():
    mine, foreign = make_project(), make_project()
    comparison = make_comparison(mine)
    make_comparison(foreign)
    member = make_member(mine)
    assert list(access.visible(member, Comparison.objects.all())) == [comparison]
    assert list(access.projects(member)) == [mine]
    assert access.projects(make_admin()).count() == Project.objects.count()
    assert not access.visible(AnonymousUser(), Comparison.objects.all()).exists()


def test_an_image_is_visible_where_a_prompt_shows_it():
    image = make_image()
    mine, foreign = make_project(), make_project()
    member = make_member(mine)
    make_prompt(foreign, image=image)
    assert not access.visible(member, Image.objects.all()).exists()
    for _ in range(2):
        make_prompt(mine, image=image)
    assert list(access.visible(member, Image.objects.all())) == [image]


def test_creating_projects_is_a_permission_of_its_own():
    user = make_user()
    with pytest.raises(PermissionDenied):
        access.require_project_creation(user)
    user.user_permissions.add(Permission.objects.get(codename="add_project"))
    access.require_project_creation(type(user).objects.get(pk=user.pk))
    access.require_project_creation(make_admin())
