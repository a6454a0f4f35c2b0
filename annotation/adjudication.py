"""Disputed comparisons, and a reviewer's word on them.

The votes gave no majority at the project's maximum. A reviewer sees what people voted and noted,
but neither who they are nor which models wrote the responses; the ruling stands above the votes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from annotation.answers import Answer
from annotation.errors import DomainError
from annotation.models import Adjudication, Comparison, Project, User
from annotation.preferences import settle


class NotDisputed(DomainError):
    status = 409
    title = "The comparison is not disputed"


class RuledDifferently(DomainError):
    status = 409
    title = "Another ruling stands"


@dataclass(frozen=True, kw_only=True)
class AnonymousVote:
    """One counted judgment without its person."""

    more_hallucinated: str
    more_helpful: str
    confidence: int | None
    note: str
    spans: list[dict[str, Any]]
    corrections: list[dict[str, Any]]


def disputed(project: Project) -> QuerySet[Comparison]:
    """The comparisons that wait for a ruling, oldest first."""
    rows = project.comparisons.filter(outcome=Comparison.Outcome.DISPUTED)
    return rows.select_related("project", "prompt__image").order_by("pk")


def anonymous_votes(comparison: Comparison) -> list[AnonymousVote]:
    """The counted votes; in an order that says nothing about who came first."""
    rows = comparison.judgments.filter(surplus=False).order_by(
        "more_hallucinated", "more_helpful", "note", "pk"
    )
    names = tuple(AnonymousVote.__dataclass_fields__)
    return [AnonymousVote(**values) for values in rows.values(*names)]


def rule(comparison: Comparison, reviewer: User, answer: Answer) -> Adjudication:
    """Settles a disputed comparison; the same ruling sent again is the same act.

    Raises InvalidAnswer, NotDisputed, and RuledDifferently when somebody was faster.
    """
    with transaction.atomic():
        rows = Comparison.objects.select_related("project")
        locked = rows.select_for_update(of=("self",), no_key=True).get(pk=comparison.pk)
        answer.check(locked.project, locked)
        before = Adjudication.objects.filter(comparison=locked).first()
        if before is not None:
            if (before.more_hallucinated, before.more_helpful) != _choices(answer):
                raise RuledDifferently("Somebody has ruled on this comparison meanwhile.")
            return before
        if locked.outcome != Comparison.Outcome.DISPUTED:
            raise NotDisputed(
                "Its votes gave a majority, more votes are on their way, or a manager took it out."
            )
        ruling = Adjudication.objects.create(
            comparison=locked,
            adjudicator=reviewer,
            more_hallucinated=answer.more_hallucinated,
            more_helpful=answer.more_helpful,
            note=answer.note,
        )
        settle(locked)
    return ruling


def _choices(answer: Answer) -> tuple[str, str]:
    return answer.more_hallucinated, answer.more_helpful
