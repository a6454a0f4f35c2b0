"""Whether answers came faster than the responses can be read.

A comparison asks for both responses to be read. Adults read 238 words a minute silently (Brysbaert
2019, a meta-analysis), hardly anybody more than 400 with understanding (Rayner et al. 2016). The
limit here is far above both, so that nobody is accused who knows the text or reads diagonally.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from annotation.models import Judgment, Project
from annotation.texts import word_count

WORDS_A_SECOND = 10.0
"""600 words a minute: beyond it the responses were not read."""
LEAST_SECONDS = 0.1
MOST_ANSWERS = 10_000
"""Of the newest so many timed answers: reading all texts of a large project takes minutes."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How fast one annotator, or all together, went through the responses."""

    timed: int
    """Answers whose active time is known, of the newest MOST_ANSWERS of the project."""
    too_fast: int
    words_a_second: float
    """Median over those answers: words of both responses / active seconds."""


def reading(project: Project) -> dict[int, Reading]:
    """By user id; without those none of whose answers was timed."""
    rows = (
        Judgment.objects.filter(assignment__project=project, active_seconds__gte=0)
        .order_by("-pk")
        .values_list(
            "assignment__annotator_id",
            "active_seconds",
            "comparison__response_1",
            "comparison__response_2",
        )
    )
    speeds: dict[int, list[float]] = defaultdict(list)
    for who, seconds, first, second in rows[:MOST_ANSWERS].iterator():
        words = word_count(first) + word_count(second)
        speeds[who].append(words / max(seconds or 0.0, LEAST_SECONDS))
    return {who: _reading(found) for who, found in speeds.items()}


def together(readings: Iterable[Reading]) -> Reading | None:
    """Of a whole project; its median is that of the people, each weighted by their answers."""
    found = sorted(readings, key=lambda one: one.words_a_second)
    timed = sum(one.timed for one in found)
    if not timed:
        return None
    seen, middle = 0, found[-1].words_a_second
    for one in found:
        seen += one.timed
        if seen * 2 >= timed:
            middle = one.words_a_second
            break
    too_fast = sum(one.too_fast for one in found)
    return Reading(timed=timed, too_fast=too_fast, words_a_second=middle)


def _reading(speeds: list[float]) -> Reading:
    return Reading(
        timed=len(speeds),
        too_fast=sum(speed > WORDS_A_SECOND for speed in speeds),
        words_a_second=median(speeds),
    )
