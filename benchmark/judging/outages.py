"""A judge that does not answer: why, since when, and when it is asked again.

For the page of an evaluation alone: kept in the cache, and gone by itself some time after the try
that was announced. What became of each question stands in its verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache
from django.utils import timezone

from benchmark.models import Evaluation

OUTLIVES = timedelta(minutes=5)


@dataclass(frozen=True)
class Absence:
    reason: str
    since: datetime
    asked_at: datetime
    next_at: datetime


def note(evaluation: Evaluation, reason: str, seconds: float) -> None:
    """A question got no usable reply, and is asked again in so many seconds."""
    now = timezone.now()
    before = of(evaluation)
    next_at = now + timedelta(seconds=seconds)
    told = Absence(reason[:300], before.since if before else now, now, next_at)
    cache.set(_key(evaluation), told, (next_at - now + OUTLIVES).total_seconds())


def over(evaluation: Evaluation) -> None:
    """It answers again."""
    cache.delete(_key(evaluation))


def of(evaluation: Evaluation) -> Absence | None:
    found: Absence | None = cache.get(_key(evaluation))
    return found


def _key(evaluation: Evaluation) -> str:
    return f"benchmark.judge_away.{evaluation.pk}"
