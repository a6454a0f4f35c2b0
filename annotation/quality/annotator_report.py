"""One annotator over time: what the figures of their weeks show, and what to do about it.

Speed is shown for oneself and the reviewers, never beside that of others: it is no race.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import Sum
from django.db.models.functions import TruncWeek
from django.utils.translation import gettext

from annotation.models import Membership, Project, User, WorkDay
from annotation.models.figures import COUNTS
from annotation.quality import figures
from annotation.quality.plots import Plot, Point, line
from annotation.quality.project_report import (
    Person,
    advice,
    from_figures,
    shares,
    sums_by_person,
    tested,
)
from annotation.quality.shares import Share
from annotation.quality.significance import beyond_chance

MOST_WEEKS = 52
HIDDEN = ("gold", "gold_right", "repeats", "repeats_same", "paired", "agreed")
"""What an annotator is not told of their own answers (annotation.blindness)."""


@dataclass(frozen=True, kw_only=True)
class AnnotatorReport:
    person: Person
    ties: Share
    skipped: int
    seconds_an_answer: float | None
    plots: list[Plot]
    """Only of what was measured."""
    missing: list[str]
    """What was not measured, and what would measure it."""
    as_of: datetime | None


def annotator_report(project: Project, user: User, *, own: bool = False) -> AnnotatorReport:
    """In a number of queries that does not grow with answers.

    ``own`` is the view of a person who only annotates: what all their answers show alike, and
    nothing that compares them with known answers, earlier ones or those of others.
    """
    kept = figures.current(project)
    mine = WorkDay.objects.filter(project=project, annotator=user).order_by()
    names = ("active_seconds", *COUNTS)
    sums: dict[str, Any] = mine.aggregate(**{name: Sum(name, default=0) for name in names})
    by_week: Any = mine.annotate(week=TruncWeek("day")).values("week")
    sums_by_week = by_week.annotate(**{name: Sum(name) for name in names}).order_by("-week")
    weeks: list[dict[str, Any]] = list(sums_by_week[:MOST_WEEKS])[::-1]
    if own:
        for counts in (sums, *weeks):
            counts.update(dict.fromkeys(HIDDEN, 0))
    member = Membership.objects.filter(project=project, user=user).first()
    person = Person(
        user=user,
        paused=bool(member and member.paused),
        paused_reason=member.paused_reason if member and not own else "",
        answers=sums["answers"],
        **({} if own else from_figures(kept, user.pk)),
        **shares(sums),
    )
    # Among all of the project, as on the page of its quality, so that both say the same; the person
    # themselves is told nothing that the figures of others move.
    rows = [] if own else sums_by_person(project)
    others = [row for row in rows if row["annotator"] != user.pk]
    everybody = tested([*others, {"annotator": user.pk, **sums}], kept)
    person.beyond_chance = beyond_chance(everybody)[user.pk]
    person.advice = advice(person, project, own=own)
    plots, missing = _plots(project, weeks)
    missing = [] if own else missing
    return AnnotatorReport(
        person=person,
        ties=Share(sums["ties"], sums["answers"]),
        skipped=sums["skipped"],
        seconds_an_answer=sums["active_seconds"] / sums["timed"] if sums["timed"] else None,
        plots=plots,
        missing=missing,
        as_of=kept.as_of,
    )


def _plots(project: Project, weeks: Sequence[Mapping[str, Any]]) -> tuple[list[Plot], list[str]]:
    bar = [(project.pause_below, gettext("project's bar"))] if project.pause_below else []
    fair = [(0.5, gettext("no preference"))]
    kinds: list[tuple[str, str, str, list[tuple[float, str]], str]] = [
        (
            "gold",
            gettext("Right on gold"),
            gettext("of comparisons with a known answer"),
            bar,
            gettext("Right on gold: no comparison with a known answer has come up."),
        ),
        (
            "agreed",
            gettext("Agreement with others"),
            gettext("votes on the same comparisons that say the same"),
            [],
            gettext("Agreement: nobody else has voted on the same comparisons."),
        ),
        (
            "consistent",
            gettext("Same answer again"),
            gettext("own comparisons, sides exchanged"),
            [],
            gettext("Same answer again: no own comparison has come up a second time."),
        ),
        (
            "first_named",
            gettext("Names the first shown"),
            gettext("of answers that name a response"),
            fair,
            gettext("Position: no answer names a response."),
        ),
        (
            "longer_won",
            gettext("Favours the longer"),
            gettext("of answers about responses of unequal length"),
            fair,
            gettext("Length: no answer is about responses of unequal length."),
        ),
    ]
    plots, missing = [], []
    for name, title, note, guides, absent in kinds:
        points = [point for week in weeks if (point := _share_point(week, name)) is not None]
        if points:
            plots.append(line(title, note, points, unit=gettext("share"), top=1.0, guides=guides))
        else:
            missing.append(absent)
    seconds = [
        Point(_date(week), week["active_seconds"] / week["timed"], count=week["timed"])
        for week in weeks
        if week["timed"]
    ]
    if seconds:
        note = gettext("mean active time, seconds an answer; no race")
        plots.append(
            line(gettext("Time for an answer"), note, seconds, unit=gettext("seconds"), digits=0)
        )
    return plots, missing


def _share_point(week: Mapping[str, Any], name: str) -> Point | None:
    share = shares(week)[name]
    if share.value is None:
        return None
    low, high = share.interval
    return Point(_date(week), share.value, low, high, share.whole)


def _date(week: Mapping[str, Any]) -> date:
    found = week["week"]
    assert isinstance(found, date)
    return found
