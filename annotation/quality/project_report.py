"""What a project's answers say about their quality, per annotator and together.

Shares come with Wilson's 95 % interval: of few answers a share says little, and the page must not
make anybody look bad by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db.models import Sum

from annotation.models import Figures, Membership, Project, User, WorkDay
from annotation.models.figures import COUNTS
from annotation.quality import figures
from annotation.quality.reliability import Reliability

FEWEST_ANSWERS = 10
Z = 1.96


@dataclass(frozen=True)
class Share:
    """``part`` of ``whole`` answers."""

    part: int = 0
    whole: int = 0

    @property
    def value(self) -> float | None:
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson (1927), 95 %; from 0 to 1 where there is no answer."""
        if not self.whole:
            return (0.0, 1.0)
        share, number = self.part / self.whole, self.whole
        centre = share + Z**2 / (2 * number)
        spread = Z * math.sqrt(share * (1 - share) / number + Z**2 / (4 * number**2))
        below = 1 + Z**2 / number
        return ((centre - spread) / below, (centre + spread) / below)

    def surely_not(self, expected: float) -> bool:
        """Whether ``expected`` lies outside the interval, on enough answers."""
        low, high = self.interval
        return self.whole >= FEWEST_ANSWERS and not low <= expected <= high

    def __add__(self, other: Share) -> Share:
        return Share(self.part + other.part, self.whole + other.whole)


@dataclass(kw_only=True)
class Person:
    """One annotator's figures, or (``user`` None) those of all together."""

    user: User | None = None
    paused: bool = False
    paused_reason: str = ""
    answers: int = 0
    gold: Share = Share()
    """Right answers to comparisons with a known answer."""
    consistent: Share = Share()
    """Repeats that were answered as the first time."""
    first_named: Share = Share()
    """Of answers that name a response, those that name the one shown first; fair is one half."""
    longer_won: Share = Share()
    """Of such answers about responses of different length, those that favour the longer one."""
    agreed: Share = Share()
    """Votes of others on the same comparisons that say the same."""
    agreement: dict[str, Any] = field(default_factory=dict)
    """Krippendorff's alpha of the comparisons that they and others voted on, with its interval."""
    reliability: Reliability | None = None
    advice: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Report:
    people: list[Person]
    together: Person
    agreement: dict[str, float | int | None]
    weeks: list[dict[str, Any]]
    """Monday's date and the agreement of that week's answers, oldest first."""
    as_of: datetime | None
    """The moment that the figures belong to; None while they are counted for the first time."""


SHARES = {
    "gold": ("gold_right", "gold"),
    "consistent": ("repeats_same", "repeats"),
    "first_named": ("named_first", "named"),
    "longer_won": ("longer", "unequal"),
    "agreed": ("agreed", "paired"),
}
"""Each share of a Person, and the counts of a WorkDay that are its part and its whole."""


def shares(counts: Mapping[str, Any]) -> dict[str, Any]:
    """The shares of a Person from the counts of one WorkDay, or of several added up."""
    return {
        name: Share(counts[part] or 0, counts[whole] or 0) for name, (part, whole) in SHARES.items()
    }


def report(project: Project, kept: Figures | None = None) -> Report:
    """The figures of a project, in a number of queries that does not grow with it."""
    kept = kept or figures.current(project)
    members = {
        one.user_id: one
        for one in Membership.objects.filter(project=project).select_related("user")
    }
    estimates, agreements = figures.reliabilities(kept), figures.agreements(kept)
    rows = _sums(project)
    gone = [row["annotator"] for row in rows if row["annotator"] not in members]
    users = {one.pk: one for one in User.objects.filter(pk__in=gone)} if gone else {}
    shown = []
    for row in rows:
        who = row["annotator"]
        member = members.get(who)
        person = Person(
            user=member.user if member else users[who],
            paused=bool(member and member.paused),
            paused_reason=member.paused_reason if member else "",
            answers=row["answers"],
            agreement=agreements.get(who, {}),
            reliability=estimates.get(who),
            **shares(row),
        )
        person.advice = advice(person, project)
        shown.append(person)
    together = Person(answers=sum(person.answers for person in shown))
    for name in SHARES:
        setattr(together, name, sum((getattr(one, name) for one in shown), Share()))
    shown.sort(key=lambda person: -person.answers)
    return Report(
        people=shown,
        together=together,
        agreement=kept.data.get("agreement", {}),
        weeks=[
            {**week, "week": date.fromisoformat(week["week"])}
            for week in kept.data.get("weeks", [])
        ],
        as_of=kept.as_of,
    )


def _sums(project: Project) -> list[dict[str, Any]]:
    days = WorkDay.objects.filter(project=project).order_by().values("annotator")
    rows: Any = days.annotate(**{name: Sum(name) for name in COUNTS})
    return [row for row in rows if row["answers"]]


def advice(person: Person, project: Project, *, own: bool = False) -> list[str]:
    """What to do about what the figures show beyond chance; ``own`` is said to the person."""
    found = []
    if person.gold.whole >= FEWEST_ANSWERS and person.gold.interval[1] < 0.8:
        found.append(
            "Several known answers were missed: read the guidelines again, or ask a reviewer."
            if own
            else "Go through the gold comparisons they got wrong together."
        )
    if person.consistent.whole >= FEWEST_ANSWERS and person.consistent.interval[1] < 0.8:
        found.append(
            "The same comparison got different answers: take the time that it needs."
            if own
            else "They answer the same comparison differently: ask whether they hurry."
        )
    if person.first_named.surely_not(0.5):
        side = "first" if person.first_named.part * 2 > person.first_named.whole else "second"
        found.append(
            f"The response shown {side} is named too often: read both before answering."
            if own
            else f"They name the response shown {side} too often: ask them to read both."
        )
    if person.longer_won.whole >= FEWEST_ANSWERS and person.longer_won.interval[0] > 0.6:
        found.append(
            "Longer responses are favoured: length is no merit."
            if own
            else "They favour longer responses: remind them that length is no merit."
        )
    if person.paused_reason:
        found.append(f"Paused: {person.paused_reason}")
    unmeasured = project.gold_rate == 0 and person.answers >= FEWEST_ANSWERS
    if not found and unmeasured and not own:
        found.append("Mix in gold comparisons to learn more.")
    return found
