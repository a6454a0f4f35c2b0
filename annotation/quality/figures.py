"""Counts the judgments of a project once, for all pages that show what they amount to.

Counting reads every judgment, seconds for a project of a million comparisons. So the counts are
kept (WorkDay, Figures) with the moment they belong to: where counting is quick a page does it
itself, elsewhere it shows the last ones and a worker makes new ones. All of it can be made anew
from the judgments at any time.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import Count, Sum
from django.utils import timezone

from annotation.models import Assignment, Comparison, Figures, Judgment, Project, WorkDay
from annotation.models.figures import COUNTS
from annotation.progress import Progress, progress_of
from annotation.quality.agreement import agreement
from annotation.quality.reading_speed import Reading, reading
from annotation.quality.reliability import Reliability, dawid_skene
from annotation.quality.shares import Share
from config import wakeup

QUICK_SECONDS = 0.3
"""A page waits for counting that took no longer the last time."""
QUICK_JUDGMENTS = 5_000
"""The first time it waits for a project of at most so many judgments."""
FRESH_TIMES = 50
"""Otherwise counts are kept for so many times what making them took: at most 2 % of the time."""
GUESSING = 0.5
"""Right on gold by naming either response at random."""
MOST_VOTES = 200_000
"""Reliability is estimated from the newest so many votes."""

COUNTS_TOGETHER = """
    NOT judgment.surplus AND comparison.gold_more_hallucinated = ''
    AND comparison.outcome <> 'retired'
"""
"""Votes that are held beside those of others, and from which reliability is estimated: those that
a release would have, so that a project and its release say one figure. What has become gold since
was often chosen for its agreement, and what is taken out for the want of it."""

COLUMNS = {
    "answers": "kind = 'answer'",
    "skipped": "kind = 'skip'",
    "ties": "said = 'tie'",
    "timed": "active_seconds IS NOT NULL",
    "gold": "purpose = 'gold'",
    "gold_right": "purpose = 'gold' AND said = known",
    "repeats": "before IS NOT NULL",
    "repeats_same": "before = said",
    "named": "said IN ('1', '2')",
    "named_first": "said = shown_first::text",
    "unequal": "said IN ('1', '2') AND length_1 <> length_2",
    # The worse one is named, so the other is favoured.
    "longer": "(said = '2' AND length_1 > length_2) OR (said = '1' AND length_2 > length_1)",
}
"""What each whole number of a WorkDay counts, over the rows of ACTS."""

ACTS = f"""
    SELECT 'answer' AS kind, work.annotator_id, work.purpose, work.shown_first,
           (judgment.created_at AT TIME ZONE %(zone)s)::date AS day,
           judgment.active_seconds, judgment.more_hallucinated AS said,
           comparison.gold_more_hallucinated AS known,
           length(comparison.response_1) AS length_1, length(comparison.response_2) AS length_2,
           CASE WHEN {COUNTS_TOGETHER} THEN count(*) FILTER (WHERE NOT judgment.surplus)
                OVER (PARTITION BY judgment.comparison_id) - 1 END AS others,
           CASE WHEN {COUNTS_TOGETHER} THEN count(*) FILTER (WHERE NOT judgment.surplus)
                OVER (PARTITION BY judgment.comparison_id, judgment.more_hallucinated) - 1
                END AS alike,
           CASE WHEN work.purpose = 'repeat' THEN (
               SELECT original.more_hallucinated FROM annotation_assignment AS first
               JOIN annotation_judgment AS original ON original.assignment_id = first.id
               WHERE first.comparison_id = work.comparison_id
                 AND first.annotator_id = work.annotator_id AND first.purpose = 'work'
           ) END AS before
    FROM annotation_assignment AS work
    JOIN annotation_judgment AS judgment ON judgment.assignment_id = work.id
    JOIN annotation_comparison AS comparison ON comparison.id = judgment.comparison_id
    WHERE work.project_id = %(project)s AND work.state = 'judged'
    UNION ALL
    SELECT 'skip', annotator_id, purpose, NULL, (ended_at AT TIME ZONE %(zone)s)::date,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM annotation_assignment WHERE project_id = %(project)s AND state = 'skipped'
"""

# Only rows that changed are written, so that counting again costs no disk.
COUNT_DAYS = """
WITH fresh AS MATERIALIZED (
    SELECT annotator_id, day, coalesce(sum(active_seconds), 0) AS active_seconds,
           coalesce(sum(others), 0) AS paired, coalesce(sum(alike), 0) AS agreed, {counts}
    FROM ({acts}) AS acts
    GROUP BY annotator_id, day
), gone AS (
    DELETE FROM annotation_workday AS kept
    WHERE kept.project_id = %(project)s AND NOT EXISTS (
        SELECT 1 FROM fresh WHERE fresh.annotator_id = kept.annotator_id AND fresh.day = kept.day
    )
)
INSERT INTO annotation_workday AS kept (project_id, annotator_id, day, {columns})
SELECT %(project)s, annotator_id, day, {columns} FROM fresh
ON CONFLICT (project_id, day, annotator_id) DO UPDATE SET ({columns}) = ROW ({excluded})
WHERE ({kept}) IS DISTINCT FROM ({excluded})
"""

# Weeks have their own comparisons: each belongs to the week of its first vote. Annotators have
# all that they voted on, with the votes of the others.
COUNT_KINDS = f"""
WITH judged AS MATERIALIZED (
    SELECT date_trunc('week', min(judgment.created_at) AT TIME ZONE %(zone)s)::date AS week,
           array_agg(judgment.more_hallucinated ORDER BY judgment.more_hallucinated) AS answers,
           array_agg(work.annotator_id) AS people
    FROM annotation_assignment AS work
    JOIN annotation_judgment AS judgment ON judgment.assignment_id = work.id
    JOIN annotation_comparison AS comparison ON comparison.id = judgment.comparison_id
    WHERE work.project_id = %(project)s AND {COUNTS_TOGETHER}
    GROUP BY judgment.comparison_id
    HAVING count(*) > 1
)
SELECT week, NULL AS annotator, answers, count(*) FROM judged GROUP BY week, answers
UNION ALL
SELECT NULL, annotator, answers, count(*) FROM judged, unnest(people) AS annotator
GROUP BY annotator, answers
"""

# Whoever has answered here is asked like annotators are. A lease that ran out may come again, and a
# study brings new people while it goes on.
NOBODY_LEFT = """
WITH people AS MATERIALIZED (
    SELECT membership.user_id
    FROM annotation_membership AS membership
    JOIN annotation_user AS person ON person.id = membership.user_id
    WHERE membership.project_id = %(project)s AND NOT membership.paused
      AND person.is_active AND NOT person.is_participant
      AND (membership.role = 'annotator' OR EXISTS (
          SELECT FROM annotation_assignment AS own
          WHERE own.project_id = membership.project_id AND own.annotator_id = membership.user_id
      ))
)
SELECT count(*) FROM (
    SELECT comparison.id
    FROM annotation_comparison AS comparison
    JOIN annotation_assignment AS had ON had.comparison_id = comparison.id
    JOIN people ON people.user_id = had.annotator_id
    WHERE comparison.project_id = %(project)s AND comparison.open_slots > 0
      AND comparison.gold_more_hallucinated = ''
      AND had.state <> 'expired' AND NOT (had.purpose = 'repeat')
    GROUP BY comparison.id
    HAVING count(*) = (SELECT count(*) FROM people)
) AS without_anybody
"""


def current(project: Project) -> Figures:
    """The counts to show now; without ``as_of`` where they are still to be made."""
    kept, _ = Figures.objects.get_or_create(project=project)
    if _quick(kept):
        return refresh(project)
    age = (timezone.now() - kept.as_of).total_seconds() if kept.as_of else None
    stale = age is None or age > FRESH_TIMES * kept.cost_seconds
    # One announcement at a time; it may be lost, and then a later page makes another.
    if stale and cache.add(f"annotation.quality.figures.{project.pk}", True, 60):
        wakeup.after_commit("annotation.tasks.refresh_figures", project.pk)
    return kept


def _quick(kept: Figures) -> bool:
    if kept.as_of is not None:
        return kept.cost_seconds <= QUICK_SECONDS
    judged = Judgment.objects.filter(assignment__project=kept.project_id)
    return judged[: QUICK_JUDGMENTS + 1].count() <= QUICK_JUDGMENTS


def refresh(project: Project) -> Figures:
    """Counts anew; while somebody else does the same, theirs are waited for and taken."""
    asked = timezone.now()
    Figures.objects.get_or_create(project=project)
    with transaction.atomic():
        kept = Figures.objects.select_for_update().get(project=project)
        if kept.as_of is not None and kept.as_of >= asked:
            return kept
        began = time.monotonic()
        kept.as_of = timezone.now()
        _count_days(project)
        kept.data = _data(project)
        kept.cost_seconds = time.monotonic() - began
        kept.save()
    return kept


def _count_days(project: Project) -> None:
    columns = ["active_seconds", *COUNTS]
    counts = ", ".join(
        f"count(*) FILTER (WHERE {condition}) AS {name}" for name, condition in COLUMNS.items()
    )
    statement = COUNT_DAYS.format(
        acts=ACTS,
        counts=counts,
        columns=", ".join(columns),
        kept=", ".join(f"kept.{name}" for name in columns),
        excluded=", ".join(f"excluded.{name}" for name in columns),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, _values(project))


def _values(project: Project) -> dict[str, Any]:
    return {"project": project.pk, "zone": settings.TIME_ZONE}


def _data(project: Project) -> dict[str, Any]:
    kinds: Counter[tuple[str, ...]] = Counter()
    weeks: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    people: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    with connection.cursor() as cursor:
        cursor.execute(COUNT_KINDS, _values(project))
        for week, annotator, answers, number in cursor.fetchall():
            if annotator is not None:
                people[str(annotator)][tuple(answers)] += number
                continue
            kinds[tuple(answers)] += number
            weeks[week.isoformat()][tuple(answers)] += number
    return {
        "progress": asdict(progress_of(project)),
        "agreement": agreement(kinds),
        "weeks": [{"week": week, **agreement(weeks[week])} for week in sorted(weeks)],
        "people": {who: agreement(counted) for who, counted in people.items()},
        "readings": {str(who): asdict(one) for who, one in reading(project).items()},
        "gold_right_surely": _gold_right_surely(project),
        "reliabilities": {str(who): asdict(one) for who, one in _reliabilities(project).items()},
        "skips": _skips(project),
        "nobody_left": _nobody_left(project),
        "settled": _settled(project),
    }


def _reliabilities(project: Project) -> dict[int, Reliability]:
    votes = (
        Judgment.objects.filter(assignment__project=project, surplus=False)
        .filter(comparison__gold_more_hallucinated="")
        .exclude(comparison__outcome=Comparison.Outcome.RETIRED)
        .order_by("-pk")
        .values_list("comparison_id", "assignment__annotator_id", "more_hallucinated")
    )
    return dawid_skene(votes[:MOST_VOTES])


def _gold_right_surely(project: Project) -> list[int]:
    """User ids of those whose answers to gold comparisons are surely better than guesses."""
    days = WorkDay.objects.filter(project=project).order_by().values("annotator")
    sums = days.annotate(right=Sum("gold_right"), whole=Sum("gold"))
    return [
        row["annotator"] for row in sums if Share(row["right"], row["whole"]).interval[0] > GUESSING
    ]


def _skips(project: Project) -> dict[str, int]:
    skipped = Assignment.objects.filter(project=project, state=Assignment.State.SKIPPED)
    return dict(skipped.order_by().values_list("skip_reason").annotate(Count("pk")))


def _nobody_left(project: Project) -> int:
    """How many comparisons wait for answers although everybody here has had them."""
    if project.studies.filter(ended_at__isnull=True).exists():
        return 0
    with connection.cursor() as cursor:
        cursor.execute(NOBODY_LEFT, _values(project))
        return int(cursor.fetchone()[0])


def _settled(project: Project) -> dict[str, int]:
    """How many comparisons people have settled by votes, and with how many votes beyond k."""
    usual = project.judgments_per_comparison
    settled = Comparison.objects.filter(
        project=project,
        gold_more_hallucinated="",
        judgment_count__gte=usual,
        asked_judgments__isnull=True,
    ).exclude(outcome__in=[Comparison.Outcome.WAITING, Comparison.Outcome.RETIRED])
    by_votes = settled.order_by().values_list("judgment_count").annotate(Count("pk"))
    rows = list(by_votes)
    return {
        "comparisons": sum(number for _, number in rows),
        "more_votes": sum((votes - usual) * number for votes, number in rows),
    }


def progress(figures: Figures) -> Progress:
    """How far the project was at the moment of ``figures``; now, before the first count."""
    if "progress" not in figures.data:
        return progress_of(figures.project)
    return Progress(**figures.data["progress"])


def agreements(figures: Figures) -> dict[int, dict[str, Any]]:
    """By user id, ``quality.agreement`` of the comparisons that somebody else voted on too."""
    return {int(who): found for who, found in figures.data.get("people", {}).items()}


def readings(figures: Figures) -> dict[int, Reading]:
    """By user id, how fast they went through the responses."""
    return {int(who): Reading(**one) for who, one in figures.data.get("readings", {}).items()}


def reliabilities(figures: Figures) -> dict[int, Reliability]:
    """By user id (Dawid-Skene)."""
    found = figures.data.get("reliabilities", {})
    return {int(who): Reliability(**one) for who, one in found.items()}
