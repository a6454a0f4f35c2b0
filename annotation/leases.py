"""Leases: who has which comparison until when. The first half of the queue (annotation.queue)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection

from django.db import connection, transaction
from django.db.models.functions import Now
from django.http import Http404
from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext, gettext_lazy

from annotation import gold_and_repeats, lease_statements
from annotation.crowd import sessions
from annotation.errors import DomainError
from annotation.models import Assignment, Comparison, Membership, Project, User
from annotation.notices import writing
from annotation.onboarding import quiz
from annotation.preferences import settle

EXPIRED_AT_ONCE = 500
MOST_BESIDE = 3
"""Leases that a person may have besides the one that is handed out."""


class NotHandedOut(DomainError):
    """No work is given: the project is not open, or the member is paused."""

    status = 409
    title = "No work is handed out"


class LeaseLost(DomainError):
    status = 409
    title = "The comparison went to somebody else"


def claim(
    project: Project, annotator: User, *, ahead_of: Collection[uuid.UUID] = ()
) -> Assignment | None:
    """The comparison that ``annotator`` should judge now; None when there is none for them.

    ``ahead_of`` are the tokens of the leases that the page has, at most MOST_BESIDE: the answer is
    then another one, to be loaded ahead. Raises NotHandedOut while the project is not open or the
    member is paused, quiz.QuizFirst for newcomers, sessions.GuidelinesFirst for participants of a
    study, and ValueError for more tokens.
    """
    if len(ahead_of) > MOST_BESIDE:
        raise ValueError(f"at most {MOST_BESIDE} leases may be held beside a new one")
    found = _claim(project, annotator, ahead_of, skip_locked=True)
    if found is None:
        # Rows that were busy a moment ago, and leases that ran out, must not look like "no more
        # work": look again, waiting this time. Each step is a transaction of its own, because
        # whoever waits for a row must not hold others that somebody else may wait for.
        return_expired_leases(project)
        found = _claim(project, annotator, ahead_of, skip_locked=False)
    return None if found is None else load(found, project)


@transaction.atomic
def _claim(
    project: Project, annotator: User, ahead_of: Collection[uuid.UUID], *, skip_locked: bool
) -> int | None:
    # One claim of a person at a time: the second of two tabs finds the lease of the first.
    _lock_person_in(project, annotator)
    again = lease_statements.HOLD_AGAIN.row(
        project=project.pk,
        annotator=annotator.pk,
        ahead_of=list(ahead_of),
        lease=project.lease,
    )
    if again:
        return int(again[0])
    if annotator.is_participant and not sessions.may_have_more(project, annotator):
        return None
    return _claim_new(project, annotator, skip_locked=skip_locked)


def _lock_person_in(project: Project, annotator: User) -> None:
    """Until the end of the transaction; the first of all locks."""
    found = lease_statements.LOCK_MEMBER.row(project=project.pk, annotator=annotator.pk)
    if found is None:
        if not annotator.is_superuser:
            raise NotHandedOut(gettext("You are not a member of this project any more."))
        User.objects.select_for_update(no_key=True).values_list("pk").get(pk=annotator.pk)
        found = Project.objects.values_list("state").get(pk=project.pk)[0], False, 0.0
    state, paused, pass_mark = found
    if state != Project.State.OPEN:
        raise NotHandedOut(
            gettext("The project is %(state)s.") % {"state": Project.State(state).label.lower()}
        )
    if paused:
        raise NotHandedOut(gettext("You are paused in this project; please talk to its manager."))
    if pass_mark > 0:
        quiz.require_pass(project, annotator)


def _claim_new(project: Project, annotator: User, *, skip_locked: bool) -> int | None:
    statement = lease_statements.CLAIM if skip_locked else lease_statements.CLAIM_WAITING
    row = statement.row(
        project=project.pk,
        annotator=annotator.pk,
        token=uuid.uuid4(),
        shown_first=random.choice((1, 2)),
        lease=project.lease,
    )
    if row is None:
        return None
    pk, is_new = row
    if is_new:  # One that comes back shows what it showed before.
        gold_and_repeats.stand_in(project, annotator, pk)
    return int(pk)


def load(pk: int, project: Project) -> Assignment:
    """An assignment of ``project`` with all that a page shows of it: to be shown, not saved."""
    row = lease_statements.LOAD.row(assignment=pk)
    if row is None:
        raise Assignment.DoesNotExist
    columns = iter(row)
    assignment = lease_statements.ASSIGNMENT.read(columns)
    comparison = lease_statements.COMPARISON.read(columns)
    prompt = lease_statements.PROMPT.read(columns)
    prompt.image = lease_statements.IMAGE.read(columns)
    prompt.project = comparison.project = assignment.project = project
    comparison.prompt = prompt
    if assignment.shows_id:
        assignment.purpose = assignment.shows_as
    assignment.comparison = comparison
    return assignment


def return_expired_leases(project: Project | None = None) -> int:
    """Gives back the slots of leases that ran out; how many. Safe to run at any time, by many."""
    condition = "assignment.expires_at <= statement_timestamp()"
    if project is not None:
        condition += " AND assignment.project_id = %(project)s"
    return _give_back(condition, project=project.pk if project else None)


def pause(membership: Membership, *, reason: str = "") -> None:
    """Hands no more work to a member and gives their open leases back."""
    with transaction.atomic():
        Membership.objects.select_for_update(no_key=True).values_list("pk").get(pk=membership.pk)
        membership.paused = True
        membership.paused_reason = reason
        membership.save(update_fields=["paused", "paused_reason"])
        if reason:
            _tell_of_pause(membership, reason)
        _give_back(
            "assignment.project_id = %(project)s AND assignment.annotator_id = %(annotator)s",
            wait=True,
            project=membership.project_id,
            annotator=membership.user_id,
        )


def _tell_of_pause(membership: Membership, reason: str) -> None:
    project = membership.project
    writing.tell(
        "annotator_paused",
        writing.members(project),
        event=f"annotator_paused:{membership.pk}:{uuid.uuid4()}",
        title=format_lazy(
            gettext_lazy("{name} is paused in {project}: {reason}"),
            name=membership.user.username,
            project=project.name,
            reason=gettext_lazy(reason) if reason else "",
        ),
        link=reverse("annotation:annotator", args=[project.slug, membership.user_id]),
        project=project,
    )


def _give_back(condition: str, *, wait: bool = False, **values: int | None) -> int:
    statement = lease_statements.GIVE_BACK.format(
        condition=condition, skip_locked="" if wait else "SKIP LOCKED"
    )
    returned = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(statement, {"limit": EXPIRED_AT_ONCE, **values})
            row = cursor.fetchone()
        batch = int(row[0]) if row else 0
        returned += batch
        if batch < EXPIRED_AT_ONCE:
            return returned


def change_overlap(project: Project, *, usual: int, maximum: int) -> None:
    """Sets how many judgments the project's comparisons get; also those that wait already.

    Comparisons that have their outcome keep it. Raises ValueError for a maximum below the usual
    number.
    """
    if not 1 <= usual <= maximum:
        raise ValueError("the maximum must not be below the usual number, and that not below 1")
    with transaction.atomic():
        project.judgments_per_comparison = usual
        project.max_judgments = maximum
        project.save(update_fields=["judgments_per_comparison", "max_judgments"])
        waiting = Comparison.objects.filter(project=project, outcome=Comparison.Outcome.WAITING)
        for comparison in waiting.locked_in_order().iterator():
            comparison.project = project
            comparison.want_usual()
            comparison.save(update_fields=["wanted_judgments", "open_slots"])
            if comparison.judgment_count >= comparison.usual_judgments:
                settle(comparison)


def renew(annotator: User, token: uuid.UUID) -> Assignment:
    """Holds a lease for another period; takes it back when it ran out but its slot is free.

    Raises LeaseLost when the slot is gone; an answer may still be sent and is kept as surplus.
    """
    with transaction.atomic():
        assignment, comparison = locked(annotator, token)
        if assignment.state == Assignment.State.EXPIRED:
            if assignment.counts:
                if not comparison.take_slot():
                    raise LeaseLost(
                        gettext("It took too long, and somebody else has this comparison now.")
                    )
                comparison.save(update_fields=["open_slots"])
            assignment.state = Assignment.State.OPEN
            assignment.ended_at = None
        elif assignment.state != Assignment.State.OPEN:
            return assignment
        assignment.expires_at = Now() + assignment.project.lease
        assignment.save(update_fields=["state", "ended_at", "expires_at"])
    return load(assignment.pk, assignment.project)


def locked(annotator: User, token: uuid.UUID) -> tuple[Assignment, Comparison]:
    """A person's assignment and its comparison, locked in the order all of this module keeps."""
    mine = {"token": token, "annotator": annotator.pk}
    row = lease_statements.LOCK_COMPARISON.row(**mine)
    again = lease_statements.LOCK_ASSIGNMENT.row(**mine) if row else None
    if row is None or again is None:
        raise Http404
    columns = iter(row)
    comparison = lease_statements.COMPARISON.read(columns)
    comparison.project = lease_statements.PROJECT.read(columns)
    ruling = lease_statements.ADJUDICATION.read_if_any(columns)
    Comparison._meta.get_field("adjudication").set_cached_value(comparison, ruling)
    columns = iter(again)
    assignment = lease_statements.ASSIGNMENT.read(columns)
    [assignment.locked_at] = columns
    assignment.project = comparison.project
    if assignment.comparison_id != comparison.pk:
        # A check that another tab has answered meanwhile: its votes count nowhere, so no lock.
        comparison = assignment.comparison
    assignment.comparison = comparison
    return assignment, comparison
