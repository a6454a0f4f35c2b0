"""Gold and mirrored repeats: what measures annotators without their noticing.

A check stands in for work, drawn at the project's rates: the lease is one on work, holds its place,
comes back or is lost as it would be, and only shows something else. Its judgment does not count, so
it changes nothing about the comparison it shows.
"""

from __future__ import annotations

import random
from typing import Any

from django.db import connection, transaction

from annotation.errors import DomainError
from annotation.models import Assignment, Comparison, Judgment, Membership, Project, User
from annotation.models.projects import Role
from annotation.models.work import Choice
from annotation.preferences import Votes, decide, settle

REPEAT_AFTER = 10
"""Answers between a comparison and its repeat, so that nobody remembers the one by the other."""
REPEAT_AMONG = 200
FEWEST_UNANIMOUS = 2
PAUSE_DECIDED_EVERY = 20
"""Answers of a person, of whatever kind, after which it is decided whether they are paused."""


class NotGold(DomainError):
    status = 422
    title = "This cannot be a gold comparison"


STAND_IN = """
WITH candidate AS ({candidate})
UPDATE annotation_assignment AS assignment
SET shows_id = candidate.comparison_id, shows_as = %(purpose)s, shown_first = candidate.shown_first
FROM candidate
WHERE assignment.id = %(assignment)s
"""

# A project has few gold comparisons, which its own small index finds. Those of the quiz and of the
# guidelines measure nobody: their answers are told.
GOLD = """
    SELECT comparison.id AS comparison_id, %(shown_first)s AS shown_first
    FROM annotation_comparison AS comparison
    WHERE comparison.project_id = %(project)s
      AND NOT (comparison.gold_more_hallucinated = '')
      AND NOT EXISTS (
          SELECT 1 FROM annotation_quizquestion AS asked
          WHERE asked.comparison_id = comparison.id
      )
      AND NOT EXISTS (
          SELECT 1 FROM annotation_workedexample AS shown
          WHERE shown.comparison_id = comparison.id
      )
      AND NOT EXISTS (
          SELECT 1 FROM annotation_assignment AS had
          WHERE had.comparison_id = comparison.id AND had.annotator_id = %(annotator)s
      )
      AND NOT EXISTS (
          SELECT 1 FROM annotation_assignment AS pending
          WHERE pending.shows_id = comparison.id AND pending.annotator_id = %(annotator)s
      )
    ORDER BY random()
    LIMIT 1
"""

# Of a person's answers, some time ago and not for ever ago, one that was not asked again.
REPEAT = """
    SELECT own.comparison_id, 3 - own.shown_first AS shown_first
    FROM (
        SELECT comparison_id, shown_first, purpose FROM annotation_assignment
        WHERE annotator_id = %(annotator)s AND project_id = %(project)s AND state = 'judged'
        ORDER BY ended_at DESC
        OFFSET %(after)s LIMIT %(among)s
    ) AS own
    WHERE own.purpose = 'work' AND NOT EXISTS (
        SELECT 1 FROM annotation_assignment AS again
        WHERE again.comparison_id = own.comparison_id AND again.annotator_id = %(annotator)s
          AND again.purpose = 'repeat'
    ) AND NOT EXISTS (
        SELECT 1 FROM annotation_assignment AS pending
        WHERE pending.shows_id = own.comparison_id AND pending.annotator_id = %(annotator)s
    ) AND NOT EXISTS (
        SELECT 1 FROM annotation_comparison AS retired
        WHERE retired.id = own.comparison_id AND retired.outcome = 'retired'
    )
    ORDER BY random()
    LIMIT 1
"""


def stand_in(project: Project, annotator: User, assignment_id: int) -> None:
    """Has a new lease on work show a check instead, as often as the project's rates say.

    The lease goes on holding its place, so that whatever happens to it meanwhile happens to a
    check as it does to work. The caller holds the person's row locked.
    """
    if project.gold_rate + project.repeat_rate <= 0:
        return
    draw = random.random()
    if draw < project.gold_rate:
        purpose, candidate = Assignment.Purpose.GOLD, GOLD
    elif draw < project.gold_rate + project.repeat_rate:
        purpose, candidate = Assignment.Purpose.REPEAT, REPEAT
    else:
        return
    values: dict[str, Any] = {
        "project": project.pk,
        "annotator": annotator.pk,
        "assignment": assignment_id,
        "purpose": str(purpose),
        "shown_first": random.choice((1, 2)),
        "after": REPEAT_AFTER,
        "among": REPEAT_AMONG,
    }
    with connection.cursor() as cursor:
        cursor.execute(STAND_IN.format(candidate=candidate), values)


def shown_by(assignment: Assignment, comparison: Comparison) -> Comparison:
    """What the annotator sees; ``comparison`` is the one of whose places the lease holds one."""
    return assignment.shows or comparison


def take_its_place(assignment: Assignment, comparison: Comparison) -> None:
    """The answered or skipped check becomes what the assignment is about; its place is free again.

    For a locked assignment that holds a place of the locked ``comparison`` while it is open. Does
    nothing to work.
    """
    if assignment.shows is None:
        return
    if assignment.state == Assignment.State.OPEN:
        comparison.give_slot_back()
        comparison.save(update_fields=["open_slots", "wanted_judgments"])
    shown, purpose = assignment.shows, assignment.shows_as
    had = Assignment.objects.filter(comparison=shown, annotator=assignment.annotator_id)
    if purpose == Assignment.Purpose.GOLD and had.exists():
        # It was withdrawn, and handed to this person as work, while the lease showed it.
        purpose = Assignment.Purpose.REPEAT
    assignment.comparison, assignment.purpose = shown, purpose
    assignment.shows, assignment.shows_as = None, ""
    assignment.save(update_fields=["comparison", "purpose", "shows", "shows_as"])


def make_gold(comparison: Comparison, *, more_hallucinated: str, explanation: str = "") -> None:
    """States the known answer. From now on the comparison measures people and is no preference.

    Raises NotGold for an answer that is none, and for what is taken out. Answers under way are
    kept, as votes that decide nothing.
    """
    if more_hallucinated not in Choice.values:
        raise NotGold("the answer must be 1, 2 or tie", field="more_hallucinated")
    with transaction.atomic():
        locked = Comparison.objects.select_for_update(no_key=True).get(pk=comparison.pk)
        if locked.outcome == Comparison.Outcome.RETIRED:
            raise NotGold("It is taken out; bring it back first.")
        helpful = "tie" if more_hallucinated == "tie" else ""
        known = decide(Votes.count([(more_hallucinated, helpful)]))
        locked.gold_more_hallucinated = more_hallucinated
        locked.gold_explanation = explanation
        decided = known.better is not None
        locked.outcome = Comparison.Outcome.DECIDED if decided else Comparison.Outcome.UNDECIDED
        locked.preference, locked.hallucination = known.better, known.hallucination
        locked.margin = known.margin
        locked.machine_vote = ""
        locked.wanted_judgments -= locked.open_slots
        locked.open_slots = 0
        locked.save()
    comparison.refresh_from_db()


def withdraw_gold(comparison: Comparison) -> None:
    """Makes a gold comparison work again, decided by its votes.

    Raises NotGold while the guidelines show it with its answer.
    """
    with transaction.atomic():
        rows = Comparison.objects.select_related("project")
        locked = rows.select_for_update(of=("self",), no_key=True).get(pk=comparison.pk)
        if not locked.is_gold:
            return
        if locked.worked_examples.filter(removed_in__isnull=True).exists():
            raise NotGold("It is an example in the guidelines; take it out of them first.")
        locked.gold_more_hallucinated = locked.gold_explanation = ""
        locked.save(update_fields=["gold_more_hallucinated", "gold_explanation"])
        settle(locked)
    comparison.refresh_from_db()


def promote_unanimous(project: Project, *, most: int) -> int:
    """Makes gold of up to ``most`` comparisons that all found the same about; how many.

    They leave the preferences of later releases: what measures people must not train models.
    """
    unanimous = project.comparisons.filter(
        outcome=Comparison.Outcome.DECIDED,
        hallucination=True,
        margin=1.0,
        judgment_count__gte=FEWEST_UNANIMOUS,
        gold_more_hallucinated="",
        machine_vote="",
    ).order_by("-judgment_count", "shuffle")
    chosen = list(unanimous[:most])
    for comparison in chosen:
        worse = str(3 - int(comparison.preference or 0))
        make_gold(comparison, more_hallucinated=worse, explanation="Everybody agreed.")
    return len(chosen)


def below_bar(project: Project, annotator_id: int) -> Membership | None:
    """The membership of an annotator whose last gold answers are below the project's bar.

    Asked after each of their answers, it looks after every PAUSE_DECIDED_EVERY-th only, so that
    the moment of a pause tells none of them from the others.
    """
    fresh = Project.objects.get(pk=project.pk)
    if fresh.pause_below <= 0 or _answers(fresh, annotator_id) % PAUSE_DECIDED_EVERY:
        return None
    answers = Judgment.objects.filter(
        assignment__project=fresh, assignment__annotator=annotator_id, assignment__purpose="gold"
    ).order_by("-created_at", "-id")
    last = answers.values_list("more_hallucinated", "comparison__gold_more_hallucinated")
    right = [given == known for given, known in last[: fresh.pause_after]]
    if len(right) < fresh.pause_after or sum(right) / len(right) >= fresh.pause_below:
        return None
    return Membership.objects.filter(
        project=fresh, user=annotator_id, role=Role.ANNOTATOR, paused=False
    ).first()


def _answers(project: Project, annotator_id: int) -> int:
    mine = Assignment.objects.filter(project=project, annotator=annotator_id)
    return mine.filter(state=Assignment.State.JUDGED).count()
