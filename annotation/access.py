"""Who may see or do what: the only place that answers 403 or 404.

An outsider gets 404, the same as for something that does not exist, so that addresses tell
nothing; a member whose role does not reach gets 403 and is told so.
"""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import TypeVar

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from annotation.models import (
    Assignment,
    Comparison,
    Image,
    ImageUpload,
    ImportJob,
    Judgment,
    Membership,
    Project,
    Prompt,
    Release,
    User,
)
from annotation.models.projects import Role
from annotation.prepared_statements import Columns, Statement

AnyUser = User | AnonymousUser
M = TypeVar("M", bound=Model)


class Permission(StrEnum):
    """What can be asked for; a role has all permissions of the roles below it."""

    SEE = "see"
    """The project, its images, guidelines and one's own progress."""
    ANNOTATE = "annotate"
    """Take comparisons and answer them."""
    REVIEW = "review"
    """See votes, agreement and releases; adjudicate."""
    MANAGE = "manage"
    """Change the project, its members and comparisons; make releases; start runs."""


LEAST_ROLE = {
    Permission.SEE: Role.ANNOTATOR,
    Permission.ANNOTATE: Role.ANNOTATOR,
    Permission.REVIEW: Role.REVIEWER,
    Permission.MANAGE: Role.MANAGER,
}
RANK = {Role.ANNOTATOR: 0, Role.REVIEWER: 1, Role.MANAGER: 2}

PATH_TO_PROJECT: dict[type[Model], str] = {
    Project: "pk",
    Assignment: "project",
    Comparison: "project",
    Image: "prompts__project",
    ImportJob: "project",
    Judgment: "comparison__project",
    Prompt: "project",
    Release: "project",
}

# What each request of an annotator begins with.
PROJECT = Columns(Project, "project")
ASSIGNMENT = Columns(Assignment, "assignment")
WITH_ROLE = Statement(f"""
SELECT {PROJECT}, membership.role
FROM annotation_project AS project
JOIN annotation_membership AS membership ON membership.project_id = project.id
WHERE project.slug = %(slug)s AND membership.user_id = %(person)s
""")
OWN_ASSIGNMENT = Statement(f"""
SELECT {ASSIGNMENT}, {PROJECT}, membership.role
FROM annotation_assignment AS assignment
JOIN annotation_project AS project ON project.id = assignment.project_id
LEFT JOIN annotation_membership AS membership
  ON membership.project_id = assignment.project_id AND membership.user_id = assignment.annotator_id
WHERE assignment.token = %(token)s AND assignment.annotator_id = %(person)s
""")


def visible(user: AnyUser, rows: QuerySet[M]) -> QuerySet[M]:
    """Those of ``rows`` that belong to a project of ``user``; all of them for a superuser."""
    path = PATH_TO_PROJECT[rows.model]
    if not user.is_authenticated:
        return rows.none()
    if user.is_superuser:
        return rows
    mine = Membership.objects.filter(user=user).values("project")
    if rows.model is Image:
        # By the prompts' side: a join would repeat an image that several prompts show.
        shown = Prompt.objects.filter(project__in=mine).values("image")
        return rows.filter(pk__in=shown)
    return rows.filter(**{f"{path}__in": mine})


def images_to_name(user: User | None, project: Project) -> QuerySet[Image]:
    """The images that ``user`` may name by their hash in records of ``project``.

    Those that they may see, and those that were uploaded into the project: whoever learns the hash
    of another one has to have the picture, and upload it. None: a person who is gone.
    """
    within = Q(pk__in=ImageUpload.objects.filter(project=project).values("image"))
    seen = visible(user, Image.objects.all()) if user and user.is_active else Image.objects.none()
    if user is None:
        within |= Q(pk__in=Prompt.objects.filter(project=project).values("image"))
    return Image.objects.filter(within | Q(pk__in=seen.values("pk")))


def projects(user: AnyUser, *, archived: bool | None = None) -> QuerySet[Project]:
    """The projects that ``user`` may see: archived ones, those that are not, or with None both."""
    rows = visible(user, Project.objects.all())
    if archived is None:
        return rows
    put_away = Q(state=Project.State.ARCHIVED)
    return rows.filter(put_away if archived else ~put_away)


def projects_where(user: AnyUser, permission: str) -> QuerySet[Project]:
    """The projects in which ``user`` has ``permission`` (see Permission)."""
    needed = RANK[LEAST_ROLE[Permission(permission)]]
    enough = [held for held, rank in RANK.items() if rank >= needed]
    if not user.is_authenticated:
        return Project.objects.none()
    if user.is_superuser:
        return Project.objects.all()
    mine = Membership.objects.filter(user=user, role__in=enough)
    return Project.objects.filter(pk__in=mine.values("project"))


def role(user: AnyUser, project: Project) -> Role | None:
    """The role of ``user`` in ``project``; None for outsiders. A superuser is a manager."""
    if not user.is_authenticated:
        return None
    if user.is_superuser:
        return Role.MANAGER
    membership = Membership.objects.filter(user=user, project=project).first()
    return Role(membership.role) if membership else None


def may(user: AnyUser, project: Project, permission: str) -> bool:
    """Whether ``user`` has ``permission`` (see Permission) in ``project``."""
    held = role(user, project)
    return held is not None and RANK[held] >= RANK[LEAST_ROLE[Permission(permission)]]


def require(user: AnyUser, project: Project | str | int, permission: str) -> Project:
    """The project (given itself, by slug or by primary key) if ``user`` has ``permission`` in it.

    Raises Http404 for outsiders and PermissionDenied for members whose role does not reach.
    """
    if isinstance(project, Project):
        held = role(user, project)
    else:
        project, held = _with_role(user, project)
    _require(held, project, permission)
    return project


def require_assignment(user: User, token: uuid.UUID) -> Assignment:
    """A person's own assignment, with its project, if they may annotate there; in one query.

    Raises Http404 for a token of somebody else and for outsiders.
    """
    row = OWN_ASSIGNMENT.row(token=token, person=user.pk)
    if row is None:
        raise Http404
    columns = iter(row)
    assignment = ASSIGNMENT.read(columns)
    assignment.project = PROJECT.read(columns)
    [role] = columns
    held = Role(role) if role else None
    _require(Role.MANAGER if user.is_superuser else held, assignment.project, Permission.ANNOTATE)
    return assignment


def _require(held: Role | None, project: Project, permission: str) -> None:
    if held is None:
        raise Http404
    needed = LEAST_ROLE[Permission(permission)]
    if RANK[held] < RANK[needed]:
        raise PermissionDenied(f"This needs the role {needed.label.lower()} in {project.name}.")


def _with_role(user: AnyUser, key: str | int) -> tuple[Project, Role]:
    """Both in one query: each request begins with this. Raises Http404 for outsiders."""
    name = "slug" if isinstance(key, str) else "pk"
    if not user.is_authenticated:
        raise Http404
    if user.is_superuser:
        return get_object_or_404(Project, **{name: key}), Role.MANAGER
    if name == "pk":
        mine = Membership.objects.filter(user=user).select_related("project")
        membership = get_object_or_404(mine, project=key)
        return membership.project, Role(membership.role)
    row = WITH_ROLE.row(slug=key, person=user.pk)
    if row is None:
        raise Http404
    columns = iter(row)
    project = PROJECT.read(columns)
    [role] = columns
    return project, Role(role)


def may_create_projects(user: AnyUser) -> bool:
    return user.has_perm("annotation.add_project")


def require_project_creation(user: AnyUser) -> None:
    """Raises PermissionDenied unless ``user`` may create projects (a permission of Django's)."""
    if not may_create_projects(user):
        raise PermissionDenied("Creating projects needs an administrator's permission.")
