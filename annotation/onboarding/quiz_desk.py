"""What managers see of the entry quiz, and do for a person: let them in, or grant one more attempt.

Who did it and when is kept on the membership, and in a row of its own for each attempt granted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db import models, transaction
from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from annotation.errors import DomainError
from annotation.models import (
    Assignment,
    Membership,
    Project,
    QuizAnswer,
    QuizAttempt,
    QuizGrant,
    User,
)
from annotation.models.projects import Role
from annotation.onboarding import quiz


class NothingToGrant(DomainError):
    status = 409
    title = "No attempt is granted"


class State(models.TextChoices):
    """Where a person stands, for managers to read."""

    LET_IN = "let_in", "let in"
    PASSED = "passed", "passed"
    WORKED_BEFORE = "worked_before", "has worked before"
    NOT_BEGUN = "not_begun", "not begun"
    UNDER_WAY = "under_way", "under way"
    NOT_PASSED = "not_passed", "not passed yet"
    NO_ATTEMPT_LEFT = "no_attempt_left", "no attempt left"


@dataclass(frozen=True, kw_only=True)
class Result:
    """A member's line: each attempt as (right, questions, passed), and the attempts granted."""

    membership: Membership
    attempts: list[tuple[int, int, bool | None]]
    grants: list[QuizGrant]
    attempts_left: int
    worked_before: bool

    @property
    def state(self) -> State:
        if self.membership.quiz_admitted_by_id:
            return State.LET_IN
        if self.membership.quiz_admitted_at:
            return State.PASSED
        if self.worked_before:
            return State.WORKED_BEFORE
        if not self.attempts:
            return State.NOT_BEGUN
        if self.attempts[-1][2] is None:
            return State.UNDER_WAY
        return State.NOT_PASSED if self.attempts_left else State.NO_ATTEMPT_LEFT

    @property
    def waits(self) -> bool:
        """Whether the person is kept from work by the quiz."""
        return self.state not in (State.LET_IN, State.PASSED, State.WORKED_BEFORE)


def annotators(project: Project) -> QuerySet[Membership]:
    """The members for whom the quiz is, in the order they joined."""
    return project.memberships.filter(role=Role.ANNOTATOR).select_related("user", "project")


def admit(membership: Membership, manager: User) -> None:
    """Lets a member in without a pass; nothing changes for one who is in."""
    Membership.objects.filter(pk=membership.pk, quiz_admitted_at__isnull=True).update(
        quiz_admitted_at=timezone.now(), quiz_admitted_by=manager
    )


def grant(membership: Membership, manager: User) -> QuizGrant:
    """One more attempt for a member who has none left. Raises NothingToGrant for anybody else, so
    that asking twice grants one.
    """
    with transaction.atomic():
        mine = Membership.objects.select_for_update(no_key=True, of=("self",))
        locked = mine.select_related("user", "project").get(pk=membership.pk)
        standing = quiz.standing_of(locked.project, locked.user)
        if standing is None:
            raise NothingToGrant(f"{locked.user.username} needs no attempt at the quiz.")
        if standing.attempt is not None or standing.attempts_left:
            raise NothingToGrant(f"{locked.user.username} has an attempt left.")
        return QuizGrant.objects.create(membership=locked, granted_by=manager)


def results(project: Project) -> list[Result]:
    """One entry per annotator, in the order they joined; a fixed number of queries."""
    judged = Assignment.objects.filter(project=project, state=Assignment.State.JUDGED)
    worked = set(judged.order_by().values_list("annotator", flat=True).distinct())
    return _results(annotators(project), worked)


def result_of(membership: Membership) -> Result:
    """One annotator's entry."""
    worked = {membership.user_id} if quiz.has_worked(membership) else set()
    [found] = _results(annotators(membership.project).filter(pk=membership.pk), worked)
    return found


def _results(members: QuerySet[Membership], worked: set[int]) -> list[Result]:
    looked_up = members.select_related("quiz_admitted_by").prefetch_related(
        Prefetch("quiz_attempts", QuizAttempt.objects.prefetch_related("answers")),
        Prefetch("quiz_grants", QuizGrant.objects.select_related("granted_by")),
    )
    return [_result(one, worked_before=one.user_id in worked) for one in looked_up]


def _result(member: Membership, *, worked_before: bool) -> Result:
    attempts = list(member.quiz_attempts.all())
    return Result(
        membership=member,
        attempts=[(quiz.right(one), len(one.answers.all()), one.passed) for one in attempts],
        grants=list(member.quiz_grants.all()),
        attempts_left=max(0, quiz.allowed(member) - len(attempts)),
        worked_before=worked_before,
    )


def difficulty(project: Project) -> dict[int, tuple[int, int]]:
    """Comparison -> (right answers, answers), of all attempts."""
    rows = QuizAnswer.objects.filter(comparison__project=project).exclude(given="")
    answered: Counter[int] = Counter()
    correct: Counter[int] = Counter()
    for comparison, given, known in rows.values_list("comparison", "given", "known"):
        answered[comparison] += 1
        correct[comparison] += given == known
    return {pk: (correct[pk], number) for pk, number in answered.items()}
