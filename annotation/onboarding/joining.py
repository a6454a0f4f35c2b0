"""Who belongs to a project: adding, inviting, changing and removing members."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from annotation import leases
from annotation.errors import DomainError
from annotation.models import Invitation, Membership, Project, User
from annotation.models.projects import Role


class AlreadyMember(DomainError):
    status = 409
    title = "Already a member"


class InvitationUsed(DomainError):
    status = 410
    title = "The invitation is not valid any more"


class LastManager(DomainError):
    status = 409
    title = "A project needs a manager"


def add(project: Project, user: User, role: str) -> Membership:
    """Makes ``user`` a member. Raises AlreadyMember."""
    membership, created = Membership.objects.get_or_create(
        project=project, user=user, defaults={"role": Role(role)}
    )
    if not created:
        raise AlreadyMember(f"{user.username} is a member already.")
    return membership


def accept(raw: str, user: User) -> Project:
    """Uses an invitation, once. Raises InvitationUsed; a member keeps the role they have."""
    with transaction.atomic():
        usable = Invitation.objects.usable().matching(raw)
        matching = usable.select_for_update(of=("self",))
        invitation = matching.first()
        if invitation is None:
            raise InvitationUsed("This link does not let anybody in any more. Ask for a new one.")
        invitation.accepted_by = user
        invitation.accepted_at = timezone.now()
        invitation.save(update_fields=["accepted_by", "accepted_at"])
        Membership.objects.get_or_create(
            project=invitation.project, user=user, defaults={"role": invitation.role}
        )
    return invitation.project


def change_role(membership: Membership, role: str) -> None:
    """Raises LastManager when nobody would be left to manage the project."""
    with transaction.atomic():
        _keep_a_manager(membership, leaves=role != Role.MANAGER)
        membership.role = Role(role)
        membership.save(update_fields=["role"])


def remove(membership: Membership) -> None:
    """Ends a membership; the person's judgments stay. Raises LastManager."""
    with transaction.atomic():
        _keep_a_manager(membership, leaves=True)
        leases.pause(membership)
        membership.delete()


def resume(membership: Membership) -> None:
    membership.paused = False
    membership.paused_reason = ""
    membership.save(update_fields=["paused", "paused_reason"])


def _keep_a_manager(membership: Membership, *, leaves: bool) -> None:
    # Locking the managers keeps two of them from removing each other at once.
    managers = Membership.objects.select_for_update().filter(
        project=membership.project_id, role=Role.MANAGER
    )
    ids = [one.pk for one in managers]
    if leaves and ids == [membership.pk]:
        raise LastManager("Make somebody else a manager first.")
