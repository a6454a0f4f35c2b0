"""The entry quiz: newcomers show that they know the rules before their answers count.

1. A manager chooses gold comparisons and a pass mark. While there is none of either, there is no
   quiz. It is for annotators; who has answered in the project before is no newcomer.
2. An attempt is all questions, in an order of its own, with the sides drawn at random. After each
   answer the right one and its explanation are told, so an answer is given once.
3. With the pass mark reached, or let in by a manager, a member gets work. Attempts are limited; a
   manager may grant more, one at a time (annotation.onboarding.quiz_desk).

``leases.claim`` asks ``require_pass``, so pages and REST refuse work alike.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from annotation.errors import DomainError
from annotation.models import (
    Assignment,
    Comparison,
    Membership,
    Project,
    QuizAnswer,
    QuizAttempt,
    QuizQuestion,
    User,
)
from annotation.models.projects import Role
from annotation.models.work import Choice


class QuizFirst(DomainError):
    """``extra`` holds what a program may want to tell its person."""

    status = 409
    title = "The entry quiz comes first"


class NoQuiz(DomainError):
    status = 409
    title = "There is no quiz to take"


class AnsweredAlready(DomainError):
    status = 409
    title = "The question is answered already"


class NotAQuestion(DomainError):
    status = 422
    title = "This cannot be a question of the quiz"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a newcomer is. ``attempt`` is the one under way, ``last`` the last one that ended."""

    membership: Membership
    questions: int
    needed: int
    attempt: QuizAttempt | None
    last: QuizAttempt | None
    attempts_left: int


def questions(project: Project) -> QuerySet[Comparison]:
    """The comparisons that are asked: chosen, still gold, and answerable in this project."""
    chosen = project.comparisons.filter(quiz_question__isnull=False)
    return _answerable(project, chosen)


def candidates(project: Project) -> QuerySet[Comparison]:
    """The gold comparisons that a manager may choose; those shown in the guidelines are not."""
    return _answerable(project, project.comparisons.filter(worked_examples__isnull=True))


def _answerable(project: Project, comparisons: QuerySet[Comparison]) -> QuerySet[Comparison]:
    gold = comparisons.exclude(gold_more_hallucinated="")
    gold = gold if project.allow_tie else gold.exclude(gold_more_hallucinated=Choice.TIE)
    return gold.order_by("pk")


def choose(project: Project, chosen: Collection[int]) -> None:
    """Makes exactly these comparisons (keys) the questions. Raises NotAQuestion."""
    with transaction.atomic():
        allowed = set(candidates(project).filter(pk__in=chosen).values_list("pk", flat=True))
        if allowed != set(chosen):
            raise NotAQuestion("Choose gold comparisons of this project.", field="questions")
        QuizQuestion.objects.filter(comparison__project=project).exclude(
            comparison__in=chosen
        ).delete()
        QuizQuestion.objects.bulk_create(
            [QuizQuestion(comparison_id=pk) for pk in sorted(allowed)], ignore_conflicts=True
        )


def require_pass(project: Project, person: User) -> None:
    """Raises QuizFirst while ``person`` must take, or has failed, the quiz."""
    standing = standing_of(project, person)
    if standing is None:
        return
    raise QuizFirst(
        gettext("Answer %(questions)s questions first; %(needed)s right answers are needed.")
        % {"questions": standing.questions, "needed": standing.needed}
        if standing.attempts_left or standing.attempt
        else gettext(
            "You have no attempt left at the entry quiz; a manager can grant one, or let you in."
        ),
        questions=standing.questions,
        needed=standing.needed,
        attempts_left=standing.attempts_left,
        page=reverse("annotation:label", args=[project.slug]),
    )


def standing_of(project: Project, person: User) -> Standing | None:
    """None for everybody who gets work without (another) quiz."""
    membership = (
        Membership.objects.select_related("project")
        .filter(project=project, user=person, role=Role.ANNOTATOR, quiz_admitted_at__isnull=True)
        .first()
    )
    if membership is None or membership.project.quiz_pass_mark <= 0:
        return None
    number = questions(membership.project).count()
    if not number or has_worked(membership):
        return None
    attempts = list(membership.quiz_attempts.all())
    under_way = [one for one in attempts if one.passed is None]
    ended = [one for one in attempts if one.passed is not None]
    return Standing(
        membership=membership,
        questions=number,
        needed=needed(number, membership.project.quiz_pass_mark),
        attempt=under_way[0] if under_way else None,
        last=ended[-1] if ended else None,
        attempts_left=max(0, allowed(membership) - len(attempts)),
    )


def allowed(membership: Membership) -> int:
    """How many attempts a member has in all: the project's, and those that managers granted."""
    return membership.project.quiz_attempts + len(membership.quiz_grants.all())


def needed(number: int, pass_mark: float) -> int:
    """Right answers with which ``number`` questions are passed."""
    # 0.7 * 10 is a little more than 7 in binary.
    return math.ceil(round(number * pass_mark, 9))


def has_worked(membership: Membership) -> bool:
    """Whether the member is no newcomer."""
    judged = Assignment.objects.filter(
        annotator=membership.user_id, project=membership.project_id, state=Assignment.State.JUDGED
    )
    return judged.exists()


def begin(project: Project, person: User) -> QuizAttempt:
    """A new attempt, or the one under way. Raises NoQuiz."""
    with transaction.atomic():
        mine = Membership.objects.filter(project=project, user=person)
        mine.select_for_update(no_key=True).first()
        standing = standing_of(project, person)
        if standing is None:
            raise NoQuiz(gettext("You need no quiz in this project."))
        if standing.attempt is not None:
            return standing.attempt
        if not standing.attempts_left:
            raise NoQuiz(
                gettext("You have no attempt left; a manager can grant one, or let you in.")
            )
        attempt = standing.membership.quiz_attempts.create(
            number=standing.membership.quiz_attempts.count() + 1,
            pass_mark=standing.membership.project.quiz_pass_mark,
        )
        asked = list(questions(project))
        random.shuffle(asked)
        QuizAnswer.objects.bulk_create(
            QuizAnswer(
                attempt=attempt,
                position=position,
                comparison=comparison,
                shown_first=random.choice((1, 2)),
                known=comparison.gold_more_hallucinated,
            )
            for position, comparison in enumerate(asked, start=1)
        )
    return attempt


def next_question(attempt: QuizAttempt) -> QuizAnswer | None:
    """The first that is not answered."""
    return shown(attempt.answers.filter(given="")).first()


def shown(answers: QuerySet[QuizAnswer]) -> QuerySet[QuizAnswer]:
    """With all that a page shows of a question."""
    return answers.select_related("attempt__membership__project", "comparison__prompt__image")


def answer(question: QuizAnswer, given: str) -> QuizAnswer:
    """Stores an answer; the last one ends the attempt. The same one again is the same act.

    Raises AnsweredAlready for another answer than the one given, and ValueError for none.
    """
    if given not in Choice.values:
        raise ValueError(f"{given!r} is no answer")
    with transaction.atomic():
        attempt = QuizAttempt.objects.select_for_update(no_key=True).get(pk=question.attempt_id)
        stored = shown(QuizAnswer.objects.all()).get(pk=question.pk)
        if stored.given:
            if stored.given != given:
                raise AnsweredAlready(
                    gettext("You have answered this question; its answer is shown.")
                )
            return stored
        stored.given, stored.answered_at = given, timezone.now()
        stored.save(update_fields=["given", "answered_at"])
        _end_if_complete(attempt)
    stored.attempt.refresh_from_db()
    return stored


def _end_if_complete(attempt: QuizAttempt) -> None:
    answers = list(attempt.answers.all())
    if any(not one.given for one in answers):
        return
    attempt.passed = right(attempt) >= needed(len(answers), attempt.pass_mark)
    attempt.ended_at = timezone.now()
    attempt.save(update_fields=["passed", "ended_at"])
    if attempt.passed:
        Membership.objects.filter(pk=attempt.membership_id, quiz_admitted_at__isnull=True).update(
            quiz_admitted_at=attempt.ended_at
        )


def right(attempt: QuizAttempt) -> int:
    """Right answers so far."""
    return sum(one.right for one in attempt.answers.all())
