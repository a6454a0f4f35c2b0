"""Who belongs to a project: adding, inviting, changing and removing members."""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from annotation import leases
from annotation.errors import DomainError
from annotation.models import Invitation, Membership, Project, User
from annotation.models.projects import Role

log = logging.getLogger(__name__)


class AlreadyMember(DomainError):
    status = 409
    title = "Already a member"


class InvitationUsed(DomainError):
    status = 410
    title = "The invitation is not valid any more"


class LastManager(DomainError):
    status = 409
    title = "A project needs a manager"


class FollowsGroups(DomainError):
    status = 409
    title = "This membership follows the groups of single sign-on"


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
            raise InvitationUsed(
                gettext("This link does not let anybody in any more. Ask for a new one.")
            )
        invitation.accepted_by = user
        invitation.accepted_at = timezone.now()
        invitation.save(update_fields=["accepted_by", "accepted_at"])
        Membership.objects.get_or_create(
            project=invitation.project, user=user, defaults={"role": invitation.role}
        )
    return invitation.project


def change_role(membership: Membership, role: str) -> None:
    """Raises LastManager when nobody would be left to manage the project, FollowsGroups."""
    _refuse_if_it_follows_groups(membership)
    _change_role(membership, role)


def remove(membership: Membership) -> None:
    """Ends a membership; the person's judgments stay. Raises LastManager, FollowsGroups."""
    _refuse_if_it_follows_groups(membership)
    _remove(membership)


def follow_groups(user: User, groups: frozenset[str]) -> None:
    """Gives ``user`` what their ``groups`` at the provider of single sign-on give, and no more.

    Memberships that somebody made here stay as they are; those that groups gave change and end
    with them, but for a project's last manager. Whether somebody is an administrator follows the
    groups where OIDC_GROUPS names any for it. Projects that do not exist (yet) are passed over.
    """
    grants = settings.OIDC_GROUPS
    if grants.administrators:
        administrator = bool(groups & grants.administrators)
        if (user.is_superuser, user.is_staff) != (administrator, administrator):
            user.is_superuser = user.is_staff = administrator
            user.save(update_fields=["is_superuser", "is_staff"])
    roles = grants.roles(groups)
    held = {one.project.slug: one for one in user.memberships.select_related("project")}
    for slug, membership in held.items():
        if not membership.from_groups or roles.get(slug) == membership.role:
            continue
        try:
            if slug in roles:
                _change_role(membership, roles[slug])
            else:
                _remove(membership)
        except LastManager:
            log.warning("%s stays: nobody else manages %s", user.username, slug)
    for project in Project.objects.filter(slug__in=roles.keys() - held.keys()):
        role = Role(roles[project.slug])
        Membership.objects.create(project=project, user=user, role=role, from_groups=True)


def _refuse_if_it_follows_groups(membership: Membership) -> None:
    if membership.from_groups:
        raise FollowsGroups(
            f"{membership.user.username} is a member by a group at {settings.OIDC_NAME}: the role "
            "changes there, or in OIDC_GROUPS. Pausing is possible here."
        )


def _change_role(membership: Membership, role: str) -> None:
    with transaction.atomic():
        _keep_a_manager(membership, leaves=role != Role.MANAGER)
        membership.role = Role(role)
        membership.save(update_fields=["role"])


def _remove(membership: Membership) -> None:
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
