"""Handing out comparisons and taking answers back: the concurrency contract, nothing else.

1. ``claim`` gives a person one comparison with an open slot, in one statement, never one that
   they have judged or skipped. Asking again gives the same lease.
2. A slot is held by a lease until it is answered, skipped, or expires; then it is given back.
3. ``submit`` with the same client UUID and the same answer is the same act: it returns what is
   stored. With another answer it is refused.
4. An answer is never thrown away. One that comes after its slot went to somebody else is kept as
   surplus and does not count.
5. Every comparison gets exactly as many counted judgments as it wants: the project's usual
   number, and one more while the votes are split, up to the project's maximum.
6. ``edit`` names the version it saw, and adds a version; nothing is overwritten.

7. Gold and repeats (annotation.gold_and_repeats) are shown by leases on work, which hold their
   place until they are answered or skipped; their judgments do not count.

Locks are taken in one order (person, comparison, assignment), so no two of these functions can
wait for each other. Times are the database's.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import Http404
from django.utils.translation import gettext, gettext_noop

from annotation import gold_and_repeats
from annotation.answers import Answer, InvalidAnswer, check_note
from annotation.errors import DomainError
from annotation.leases import (
    LeaseLost,
    NotHandedOut,
    change_overlap,
    claim,
    load,
    locked,
    pause,
    renew,
    return_expired_leases,
)
from annotation.models import Assignment, Judgment, JudgmentVersion, Project, User
from annotation.models.work import ANSWER_FIELDS
from annotation.preferences import settle
from annotation.prepared_statements import Statement

__all__ = [
    "AlreadyJudged",
    "Answer",
    "ClientUuidReused",
    "InvalidAnswer",
    "LeaseLost",
    "NotHandedOut",
    "Submission",
    "TooOldToEdit",
    "VersionMismatch",
    "change_overlap",
    "claim",
    "edit",
    "editable_judgments",
    "pause",
    "renew",
    "return_expired_leases",
    "skip",
    "submit",
]

EDITABLE_ANSWERS = 20
REUSED = gettext_noop("This UUID was used for another answer; make a new one.")

WRONG_TOO_OFTEN = gettext_noop("Too many answers to comparisons with a known answer were wrong.")
LISTS = ("spans", "corrections")
SENT = Statement("SELECT 1 FROM annotation_judgmentversion WHERE client_uuid = %(client_uuid)s")
_ANSWER = ", ".join(ANSWER_FIELDS)
_GIVEN = ", ".join(f"%({name})s" for name in ANSWER_FIELDS)
STORE = Statement(f"""
WITH judgment AS (
    INSERT INTO annotation_judgment (
        {_ANSWER}, assignment_id, comparison_id, surplus, version, created_at, changed_at
    )
    VALUES ({_GIVEN}, %(assignment)s, %(comparison)s, %(surplus)s, 1, %(now)s, %(now)s)
    RETURNING id
), version AS (
    INSERT INTO annotation_judgmentversion (
        {_ANSWER}, judgment_id, version, client_uuid, created_at
    )
    SELECT {_GIVEN}, judgment.id, 1, %(client_uuid)s, %(now)s FROM judgment
), ended AS (
    UPDATE annotation_assignment
    SET state = 'judged', skip_reason = '', skip_note = '', ended_at = statement_timestamp()
    WHERE id = %(assignment)s
)
SELECT id FROM judgment
""")


class ClientUuidReused(DomainError):
    status = 422
    title = "The client UUID belongs to another answer"


class AlreadyJudged(DomainError):
    """Judged in another tab: ``extra`` holds the judgment's id and version, to edit it."""

    status = 409
    title = "Already judged"


class VersionMismatch(DomainError):
    status = 412
    title = "The judgment was changed meanwhile"


class TooOldToEdit(DomainError):
    status = 409
    title = "Too long ago to change"


@dataclass(frozen=True)
class Submission:
    """The stored judgment, and whether this call stored it (False: it was there already)."""

    judgment: Judgment
    created: bool


def submit(
    annotator: User, token: uuid.UUID, answer: Answer, *, client_uuid: uuid.UUID
) -> Submission:
    """Stores the answer to a lease.

    Raises Http404 for a token that is not this person's, InvalidAnswer, ClientUuidReused, and
    AlreadyJudged when another tab has answered differently. A skip can be taken back this way.
    """
    with _uuid_used_once(), transaction.atomic():
        assignment, comparison = locked(annotator, token)
        stored = _sent_before(assignment, answer, client_uuid) or _judged(assignment, answer)
        if stored is not None:
            return Submission(stored, created=False)
        answer.check(assignment.project, gold_and_repeats.shown_by(assignment, comparison))
        answer.check_all_asked(assignment.project)
        # Its slot is still held, or one is free to be taken again.
        gold_and_repeats.take_its_place(assignment, comparison)
        held = assignment.state == Assignment.State.OPEN
        counts = assignment.counts and (held or comparison.take_slot())
        judgment = _store(assignment, answer, client_uuid, surplus=not counts)
        if counts:
            comparison.judgment_count += 1
            settle(comparison)
    # Whatever the answer was to: the moment must tell nothing of it.
    _pause_if_below_bar(assignment)
    return Submission(judgment, created=True)


def _pause_if_below_bar(assignment: Assignment) -> None:
    # After the answer's transaction: a pause locks the person first, as every claim does.
    membership = gold_and_repeats.below_bar(assignment.project, assignment.annotator_id)
    if membership is not None:
        pause(membership, reason=WRONG_TOO_OFTEN)


def skip(annotator: User, token: uuid.UUID, *, reason: str, note: str = "") -> Assignment:
    """Gives a comparison back for good, with a reason; this person is not asked again.

    Raises InvalidAnswer for an unknown reason and AlreadyJudged after an answer.
    """
    if reason not in Assignment.SkipReason.values:
        known = ", ".join(Assignment.SkipReason.values)
        raise InvalidAnswer(f"must be one of {known}", field="reason")
    check_note(note)
    with transaction.atomic():
        assignment, comparison = locked(annotator, token)
        if assignment.state == Assignment.State.JUDGED:
            raise _already_judged(assignment.judgment)
        gold_and_repeats.take_its_place(assignment, comparison)
        if assignment.state == Assignment.State.OPEN and assignment.counts:
            comparison.give_slot_back()
            comparison.save(update_fields=["open_slots", "wanted_judgments"])
        assignment.state = Assignment.State.SKIPPED
        assignment.skip_reason = reason
        assignment.skip_note = note
        assignment.ended_at = Now()
        assignment.save(update_fields=["state", "skip_reason", "skip_note", "ended_at"])
    return load(assignment.pk, assignment.project)


def edit(
    annotator: User, judgment_id: int, answer: Answer, *, version: int, client_uuid: uuid.UUID
) -> Judgment:
    """Replaces one of a person's last answers by a new version.

    Raises Http404 for somebody else's judgment, VersionMismatch unless ``version`` is the current
    one, TooOldToEdit, InvalidAnswer and ClientUuidReused.
    """
    mine = Judgment.objects.filter(pk=judgment_id, assignment__annotator=annotator)
    token = mine.values_list("assignment__token", flat=True).first()
    if token is None:
        raise Http404
    with _uuid_used_once(), transaction.atomic():
        assignment, comparison = locked(annotator, token)
        judgment = assignment.judgment
        if _sent_before(assignment, answer, client_uuid):
            return judgment
        if judgment.version != version:
            raise VersionMismatch(
                gettext("You saw version %(seen)s; it is at version %(now)s.")
                % {"seen": version, "now": judgment.version},
                version=judgment.version,
            )
        if not editable_judgments(assignment.project, annotator).filter(pk=judgment.pk).exists():
            raise TooOldToEdit(
                gettext("Only your last %(most)s answers can be changed.")
                % {"most": EDITABLE_ANSWERS}
            )
        answer.check(assignment.project, comparison)
        answer.check_all_asked(assignment.project)
        judgment.version += 1
        judgment.changed_at = assignment.locked_at
        _write(judgment, answer, client_uuid)
        if not judgment.surplus:
            settle(comparison)
    return judgment


def editable_judgments(project: Project, annotator: User) -> QuerySet[Judgment]:
    """A person's last answers in a project, newest first: the ones that can still be changed."""
    newest = (
        Judgment.objects.filter(assignment__project=project, assignment__annotator=annotator)
        .order_by("-created_at", "-id")
        .values("pk")[:EDITABLE_ANSWERS]
    )
    return (
        Judgment.objects.filter(pk__in=newest)
        .prefetch_related("assignment__project", "comparison__prompt__image")
        .order_by("-created_at", "-id")
    )


def _sent_before(assignment: Assignment, answer: Answer, client_uuid: uuid.UUID) -> Judgment | None:
    """What is stored if this very request has come before."""
    if not SENT.row(client_uuid=client_uuid):
        return None
    before = JudgmentVersion.objects.get(client_uuid=client_uuid)
    if before.judgment.assignment_id != assignment.pk or not answer.says_the_same_as(before):
        raise ClientUuidReused(gettext(REUSED))
    return before.judgment


def _judged(assignment: Assignment, answer: Answer) -> Judgment | None:
    """What is stored if another tab has sent the same answer."""
    if assignment.state != Assignment.State.JUDGED:
        return None
    if answer.says_the_same_as(assignment.judgment):
        return assignment.judgment
    raise _already_judged(assignment.judgment)


def _already_judged(judgment: Judgment) -> AlreadyJudged:
    return AlreadyJudged(
        gettext("You have answered this one already; change that answer instead."),
        judgment=judgment.pk,
        version=judgment.version,
    )


def _store(
    assignment: Assignment, answer: Answer, client_uuid: uuid.UUID, *, surplus: bool
) -> Judgment:
    """Writes a new judgment with its first version, and ends the assignment."""
    values = {name: getattr(answer, name) for name in ANSWER_FIELDS}
    row = STORE.row(
        **{**values, **{name: json.dumps(values[name]) for name in LISTS}},
        assignment=assignment.pk,
        comparison=assignment.comparison_id,
        surplus=surplus,
        now=assignment.locked_at,
        client_uuid=client_uuid,
    )
    assert row is not None
    assignment.state = Assignment.State.JUDGED
    return Judgment(
        **values,
        pk=row[0],
        assignment=assignment,
        comparison=assignment.comparison,
        surplus=surplus,
        created_at=assignment.locked_at,
        changed_at=assignment.locked_at,
    )


def _write(judgment: Judgment, answer: Answer, client_uuid: uuid.UUID) -> None:
    values = {name: getattr(answer, name) for name in ANSWER_FIELDS}
    for name, value in values.items():
        setattr(judgment, name, value)
    judgment.save()
    JudgmentVersion.objects.create(
        judgment=judgment,
        version=judgment.version,
        client_uuid=client_uuid,
        created_at=judgment.changed_at,
        **values,
    )


@contextmanager
def _uuid_used_once() -> Iterator[None]:
    """Around the whole transaction: two answers with one UUID at once, of which the later ends."""
    try:
        yield
    except IntegrityError as error:
        if "client_uuid" not in str(error):
            raise
        raise ClientUuidReused(gettext(REUSED)) from None
