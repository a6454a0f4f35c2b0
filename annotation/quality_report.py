"""What a project's answers say about their quality, per annotator and together.

Shares come with Wilson's 95 % interval: of few answers a share says little, and the page must not
make anybody look bad by chance.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, F, Q
from django.db.models.functions import Length, TruncWeek

from annotation.models import Judgment, Membership, Project, User
from annotation.quality import agreement
from annotation.reliability import Reliability, dawid_skene

MOST_VOTES = 200_000
"""The newest so many votes are looked at, so that the page of a large project opens too."""
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
    reliability: Reliability | None = None
    advice: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Report:
    people: list[Person]
    together: Person
    agreement: dict[str, float | int | None]
    weeks: list[dict[str, Any]]
    """Monday's date and the agreement of that week's answers, oldest first."""


def report(project: Project) -> Report:
    """The figures of a project, in a number of queries that does not grow with it."""
    people = {
        one.user_id: Person(user=one.user, paused=one.paused, paused_reason=one.paused_reason)
        for one in Membership.objects.filter(project=project).select_related("user")
    }
    for row in _counts(project):
        person = people.get(row["who"])
        if person is None:
            person = people[row["who"]] = Person(user=User.objects.get(pk=row["who"]))
        _fill(person, row)
    for who, share in _consistency(project).items():
        people[who].consistent = share
    for who, reliability in reliabilities(project).items():
        if who in people:
            people[who].reliability = reliability
    shown = [person for person in people.values() if person.answers]
    together = Person(answers=sum(person.answers for person in shown))
    for name in ("gold", "consistent", "first_named", "longer_won"):
        setattr(together, name, sum((getattr(one, name) for one in shown), Share()))
    for person in shown:
        person.advice = advice(person, project)
    shown.sort(key=lambda person: -person.answers)
    weeks = _weeks(project)
    return Report(people=shown, together=together, agreement=_alpha(project), weeks=weeks)


def advice(person: Person, project: Project) -> list[str]:
    """What to do about what the figures show beyond chance."""
    found = []
    if person.gold.whole >= FEWEST_ANSWERS and person.gold.interval[1] < 0.8:
        found.append("Go through the gold comparisons they got wrong together.")
    if person.consistent.whole >= FEWEST_ANSWERS and person.consistent.interval[1] < 0.8:
        found.append("They answer the same comparison differently: ask whether they hurry.")
    if person.first_named.surely_not(0.5):
        side = "first" if person.first_named.part * 2 > person.first_named.whole else "second"
        found.append(f"They name the response shown {side} too often: ask them to read both.")
    if person.longer_won.whole >= FEWEST_ANSWERS and person.longer_won.interval[0] > 0.6:
        found.append("They favour longer responses: remind them that length is no merit.")
    if person.paused_reason:
        found.append(f"Paused: {person.paused_reason}")
    if not found and project.gold_rate == 0 and person.answers >= FEWEST_ANSWERS:
        found.append("Mix in gold comparisons to learn more.")
    return found


def reliabilities(project: Project) -> dict[int, Reliability]:
    """By user id, from the newest votes of a project (Dawid-Skene)."""
    votes = (
        _votes(project)
        .order_by("-pk")
        .values_list("comparison_id", "assignment__annotator_id", "more_hallucinated")
    )
    return dawid_skene(votes[:MOST_VOTES])


def _votes(project: Project) -> Any:
    return Judgment.objects.filter(assignment__project=project, surplus=False)


def _counts(project: Project) -> Any:
    names_one = ~Q(more_hallucinated="tie")
    first = Q(more_hallucinated="1", assignment__shown_first=1) | Q(
        more_hallucinated="2", assignment__shown_first=2
    )
    differ = names_one & ~Q(length_1=F("length_2"))
    longer = Q(more_hallucinated="2", length_1__gt=F("length_2")) | Q(
        more_hallucinated="1", length_2__gt=F("length_1")
    )
    gold = Q(assignment__purpose="gold")
    right = gold & Q(more_hallucinated=F("comparison__gold_more_hallucinated"))
    return (
        Judgment.objects.filter(assignment__project=project)
        .order_by()
        .alias(length_1=Length("comparison__response_1"), length_2=Length("comparison__response_2"))
        .values(who=F("assignment__annotator_id"))
        .annotate(
            answers=Count("pk"),
            gold=Count("pk", filter=gold),
            right=Count("pk", filter=right),
            named=Count("pk", filter=names_one),
            first=Count("pk", filter=first),
            differ=Count("pk", filter=differ),
            longer=Count("pk", filter=longer),
        )
    )


def _fill(person: Person, row: dict[str, Any]) -> None:
    person.answers = row["answers"]
    person.gold = Share(row["right"], row["gold"])
    person.first_named = Share(row["first"], row["named"])
    person.longer_won = Share(row["longer"], row["differ"])


def _consistency(project: Project) -> dict[int, Share]:
    repeats = Judgment.objects.filter(
        assignment__project=project, assignment__purpose="repeat"
    ).values_list("assignment__annotator_id", "comparison_id", "more_hallucinated")
    again = {(who, comparison): answer for who, comparison, answer in repeats}
    originals = Judgment.objects.filter(
        assignment__project=project,
        assignment__purpose="work",
        comparison_id__in={comparison for _, comparison in again},
    ).values_list("assignment__annotator_id", "comparison_id", "more_hallucinated")
    shares: dict[int, Share] = defaultdict(Share)
    for who, comparison, answer in originals:
        if (who, comparison) in again:
            shares[who] += Share(int(again[who, comparison] == answer), 1)
    return dict(shares)


def _alpha(project: Project) -> dict[str, float | int | None]:
    rows = (
        _votes(project)
        .order_by()
        .values("comparison")
        .annotate(answers=ArrayAgg("more_hallucinated"), number=Count("pk"))
        .filter(number__gt=1)
        .values_list("answers", flat=True)[:MOST_VOTES]
    )
    return agreement(rows)


def _weeks(project: Project) -> list[dict[str, Any]]:
    """By the week in which a comparison was answered: each week has its own comparisons."""
    rows = (
        _votes(project)
        .order_by()
        .annotate(week=TruncWeek("created_at"))
        .values("week", "comparison")
        .annotate(answers=ArrayAgg("more_hallucinated"), number=Count("pk"))
        .filter(number__gt=1)
        .values_list("week", "answers")[:MOST_VOTES]
    )
    weeks: dict[Any, list[list[str]]] = defaultdict(list)
    for week, answers in rows:
        weeks[week].append(answers)
    return [{"week": week.date(), **agreement(weeks[week])} for week in sorted(weeks)]
