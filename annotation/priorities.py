"""Which waiting comparisons are handed out first, once a reward model has looked at them.

The rule lives here and nowhere else. It adds to a comparison's priority and remembers nothing:
whoever asks again says what it had added before, so that a newer opinion replaces an older one
and what a manager or an import has set stays.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.db.models import Count

from annotation.models import Comparison, Judgment, Project

MOST_POINTS = 100
LOWEST, HIGHEST = -(2**31), 2**31 - 1
"""What the column holds; who has set a priority near its ends keeps it there."""


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What a reward model says of one comparison."""

    comparison: int
    probability_1: float
    """Its chance that response 1 is the better one, 0..1."""
    spread: float | None = None
    """How far the heads of an ensemble are apart about the pair, in log-odds. Where it is given it
    is what ranks, and not how sure their mean is."""
    points_before: int = 0
    """What the opinion that this one replaces had added to the priority."""


@dataclass(kw_only=True)
class Changes:
    """What came of a set of opinions."""

    points: dict[int, int] = field(default_factory=dict)
    """By comparison, what is now added to its priority."""
    raised: int = 0
    lowered: int = 0
    unchanged: int = 0


def points(
    probability_1: float, votes_for_1: int = 0, votes_for_2: int = 0, *, spread: float | None = None
) -> int:
    """0..MOST_POINTS: how much one more answer is needed.

    100 · (1 - certainty · (1 - share of the votes against)). A reward model that is unsure gives
    all points whatever the votes say; a sure one gives none where nobody contradicts it and all
    where everybody does. With ``spread`` certainty is 1 / (1 + spread): 1 where the heads of an
    ensemble agree, half where they are one unit of log-odds apart. Raises ValueError for what is no
    probability and no spread.
    """
    if not 0 <= probability_1 <= 1:
        raise ValueError(f"{probability_1} is no probability")
    if spread is not None and not 0 <= spread < math.inf:
        raise ValueError(f"{spread} is no spread")
    certainty = abs(2 * probability_1 - 1) if spread is None else 1 / (1 + spread)
    against, votes = votes_for_2 if probability_1 >= 0.5 else votes_for_1, votes_for_1 + votes_for_2
    return round(MOST_POINTS * (1 - certainty * (1 - (against / votes if votes else 0.0))))


def reprioritise(project: Project, opinions: Sequence[Opinion]) -> Changes:
    """Moves waiting comparisons of ``project`` in the queue; others get no points any more.

    Idempotent when the points that it returns are given back as ``points_before``.
    """
    changes = Changes()
    moved: dict[int, int] = {}
    with transaction.atomic():
        asked = {opinion.comparison: opinion for opinion in opinions}
        waiting = _lock_waiting(project, asked.keys())
        votes = _votes_for(waiting)
        for pk, opinion in asked.items():
            new = 0
            if pk in waiting:
                for_1, for_2 = votes[pk, 1], votes[pk, 2]
                new = points(opinion.probability_1, for_1, for_2, spread=opinion.spread)
            changes.points[pk] = new
            if new != opinion.points_before:
                moved[pk] = new - opinion.points_before
        _add(project, moved)
    changes.raised = sum(difference > 0 for difference in moved.values())
    changes.lowered = len(moved) - changes.raised
    changes.unchanged = len(asked) - len(moved)
    return changes


def raise_all(project: Project, comparisons: Iterable[int], points: int) -> None:
    """Moves ``comparisons`` forward by ``points``, or back by negative ones."""
    _add(project, dict.fromkeys(comparisons, points))


def _lock_waiting(project: Project, asked: Iterable[int]) -> set[int]:
    """Which of ``asked`` wait. All of them are locked, since others lose their points."""
    rows = Comparison.objects.filter(project=project, pk__in=asked)
    found = rows.locked_in_order().values_list("pk", "outcome", "gold_more_hallucinated")
    return {
        pk for pk, outcome, gold in found if (outcome, gold) == (Comparison.Outcome.WAITING, "")
    }


def _votes_for(comparisons: set[int]) -> Counter[tuple[int, int]]:
    """By comparison and response: counted votes by which that response is the better one."""
    rows = (
        Judgment.objects.filter(comparison__in=comparisons, surplus=False)
        .order_by()
        .values_list("comparison", "more_hallucinated", "more_helpful")
        .annotate(Count("pk"))
    )
    votes: Counter[tuple[int, int]] = Counter()
    for comparison, more_hallucinated, more_helpful, number in rows:
        if more_hallucinated != "tie":
            votes[comparison, 3 - int(more_hallucinated)] += number
        elif more_helpful in ("1", "2"):
            votes[comparison, int(more_helpful)] += number
    return votes


def _add(project: Project, moved: dict[int, int]) -> None:
    """Locks in the order of ids what is not locked yet."""
    if not moved:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH locked AS (
                SELECT id FROM annotation_comparison
                WHERE id = ANY(%(moved)s::bigint[]) AND project_id = %(project)s
                ORDER BY id FOR NO KEY UPDATE
            )
            UPDATE annotation_comparison AS comparison
            SET priority = greatest(
                %(lowest)s, least(%(highest)s, comparison.priority::bigint + change.points)
            )
            FROM locked JOIN unnest(%(moved)s::bigint[], %(points)s::integer[])
                AS change (id, points) USING (id)
            WHERE comparison.id = locked.id
            """,
            {
                **{"moved": list(moved), "points": list(moved.values()), "project": project.pk},
                **{"lowest": LOWEST, "highest": HIGHEST},
            },
        )
