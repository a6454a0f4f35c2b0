"""What each participant of a study did, for paying or refusing them: time, answers, quality.

The quality figures are those of the project (annotation.quality), and so are the remarks: they are
made only of what is beyond chance among all people of the project.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Count, Max, Q, Sum
from django.utils import timezone

from annotation.exporting.formats import csv_line
from annotation.models import Assignment, Judgment, Membership, Participant, QuizAttempt, Study
from annotation.quality.project_report import Person, report
from annotation.quality.shares import NONE, Share

NOBODY = Person()


class State(models.TextChoices):
    """Where a participant is, for managers to read."""

    FINISHED = "finished", "finished"
    FINISHED_EARLY = "finished_early", "finished early"
    PAUSED = "paused", "paused"
    FAILED_QUIZ = "failed_quiz", "did not pass the quiz"
    AT_WORK = "at_work", "at it"
    LEFT = "left", "left"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One participant. Minutes are None before anything was answered or skipped."""

    participant: Participant
    state: State
    ended_at: datetime | None
    minutes: float | None
    """From opening the link to the last answer, breaks included."""
    active_minutes: float | None
    """Sum of the time in which a comparison was on screen and somebody was there."""
    answers: int
    skipped: int
    person: Person
    """Figures of quality (``quality.project_report``)."""

    @property
    def too_fast(self) -> Share:
        """Of the timed answers, those that came faster than the responses can be read."""
        reading = self.person.reading
        return Share(reading.too_fast, reading.timed) if reading else NONE


def lines(study: Study, participants: Sequence[Participant]) -> list[Line]:
    """Lines of ``participants``, all of ``study``, in a number of queries that does not grow."""
    people = {one.user.pk: one for one in report(study.project).people if one.user}
    ids = [one.user_id for one in participants]
    work = _work(study, ids)
    paused = set(
        Membership.objects.filter(project=study.project_id, user__in=ids, paused=True).values_list(
            "user", flat=True
        )
    )
    failed = _failed_quiz(study, ids)
    found = []
    for one in participants:
        done: dict[str, Any] = work.get(one.user_id, {})
        ended = done.get("last")
        active = done.get("active")
        found.append(
            Line(
                participant=one,
                state=_state(study, one, done.get("judged", 0), one.user_id in paused, failed),
                ended_at=ended,
                minutes=(ended - one.arrived_at).total_seconds() / 60 if ended else None,
                active_minutes=None if active is None else active / 60,
                answers=done.get("judged", 0),
                skipped=done.get("skipped", 0),
                person=people.get(one.user_id, NOBODY),
            )
        )
    return found


def _state(study: Study, one: Participant, judged: int, is_paused: bool, failed: set[int]) -> State:
    if judged >= study.answers:
        return State.FINISHED
    if one.finished_at is not None:
        return State.FINISHED_EARLY
    if is_paused:
        return State.PAUSED
    if one.user_id in failed:
        return State.FAILED_QUIZ
    lately = timezone.now() - timedelta(hours=study.session_hours)
    return State.AT_WORK if one.seen_at > lately else State.LEFT


def _work(study: Study, ids: list[int]) -> dict[int, dict[str, Any]]:
    states = Assignment.State
    mine = Assignment.objects.filter(project=study.project_id, annotator__in=ids).order_by()
    rows: Any = mine.values("annotator").annotate(
        judged=Count("pk", filter=Q(state=states.JUDGED)),
        skipped=Count("pk", filter=Q(state=states.SKIPPED)),
        last=Max("ended_at", filter=Q(state__in=(states.JUDGED, states.SKIPPED))),
    )
    found = {row["annotator"]: dict(row) for row in rows}
    given = Judgment.objects.filter(
        assignment__project=study.project_id, assignment__annotator__in=ids
    )
    active = given.order_by().values_list("assignment__annotator")
    for who, seconds in active.annotate(Sum("active_seconds")):
        found[who]["active"] = seconds
    return found


def _failed_quiz(study: Study, ids: list[int]) -> set[int]:
    """User ids of those who have failed and have no attempt left."""
    attempts = QuizAttempt.objects.filter(
        membership__project=study.project_id,
        membership__user__in=ids,
        membership__quiz_admitted_at__isnull=True,
        passed=False,
    ).order_by()
    rows: Any = attempts.values("membership__user").annotate(
        tried=Count("pk", distinct=True), granted=Count("membership__quiz_grants", distinct=True)
    )
    allowed = study.project.quiz_attempts
    return {row["membership__user"] for row in rows if row["tried"] >= allowed + row["granted"]}


COLUMNS = (
    *("participant_id", "study_id", "session_id", "annotator", "state", "arrived", "last_answer"),
    *("minutes", "active_minutes", "answers", "answers_wanted", "skipped"),
    *("gold_right", "gold", "repeats_same", "repeats", "too_fast", "timed"),
    *("votes_agreed", "votes_compared", "reliability", "remarks"),
)


def csv(study: Study, found: Iterable[Line]) -> Iterator[bytes]:
    """The report for a spreadsheet; times in UTC, ISO 8601."""
    yield csv_line(COLUMNS)
    for line in found:
        yield csv_line(_cells(study, line))


def _cells(study: Study, line: Line) -> tuple[Any, ...]:
    one, person = line.participant, line.person
    reliability = person.reliability
    return (
        *(one.external_id, one.platform_study, one.session, one.user.username, line.state.value),
        *(_time(one.arrived_at), _time(line.ended_at)),
        *(_number(line.minutes), _number(line.active_minutes)),
        *(line.answers, study.answers, line.skipped),
        *(person.gold.part, person.gold.whole),
        *(person.consistent.part, person.consistent.whole),
        *(line.too_fast.part, line.too_fast.whole),
        *(person.agreed.part, person.agreed.whole),
        round(reliability.accuracy, 3) if reliability else None,
        " ".join(person.advice),
    )


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _number(minutes: float | None) -> float | None:
    return None if minutes is None else round(minutes, 1)
