"""Projects: the cards of a person's list, making one, and changing its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from annotation import access, leases
from annotation.models import Membership, Project, User
from annotation.models.projects import Role
from annotation.progress import (
    OwnProgress,
    Progress,
    own_progress_of_many,
    progress_of_many,
)


@dataclass(frozen=True)
class Card:
    """A project in a person's list; ``role`` is None for a superuser who is no member."""

    project: Project
    progress: Progress
    own: OwnProgress
    role: Role | None


def cards(user: User) -> list[Card]:
    """The projects of ``user``, in a number of queries that does not grow."""
    found = list(access.projects(user))
    progress = progress_of_many(found)
    own = own_progress_of_many(found, user)
    roles = dict(Membership.objects.filter(user=user).values_list("project", "role"))
    return [
        Card(one, progress[one.pk], own[one.pk], Role(roles[one.pk]) if one.pk in roles else None)
        for one in found
    ]


def create(project: Project, *, manager: User) -> Project:
    """Stores a new project with its first member."""
    with transaction.atomic():
        project.created_by = manager
        project.save()
        Membership.objects.create(project=project, user=manager, role=Role.MANAGER)
    return project


def change(project: Project, settings: dict[str, Any]) -> None:
    """Stores changed settings: new guidelines get a new version, waiting work the new overlap."""
    overlap = {name: settings[name] for name in ("judgments_per_comparison", "max_judgments")}
    plain = {k: v for k, v in settings.items() if k not in {"guidelines", *overlap}}
    with transaction.atomic():
        stored = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        for name, value in plain.items():
            setattr(stored, name, value)
        stored.save(update_fields=list(plain))
        stored.change_guidelines(settings["guidelines"])
        if any(getattr(stored, name) != value for name, value in overlap.items()):
            leases.change_overlap(
                stored,
                usual=settings["judgments_per_comparison"],
                maximum=settings["max_judgments"],
            )
