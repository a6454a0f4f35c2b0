"""Which runs and checkpoints a person may see or act on; ``annotation.access`` decides.

Runs name models, which annotators must not know: seeing them takes the role of a reviewer,
starting and cancelling them that of a manager.
"""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404

from annotation import access
from annotation.access import AnyUser
from annotation.models import Project
from training.models import Checkpoint, CheckpointQuerySet, Run, RunQuerySet

SEE = access.Permission.REVIEW
ACT = access.Permission.MANAGE


def runs(user: AnyUser) -> RunQuerySet:
    return Run.objects.in_projects(access.projects_where(user, SEE))


def run(user: AnyUser, pk: int, permission: str = SEE) -> Run:
    """The run; Http404 for outsiders, PermissionDenied for members whose role does not reach."""
    related = ("project", "chain", "release", "base", "policy", "reward_model", "requested_by")
    found = Run.objects.select_related(*related).filter(pk=pk).first()
    if found is None:
        raise Http404
    access.require(user, found.project, permission)
    return found


def checkpoints(user: AnyUser) -> CheckpointQuerySet:
    """Finished checkpoints of the person's projects; imported bases for whoever may see any."""
    projects = access.projects_where(user, SEE)
    if not projects.exists():
        return Checkpoint.objects.none()
    return Checkpoint.objects.usable().in_projects(projects)


def checkpoint(user: AnyUser, pk: int, permission: str = SEE) -> Checkpoint:
    """The checkpoint; errors as ``run``. A base belongs to no project: any reviewer may see it,
    and only an administrator of the site may act on it."""
    found = Checkpoint.objects.usable().with_lineage().filter(pk=pk).first()
    if found is None:
        raise Http404
    if found.run is not None:
        access.require(user, found.run.project, permission)
        return found
    allowed = permission == SEE or user.is_superuser
    if not allowed or not access.projects_where(user, SEE).exists():
        raise Http404
    return found


def managed(user: AnyUser) -> QuerySet[Project]:
    """The projects whose runs the person may change."""
    return access.projects_where(user, ACT)
