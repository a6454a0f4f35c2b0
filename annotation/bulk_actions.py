"""What a manager does to many comparisons at once: another priority, out, back in, asked again.

Each is one transaction over rows that are locked in the order of their ids, and leaves alone what
it does not fit, saying why. No vote is ever lost by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Case, CharField, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models import TextChoices as Choices
from django.db.models.functions import Greatest

from annotation import priorities
from annotation.errors import DomainError
from annotation.machine.disclosure import with_priority_told
from annotation.models import Adjudication, Comparison, MachineLabel, Project
from annotation.preferences import settle

MOST_AT_ONCE = 5_000
"""Of one request; the command takes any number, so many at a time."""
MOST_POINTS = 1_000_000
MOST_PRIORITY = 1_000_000_000
"""Either way, by changes: so far from the ends of the column that nothing is ever cut off, by which
who is in a sample would stand out."""
MOST_ANSWERS = 20

Outcome = Comparison.Outcome


class Action(Choices):
    PRIORITY = "priority", "Change the priority by"
    RETIRE = "retire", "Take out"
    BRING_BACK = "bring_back", "Bring back"
    HAND_OUT_AGAIN = "hand_out_again", "Ask again, further answers:"
    STOP_ASKING = "stop_asking", "Stop asking again"


class NoSuchChange(DomainError):
    """``field`` names what is wrong."""

    status = 422
    title = "The comparisons cannot be changed like this"


class TooMany(DomainError):
    status = 422
    title = "Too many comparisons for one change"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One action with its amount: points for ``PRIORITY``, people for ``HAND_OUT_AGAIN``."""

    action: Action
    amount: int = 0

    def __post_init__(self) -> None:
        """Raises NoSuchChange for an amount that the action cannot have."""
        if self.action == Action.PRIORITY:
            fits = self.amount != 0 and abs(self.amount) <= MOST_POINTS
            wanted = f"a number from -{MOST_POINTS:,} to {MOST_POINTS:,}, and not 0"
        elif self.action == Action.HAND_OUT_AGAIN:
            fits, wanted = 1 <= self.amount <= MOST_ANSWERS, f"a number from 1 to {MOST_ANSWERS}"
        else:
            fits, wanted = self.amount == 0, "left out, since this change takes none"
        if not fits:
            raise NoSuchChange(f"The amount must be {wanted}.", field="amount")


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What came of it, or would come of it."""

    changed: int
    left: dict[str, int]
    """By reason, how many stay as they are."""


def chosen(rows: QuerySet[Comparison]) -> list[int]:
    """The ids of ``rows``, in order. Raises TooMany beyond MOST_AT_ONCE."""
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
    if len(ids) > MOST_AT_ONCE:
        raise TooMany(
            f"More than {MOST_AT_ONCE:,} comparisons are chosen, and one change takes no more. "
            "Choose fewer, or use the command change_comparisons."
        )
    return ids


def foreseen(project: Project, ids: Iterable[int], change: Change) -> Changed:
    """What ``carry_out`` would do now; one query, nothing is changed."""
    return _sorted(_looked_at(project, ids, change))[1]


def carry_out(project: Project, ids: Iterable[int], change: Change) -> Changed:
    """Changes those of ``ids`` that belong to the project and fit."""
    with transaction.atomic():
        mine = Comparison.objects.filter(project=project, pk__in=list(ids))
        locked = list(mine.locked_in_order().values_list("pk", flat=True))
        # Looked at afterwards: a ruling that was waited for is seen by a new statement only.
        fitting, done = _sorted(_looked_at(project, locked, change))
        _CHANGES[change.action](project, fitting, change.amount)
    return done


def _sorted(rows: Iterable[tuple[int, str]]) -> tuple[list[int], Changed]:
    found = list(rows)
    fitting = [pk for pk, why in found if not why]
    left = Counter(why for _, why in found if why)
    return fitting, Changed(changed=len(fitting), left=dict(left.most_common()))


def _looked_at(
    project: Project, ids: Iterable[int], change: Change
) -> QuerySet[Comparison, tuple[int, str]]:
    """Each id with why that comparison cannot be changed; empty where it can."""
    reasons = _REASONS[change.action]
    if change.action == Action.PRIORITY:
        reasons = (*reasons, _too_far(change.amount))
    why = Case(
        *(When(condition, then=Value(said)) for condition, said in reasons),
        default=Value(""),
        output_field=CharField(),
    )
    rows = with_priority_told(Comparison.objects.filter(project=project, pk__in=list(ids)))
    return rows.annotate(why=why).order_by("pk").values_list("pk", "why")


# --- What fits ------------------------------------------------------------------------------------

_GOLD = (~Q(gold_more_hallucinated=""), "gold comparisons: withdraw them as gold first")
_OUT = (Q(outcome=Outcome.RETIRED), "taken out")
_WAITING = (Q(outcome=Outcome.WAITING), "still waiting for answers")
_RULED = (
    Exists(Adjudication.objects.filter(comparison=OuterRef("pk"))),
    "ruled on by a reviewer, which stands above votes",
)
_WITHOUT_VOTES = (
    Q(judgment_count=0, machine_vote=""),
    "settled by the file they came in, or as equal texts",
)
_REASONS = {
    Action.PRIORITY: (_GOLD, (~Q(outcome=Outcome.WAITING), "not waiting for answers")),
    Action.RETIRE: (_GOLD, (Q(outcome=Outcome.RETIRED), "taken out already")),
    Action.BRING_BACK: ((~Q(outcome=Outcome.RETIRED), "not taken out"),),
    Action.HAND_OUT_AGAIN: (_GOLD, _OUT, _WAITING, _RULED, _WITHOUT_VOTES),
    Action.STOP_ASKING: (
        (Q(asked_judgments__isnull=True) | ~Q(outcome=Outcome.WAITING), "not being asked again"),
    ),
}


def _too_far(points: int) -> tuple[Q, str]:
    """Asked of the priority that people are told, so that the answer tells no sample either."""
    near = Q(priority_told__gte=-MOST_PRIORITY - points, priority_told__lte=MOST_PRIORITY - points)
    return ~near, f"their priority would pass {MOST_PRIORITY:,}"


# --- What is done ---------------------------------------------------------------------------------


def _retire(project: Project, ids: list[int], amount: int) -> None:
    """Leases go on; what they bring is kept with the votes."""
    Comparison.objects.filter(pk__in=ids).update(
        outcome=Outcome.RETIRED,
        wanted_judgments=F("wanted_judgments") - F("open_slots"),
        open_slots=0,
    )


def _bring_back(project: Project, ids: list[int], amount: int) -> None:
    """What the votes say by now; a label that came with a file is as it was."""
    rows = Comparison.objects.filter(pk__in=ids).select_related("project", "adjudication")
    for comparison in rows.order_by("pk").iterator():
        ruled = hasattr(comparison, "adjudication")
        if comparison.preference and not (
            ruled or comparison.judgment_count or comparison.machine_vote
        ):
            comparison.outcome = Outcome.DECIDED
            comparison.save(update_fields=["outcome"])
            continue
        _settle_by_votes(comparison)


def _settle_by_votes(comparison: Comparison) -> None:
    """What a locked comparison's votes make of it, with the slots that it then needs."""
    comparison.outcome = Outcome.WAITING
    comparison.want_usual()
    settle(comparison)


def _hand_out_again(project: Project, ids: list[int], amount: int) -> None:
    """``amount`` people more vote, and then all votes decide; a machine's is withdrawn."""
    MachineLabel.objects.filter(comparison__in=ids, stands=True).update(stands=False)
    rows = Comparison.objects.filter(pk__in=ids)
    asked = Greatest(F("judgment_count") + amount, project.judgments_per_comparison)
    # Leases that are out bring some of those answers. Of what has its outcome no slot is open.
    rows.update(
        asked_judgments=asked,
        open_slots=Greatest(asked - F("wanted_judgments"), 0),
        wanted_judgments=Greatest(asked, F("wanted_judgments")),
        outcome=Outcome.WAITING,
        preference=None,
        hallucination=None,
        margin=None,
        machine_vote="",
    )


def _stop_asking(project: Project, ids: list[int], amount: int) -> None:
    """The answers that there are decide; a machine's vote does not come back."""
    rows = Comparison.objects.filter(pk__in=ids)
    rows.update(asked_judgments=None)
    for comparison in rows.select_related("project", "adjudication").order_by("pk").iterator():
        _settle_by_votes(comparison)


_CHANGES = {
    Action.PRIORITY: priorities.raise_all,
    Action.RETIRE: _retire,
    Action.BRING_BACK: _bring_back,
    Action.HAND_OUT_AGAIN: _hand_out_again,
    Action.STOP_ASKING: _stop_asking,
}
