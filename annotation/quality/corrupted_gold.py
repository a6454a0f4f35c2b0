"""Gold from verified responses: one that people found better, beside itself with one thing wrong.

That people preferred a response does not make it right. The manager who looks at the draft beside
the image verifies both: that the response is right, and that what was changed makes it wrong.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from annotation.gold_and_repeats import NotGold
from annotation.importing.record_writer import comparison_sha256
from annotation.importing.records import digest
from annotation.models import Comparison, Project
from annotation.quality.corruption import Corruption, corruptions
from annotation.texts import LONGEST_TEXT
from config.sanitising import is_storable

SOURCE = "corrupted "
MOST_LOOKED_AT = 50
"""Comparisons read in search of one whose response the rules can change."""


def candidates(project: Project) -> QuerySet[Comparison]:
    """Comparisons decided without a dissenting vote that have made no gold yet."""
    made = project.comparisons.filter(source__startswith=SOURCE).values("source")
    decided = project.comparisons.filter(
        outcome=Comparison.Outcome.DECIDED,
        margin=1.0,
        gold_more_hallucinated="",
        machine_vote="",
    )
    return decided.exclude(external_id__in=[row["source"][len(SOURCE) :] for row in made])


def next_draft(
    project: Project, *, after: int = 0, kind: str = ""
) -> tuple[Comparison, list[Corruption]] | None:
    """The first candidate behind key ``after`` that the rules can change (in ``kind``)."""
    rows = candidates(project).filter(pk__gt=after).select_related("prompt__image").order_by("pk")
    for comparison in rows[:MOST_LOOKED_AT]:
        found = drafts(comparison)
        if any(not kind or one.kind == kind for one in found):
            return comparison, found
    return None


def drafts(comparison: Comparison) -> list[Corruption]:
    """The same ones each time."""
    facts = [fact for fact in comparison.prompt.captions if isinstance(fact, str)]
    return corruptions(better_response(comparison), facts=facts, seed=comparison.pk)


def better_response(comparison: Comparison) -> str:
    return comparison.response_1 if comparison.preference == 1 else comparison.response_2


def make_corrupted(
    comparison: Comparison, text: str, *, explanation: str = ""
) -> tuple[Comparison, bool]:
    """A gold comparison of the better response with ``text``; and whether it is new.

    ``text`` is what the manager made of a draft. Which of the two comes first follows from the
    texts, so that making it twice makes it once. Raises NotGold, naming the field.
    """
    right = better_response(comparison)
    if comparison.preference is None or comparison.is_gold:
        raise NotGold("the comparison has no better response", field="comparison")
    if not text.strip() or text.strip() == right.strip():
        raise NotGold("the text must differ from the verified response", field="text")
    if len(text) > LONGEST_TEXT or not is_storable(text):
        raise NotGold("the text cannot be stored", field="text")
    key = digest(comparison.content_sha256, text)
    wrong = 1 + int(key[:8], 16) % 2
    responses = (text, right) if wrong == 1 else (right, text)
    fields: dict[str, Any] = {
        "prompt": comparison.prompt,
        "response_1": responses[0],
        "response_2": responses[1],
        "source": f"{SOURCE}{comparison.external_id}"[:200],
        "content_sha256": comparison_sha256(comparison.prompt, *responses),
        "wanted_judgments": 0,
        "open_slots": 0,
        "outcome": Comparison.Outcome.DECIDED,
        "preference": 3 - wrong,
        "hallucination": True,
        "margin": 1.0,
        "gold_more_hallucinated": str(wrong),
        "gold_explanation": explanation,
    }
    with transaction.atomic():
        return Comparison.objects.get_or_create(
            project=comparison.project,
            external_id=f"{comparison.external_id[:160]} {key[:16]}",
            defaults=fields,
        )
