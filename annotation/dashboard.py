"""What a project's front page tells those who run it, with how each figure is computed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Sum

from annotation.days import current_day
from annotation.forecast import Forecast, forecast
from annotation.models import Assignment, Figures, Membership, Project, User, WorkDay
from annotation.progress import Progress
from annotation.quality import figures
from annotation.quality.concerns import Concern, of_project
from annotation.quality.shares import Share

SHOWN_DAYS = 28
WEEK_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class Day:
    """The work of one day; the last of a list may be today and not over."""

    day: date
    answers: int
    active_hours: float


@dataclass(frozen=True, kw_only=True)
class MemberWork:
    """A line of the people's table."""

    user: User
    role: str
    paused: bool
    answers: int
    answers_today: int
    skipped: int


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """As of one moment, except that nothing is known before the first count (``as_of`` None)."""

    as_of: datetime | None
    progress: Progress
    days: list[Day]
    """The last SHOWN_DAYS days, today last."""
    answers_a_day: float | None
    """Mean of the last ``rate_days`` whole days since the first answer; None without one."""
    rate_days: int
    active_hours: float
    """Of all answers together."""
    seconds_an_answer: float | None
    agreement: dict[str, Any]
    concerns: list[Concern]
    """What must be known before the answers are used; empty before there are any."""
    ties: Share
    skips: list[tuple[str, int]]
    """Reason in words and how often, most frequent first."""
    forecast: Forecast
    nobody_left: int
    """Comparisons that wait for answers although everybody who annotates here has had them."""
    people: list[MemberWork]


def dashboard(project: Project, kept: Figures | None = None) -> Dashboard:
    """In a number of queries that does not grow with answers, people or comparisons."""
    kept = kept or figures.current(project)
    today = current_day()
    totals = _totals(project, today)
    days = _days(project, today)
    whole = _whole_days(days)
    return Dashboard(
        as_of=kept.as_of,
        progress=figures.progress(kept),
        days=days,
        answers_a_day=_mean(whole[-WEEK_DAYS:]),
        rate_days=len(whole[-WEEK_DAYS:]),
        active_hours=sum(row["active_seconds"] for row in totals.values()) / 3600,
        seconds_an_answer=_ratio(totals, "active_seconds", "timed"),
        agreement=kept.data.get("agreement", {}),
        concerns=of_project(project, kept) if _sum(totals, "answers") else [],
        ties=Share(_sum(totals, "ties"), _sum(totals, "answers")),
        skips=_skips(kept),
        forecast=_forecast(project, kept, whole, today),
        nobody_left=kept.data.get("nobody_left", 0),
        people=_people(project, totals),
    )


def _totals(project: Project, today: date) -> dict[int, dict[str, Any]]:
    """By user id."""
    names = ("answers", "skipped", "ties", "timed", "active_seconds")
    days = WorkDay.objects.filter(project=project).order_by().values("annotator")
    sums: Any = days.annotate(**{name: Sum(name) for name in names})
    rows: dict[int, dict[str, Any]] = {row["annotator"]: row for row in sums}
    for one in WorkDay.objects.filter(project=project, day=today).values("annotator", "answers"):
        rows[one["annotator"]]["answers_today"] = one["answers"]
    return rows


def _sum(totals: dict[int, dict[str, Any]], name: str) -> Any:
    return sum(row[name] for row in totals.values())


def _ratio(totals: dict[int, dict[str, Any]], part: str, whole: str) -> float | None:
    count = _sum(totals, whole)
    return _sum(totals, part) / count if count else None


def _days(project: Project, today: date) -> list[Day]:
    first = today - timedelta(days=SHOWN_DAYS - 1)
    rows = WorkDay.objects.filter(project=project, day__gte=first, day__lte=today)
    found = {
        row["day"]: row
        for row in rows.order_by()
        .values("day")
        .annotate(answers=Sum("answers"), active_seconds=Sum("active_seconds"))
    }
    every = [first + timedelta(days=number) for number in range(SHOWN_DAYS)]
    return [
        Day(
            day=day,
            answers=found[day]["answers"] if day in found else 0,
            active_hours=found[day]["active_seconds"] / 3600 if day in found else 0.0,
        )
        for day in every
    ]


def _whole_days(days: list[Day]) -> list[int]:
    """Answers of the days that are over, from the first with an answer on."""
    answers = [one.answers for one in days[:-1]]
    first = next((number for number, count in enumerate(answers) if count), len(answers))
    return answers[first:]


def _mean(numbers: list[int]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None


def _remaining(kept: Figures) -> int:
    """Answers still wanted, and those that further splits will want if they stay as frequent."""
    progress, settled = figures.progress(kept), kept.data.get("settled", {})
    more = 0.0
    if settled.get("comparisons"):
        more = progress.waiting * settled["more_votes"] / settled["comparisons"]
    return progress.wanted - progress.judgments + round(more)


def _forecast(project: Project, kept: Figures, whole: list[int], today: date) -> Forecast:
    remaining = _remaining(kept)
    if remaining > 0 and project.state != Project.State.OPEN:
        return Forecast(reason="Nobody is handed work: it is not open.", remaining=remaining)
    if remaining > 0 and kept.data.get("nobody_left", 0) >= figures.progress(kept).waiting > 0:
        return Forecast(reason="Nobody is left to ask.", remaining=remaining)
    return forecast(remaining, whole, today=today)


def _skips(kept: Figures) -> list[tuple[str, int]]:
    found = kept.data.get("skips", {}).items()
    words = dict(Assignment.SkipReason.choices)
    return [(str(words[reason]), count) for reason, count in sorted(found, key=lambda one: -one[1])]


def _people(project: Project, totals: dict[int, dict[str, Any]]) -> list[MemberWork]:
    """In the order they joined."""
    members = Membership.objects.filter(project=project).select_related("user")
    return [
        MemberWork(
            user=one.user,
            role=one.role,
            paused=one.paused,
            answers=totals.get(one.user_id, {}).get("answers", 0),
            answers_today=totals.get(one.user_id, {}).get("answers_today", 0),
            skipped=totals.get(one.user_id, {}).get("skipped", 0),
        )
        for one in members
    ]
