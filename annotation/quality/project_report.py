"""What a project's answers say about their quality, per annotator and together.

The page must not make anybody look bad by chance: shares come with their interval, and advice is
given only for what is beyond chance when all people are looked at together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db.models import Sum
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from annotation.models import Figures, Membership, Project, User, WorkDay
from annotation.models.figures import COUNTS
from annotation.quality import figures
from annotation.quality.concerns import Concern, at_chance, carries_no_information, of_project
from annotation.quality.reading_speed import WORDS_A_SECOND, Reading
from annotation.quality.reliability import Reliability
from annotation.quality.shares import NONE, Share
from annotation.quality.significance import FEWEST_ANSWERS, beyond_chance


@dataclass(kw_only=True)
class Person:
    """One annotator's figures, or (``user`` None) those of all together."""

    user: User | None = None
    paused: bool = False
    paused_reason: str = ""
    answers: int = 0
    gold: Share = NONE
    """Right answers to comparisons with a known answer."""
    consistent: Share = NONE
    """Repeats that were answered as the first time."""
    first_named: Share = NONE
    """Of answers that name a response, those that name the one shown first; fair is one half."""
    longer_won: Share = NONE
    """Of such answers about responses of different length, those that favour the longer one."""
    agreed: Share = NONE
    """Votes of others on the same comparisons that say the same."""
    agreement: dict[str, Any] = field(default_factory=dict)
    """Krippendorff's alpha of the comparisons that they and others voted on, with its interval."""
    reliability: Reliability | None = None
    reading: Reading | None = None
    """How fast they went through the responses."""
    right_on_gold: bool = False
    """Whether gold shows that they surely do better than guessing."""
    beyond_chance: frozenset[str] = frozenset()
    """Names of the shares that are not chance (``quality.significance``)."""
    advice: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Report:
    people: list[Person]
    together: Person
    agreement: dict[str, float | int | None]
    concerns: list[Concern]
    """What must be known before these answers are used."""
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
    rows = sums_by_person(project)
    beyond = beyond_chance(tested(rows, kept))
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
            beyond_chance=beyond[who],
            **from_figures(kept, who),
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
        concerns=of_project(project, kept) if rows else [],
        weeks=[
            {**week, "week": date.fromisoformat(week["week"])}
            for week in kept.data.get("weeks", [])
        ],
        as_of=kept.as_of,
    )


def from_figures(kept: Figures, who: int) -> dict[str, Any]:
    """What the kept figures say of one person."""
    return {
        "agreement": figures.agreements(kept).get(who, {}),
        # Where nobody agrees, votes alone cannot tell who is right: the estimate would be noise.
        "reliability": None if at_chance(kept) else figures.reliabilities(kept).get(who),
        "reading": figures.readings(kept).get(who),
        "right_on_gold": who in kept.data.get("gold_right_surely", []),
    }


def sums_by_person(project: Project) -> list[dict[str, Any]]:
    """The counts of all days of each annotator who has answered, in one query."""
    days = WorkDay.objects.filter(project=project).order_by().values("annotator")
    rows: Any = days.annotate(**{name: Sum(name) for name in COUNTS})
    return [row for row in rows if row["answers"]]


def tested(rows: list[dict[str, Any]], kept: Figures) -> dict[int, dict[str, Share]]:
    """Everything that is tested of everybody, for ``significance.beyond_chance``."""
    readings = figures.readings(kept)
    found: dict[int, dict[str, Share]] = {}
    for row in rows:
        found[row["annotator"]] = shares(row)
        if (fast := readings.get(row["annotator"])) is not None:
            found[row["annotator"]]["too_fast"] = Share(fast.too_fast, fast.timed)
    return found


def advice(person: Person, project: Project, *, own: bool = False) -> list[str]:
    """What to do about what the figures show beyond chance; ``own`` is said to the person."""
    found = [str(said[own]) for name, said in ADVICE.items() if name in person.beyond_chance]
    if "first_named" in person.beyond_chance:
        first = person.first_named.part * 2 > person.first_named.whole
        side = "first" if first else "second"
        found.append(
            str(SIDE_NAMED[side])
            if own
            else f"They name the response shown {side} too often: ask them to read both."
        )
    if not own and not person.right_on_gold and carries_no_information(person.agreement):
        found.append(
            "They agree with the others no more than chance would: look at some of their answers "
            "with them, and leave their votes out of releases by a minimum reliability."
        )
    if person.paused_reason:
        found.append(f"Paused: {person.paused_reason}")
    unmeasured = project.gold_rate == 0 and person.answers >= FEWEST_ANSWERS
    if not found and unmeasured and not own:
        found.append("Mix in gold comparisons to learn more.")
    return found


ADVICE = {
    "too_fast": (
        f"Most answers came faster than {WORDS_A_SECOND:.0f} words a second, too fast to have "
        "read both responses: talk with them before you use these answers.",
        format_lazy(
            gettext_lazy(
                "Most answers came faster than {words} words a second: take the time to read both "
                "responses."
            ),
            words=f"{WORDS_A_SECOND:.0f}",
        ),
    ),
    "gold": (
        "Go through the gold comparisons they got wrong together.",
        gettext_lazy(
            "Several known answers were missed: read the guidelines again, or ask a reviewer."
        ),
    ),
    "consistent": (
        "They answer the same comparison differently: ask whether they hurry.",
        gettext_lazy("The same comparison got different answers: take the time that it needs."),
    ),
    "longer_won": (
        "They favour longer responses: remind them that length is no merit.",
        gettext_lazy("Longer responses are favoured: length is no merit."),
    ),
}
"""For shares beyond chance, what reviewers are told and what the person is told."""
SIDE_NAMED = {
    "first": gettext_lazy(
        "The response shown first is named too often: read both before answering."
    ),
    "second": gettext_lazy(
        "The response shown second is named too often: read both before answering."
    ),
}
