"""Leases: who has which comparison until when. The first half of the queue (annotation.queue)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection
from typing import Any

from django.db import connection, transaction
from django.db.models import Subquery
from django.db.models.functions import Now
from django.shortcuts import get_object_or_404

from annotation import checks, quiz
from annotation.errors import DomainError
from annotation.models import Assignment, Comparison, Membership, Project, User
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


# A row that changed after the statement began is looked at again in its newest version before it
# is locked, so a slot that somebody else has just taken is never taken twice.
# What the person had is asked per candidate, as a subquery that cannot become a join: by the
# unique index, a few microseconds each, however stale the statistics are.
CLAIM = """
WITH candidate AS (
    SELECT comparison.id
    FROM annotation_comparison AS comparison
    WHERE comparison.project_id = %(project)s
      AND comparison.open_slots > 0
      AND coalesce((
          SELECT had.state FROM annotation_assignment AS had
          WHERE had.comparison_id = comparison.id AND had.annotator_id = %(annotator)s
            AND NOT (had.purpose = 'repeat')
      ), 'expired') = 'expired'
    ORDER BY comparison.priority DESC, comparison.shuffle
    LIMIT 1
    FOR NO KEY UPDATE OF comparison {skip_locked}
), taken AS (
    UPDATE annotation_comparison AS comparison
    SET open_slots = comparison.open_slots - 1
    FROM candidate
    WHERE comparison.id = candidate.id
    RETURNING comparison.id
)
INSERT INTO annotation_assignment AS assignment (
    project_id, comparison_id, annotator_id, token, state, purpose, shown_first, skip_reason,
    skip_note, leased_at, expires_at
)
SELECT %(project)s, taken.id, %(annotator)s, %(token)s, 'open', 'work', %(shown_first)s, '', '',
       statement_timestamp(), statement_timestamp() + %(lease)s
FROM taken
ON CONFLICT (comparison_id, annotator_id) WHERE NOT (purpose = 'repeat') DO UPDATE
SET state = 'open', leased_at = excluded.leased_at, expires_at = excluded.expires_at,
    ended_at = NULL
RETURNING assignment.id
"""

# Comparisons are locked first and busy ones left for next time. A slot of a comparison that has
# been decided meanwhile is not wanted any more.
GIVE_BACK = """
WITH due AS (
    SELECT comparison.id
    FROM annotation_comparison AS comparison
    WHERE comparison.id IN (
        SELECT assignment.comparison_id FROM annotation_assignment AS assignment
        WHERE assignment.state = 'open' AND {condition}
        LIMIT %(limit)s
    )
    ORDER BY comparison.id
    FOR NO KEY UPDATE OF comparison {skip_locked}
), ended AS (
    UPDATE annotation_assignment AS assignment
    SET state = 'expired', ended_at = statement_timestamp()
    FROM due
    WHERE assignment.comparison_id = due.id AND assignment.state = 'open' AND {condition}
    RETURNING assignment.comparison_id, assignment.purpose
), returned AS (
    SELECT comparison_id, count(*) FILTER (WHERE purpose = 'work') AS slots, count(*) AS leases
    FROM ended GROUP BY comparison_id
), given_back AS (
    UPDATE annotation_comparison AS comparison
    SET open_slots = comparison.open_slots
            + CASE WHEN comparison.outcome = 'waiting' THEN returned.slots ELSE 0 END,
        wanted_judgments = comparison.wanted_judgments
            - CASE WHEN comparison.outcome = 'waiting' THEN 0 ELSE returned.slots END
    FROM returned
    WHERE comparison.id = returned.comparison_id
)
SELECT coalesce(sum(leases), 0) FROM returned
"""


def claim(
    project: Project, annotator: User, *, ahead_of: Collection[uuid.UUID] = ()
) -> Assignment | None:
    """The comparison that ``annotator`` should judge now; None when there is none for them.

    ``ahead_of`` are the tokens of the leases that the page has, at most MOST_BESIDE: the answer is
    then another one, to be loaded ahead. Raises NotHandedOut while the project is not open or the
    member is paused, quiz.QuizFirst for newcomers, and ValueError for more tokens.
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
    held = Assignment.objects.filter(
        project=project, annotator=annotator, state=Assignment.State.OPEN
    )
    others = held.exclude(token__in=ahead_of) if ahead_of else held
    again = others.order_by("leased_at", "id").first()
    # The update finds nothing if the lease ran out and was given back a moment ago.
    if again and held.filter(pk=again.pk).update(expires_at=Now() + project.lease):
        return again.pk
    asked = checks.claim_check(project, annotator) if skip_locked else None
    return asked or _claim_new(project, annotator, skip_locked=skip_locked)


def _lock_person_in(project: Project, annotator: User) -> None:
    """Until the end of the transaction; the first of all locks.

    The membership itself is locked, so a pause that was under way is seen when it has ended.
    """
    mine = Membership.objects.filter(project=project, user=annotator)
    locked = mine.select_for_update(of=("self",), no_key=True)
    found = locked.values_list("project__state", "paused", "project__quiz_pass_mark").first()
    if found is None:
        if not annotator.is_superuser:
            raise NotHandedOut("You are not a member of this project any more.")
        User.objects.select_for_update(no_key=True).values_list("pk").get(pk=annotator.pk)
        found = Project.objects.values_list("state").get(pk=project.pk)[0], False, 0.0
    state, paused, pass_mark = found
    if state != Project.State.OPEN:
        raise NotHandedOut(f"The project is {Project.State(state).label.lower()}.")
    if paused:
        raise NotHandedOut("You are paused in this project; please talk to its manager.")
    if pass_mark > 0:
        quiz.require_pass(project, annotator)


def _claim_new(project: Project, annotator: User, *, skip_locked: bool) -> int | None:
    values: dict[str, Any] = {
        "project": project.pk,
        "annotator": annotator.pk,
        "token": str(uuid.uuid4()),
        "shown_first": random.choice((1, 2)),
        "lease": project.lease,
    }
    with connection.cursor() as cursor:
        cursor.execute(CLAIM.format(skip_locked="SKIP LOCKED" if skip_locked else ""), values)
        row = cursor.fetchone()
    return row[0] if row else None


def load(pk: int, project: Project) -> Assignment:
    """An assignment of ``project`` with all that a page shows of it."""
    assignment = Assignment.objects.select_related("comparison__prompt__image").get(pk=pk)
    assignment.project = assignment.comparison.project = project
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
        _give_back(
            "assignment.project_id = %(project)s AND assignment.annotator_id = %(annotator)s",
            wait=True,
            project=membership.project_id,
            annotator=membership.user_id,
        )


def _give_back(condition: str, *, wait: bool = False, **values: int | None) -> int:
    statement = GIVE_BACK.format(condition=condition, skip_locked="" if wait else "SKIP LOCKED")
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
        ordered = waiting.select_for_update(no_key=True).order_by("pk")
        for comparison in ordered.iterator():
            taken = comparison.wanted_judgments - comparison.open_slots
            comparison.wanted_judgments = max(usual, taken)
            comparison.open_slots = comparison.wanted_judgments - taken
            comparison.project = project
            comparison.save(update_fields=["wanted_judgments", "open_slots"])
            if comparison.judgment_count >= usual:
                settle(comparison)


def renew(annotator: User, token: uuid.UUID) -> Assignment:
    """Holds a lease for another period; takes it back when it ran out but its slot is free.

    Raises LeaseLost when the slot is gone; an answer may still be sent and is kept as surplus.
    """
    with transaction.atomic():
        assignment, comparison = locked(annotator, token)
        if assignment.state == Assignment.State.EXPIRED:
            if assignment.counts:
                _take_back_slot(comparison)
            assignment.state = Assignment.State.OPEN
            assignment.ended_at = None
        elif assignment.state != Assignment.State.OPEN:
            return assignment
        assignment.expires_at = Now() + assignment.project.lease
        assignment.save(update_fields=["state", "ended_at", "expires_at"])
    return load(assignment.pk, assignment.project)


def _take_back_slot(comparison: Comparison) -> None:
    if comparison.open_slots == 0:
        raise LeaseLost("It took too long, and somebody else has this comparison now.")
    comparison.open_slots -= 1
    comparison.save(update_fields=["open_slots"])


def locked(annotator: User, token: uuid.UUID) -> tuple[Assignment, Comparison]:
    """A person's assignment and its comparison, locked in the order all of this module keeps."""
    mine = Assignment.objects.filter(token=token, annotator=annotator)
    comparison = get_object_or_404(
        Comparison.objects.select_related("project", "adjudication").select_for_update(
            of=("self",), no_key=True
        ),
        pk=Subquery(mine.values("comparison_id")),
    )
    timed = mine.select_for_update(no_key=True).annotate(database_time=Now()).get()
    assignment: Assignment = timed
    assignment.locked_at = timed.database_time
    assignment.project = comparison.project
    assignment.comparison = comparison
    return assignment, comparison
