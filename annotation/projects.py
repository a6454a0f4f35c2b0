"""Projects: the cards of a person's list, making one, and changing its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from annotation import leases
from annotation.errors import DomainError
from annotation.models import Membership, Project, User
from annotation.models.projects import Role
from annotation.progress import (
    OwnProgress,
    Progress,
    own_progress_of_many,
    progress_of_many,
    sizes,
)

OVERLAP = ("judgments_per_comparison", "max_judgments")
SETTINGS = (
    "name",
    "description",
    "question",
    "state",
    *OVERLAP,
    "allow_tie",
    "mark_spans",
    "ask_confidence",
    "ask_correction",
    "correction_required",
    "lease_minutes",
    "gold_rate",
    "repeat_rate",
    "pause_below",
    "pause_after",
    "quiz_pass_mark",
    "quiz_attempts",
    "guidelines",
)
"""What a manager sets, in the order of the page. The page and REST take exactly these."""


class BadSettings(DomainError):
    status = 422
    title = "The settings do not fit together"


@dataclass(frozen=True)
class Card:
    """A project in a person's list; ``role`` is None for a superuser who is no member.

    ``progress`` is for reviewers (annotation.blindness); annotators see its ``size``.
    """

    project: Project
    size: int
    progress: Progress | None
    own: OwnProgress
    role: Role | None


def cards(user: User, found: list[Project]) -> list[Card]:
    """Of projects that ``user`` may see, in a number of queries that does not grow."""
    roles = dict(Membership.objects.filter(user=user).values_list("project", "role"))
    seen = [one for one in found if roles.get(one.pk) != Role.ANNOTATOR]
    progress, size = progress_of_many(seen), sizes(found)
    own = own_progress_of_many(found, user)
    return [
        Card(
            one,
            size[one.pk],
            progress.get(one.pk),
            own[one.pk],
            Role(roles[one.pk]) if one.pk in roles else None,
        )
        for one in found
    ]


def conflicts(settings: dict[str, Any]) -> dict[str, str]:
    """What is wrong with settings that are each valid, by field; ``settings`` may be incomplete."""
    usual, most = (settings.get(name) for name in OVERLAP)
    if usual and most and most < usual:
        return {"max_judgments": "Must not be below the usual number of people."}
    return {}


def create(project: Project, *, manager: User) -> Project:
    """Stores a new project with its first member."""
    with transaction.atomic():
        project.created_by = manager
        project.save()
        Membership.objects.create(project=project, user=manager, role=Role.MANAGER)
    return project


def change(project: Project, settings: dict[str, Any]) -> None:
    """Stores changed SETTINGS, all or some: new guidelines get a new version, waiting work the
    new overlap. Raises BadSettings for some that do not fit what somebody else has set meanwhile.
    """
    given = {**settings}
    guidelines = given.pop("guidelines", None)
    with transaction.atomic():
        stored = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        overlap = {name: given.pop(name, getattr(stored, name)) for name in OVERLAP}
        for field, reason in conflicts(overlap).items():
            raise BadSettings(reason, field=field)
        for name, value in given.items():
            setattr(stored, name, value)
        stored.save(update_fields=list(given))
        if guidelines is not None:
            stored.change_guidelines(guidelines)
        if any(getattr(stored, name) != value for name, value in overlap.items()):
            leases.change_overlap(
                stored,
                usual=overlap["judgments_per_comparison"],
                maximum=overlap["max_judgments"],
            )
