"""The comparisons of a project with their votes, as one statement saw them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import JSONObject

from annotation.models import Adjudication, Comparison, Judgment, MachineLabel, Project
from annotation.preferences import Votes

ROWS_AT_ONCE = 1000
OPTIONAL = ("imported_marks", "imported_corrections")
"""Members of a row that has them, and no members of one that has not."""


def snapshot(project: Project) -> Iterator[dict[str, Any]]:
    """Comparisons that have votes or a preference, as one statement saw them."""
    judgments = (
        Judgment.objects.filter(comparison=OuterRef("pk"), assignment__purpose="work")
        .order_by("assignment__annotator__pseudonym")
        .values(
            json=JSONObject(
                annotator="assignment__annotator__pseudonym",
                shown_first="assignment__shown_first",
                leased_at="assignment__leased_at",
                created_at="created_at",
                more_hallucinated="more_hallucinated",
                more_helpful="more_helpful",
                spans="spans",
                corrections="corrections",
                confidence="confidence",
                note="note",
                active_seconds="active_seconds",
                surplus="surplus",
                version="version",
            )
        )
    )
    rulings = Adjudication.objects.filter(comparison=OuterRef("pk")).values(
        json=JSONObject(
            adjudicator="adjudicator__pseudonym",
            more_hallucinated="more_hallucinated",
            more_helpful="more_helpful",
        )
    )
    machines = MachineLabel.objects.filter(comparison=OuterRef("pk"), stands=True).values(
        json=JSONObject(
            labelling="labelling__number",
            name="labelling__machine_name",
            more_hallucinated="more_hallucinated",
            confidence="confidence",
        )
    )
    judged = Exists(Judgment.objects.filter(comparison=OuterRef("pk")))
    told = ~Q(outcome=Comparison.Outcome.WAITING) | judged
    comparisons = (
        Comparison.objects.filter(told, project=project, gold_more_hallucinated="")
        .exclude(outcome=Comparison.Outcome.RETIRED)
        .order_by("external_id")
        .values(
            "external_id",
            "response_1",
            "response_2",
            "model_1",
            "model_2",
            "source",
            "outcome",
            "preference",
            "hallucination",
            "margin",
            "imported_votes",
            *OPTIONAL,
            "machine_vote",
            prompt_external_id=F("prompt__external_id"),
            conversation=F("prompt__conversation"),
            captions=F("prompt__captions"),
            caption_type=F("prompt__caption_type"),
            length_bonus=F("prompt__length_bonus"),
            image_sha256=F("prompt__image__sha256"),
            image_format=F("prompt__image__format"),
            judgments_json=ArraySubquery(judgments),
            rulings_json=ArraySubquery(rulings),
            machines_json=ArraySubquery(machines),
        )
    )
    for found in comparisons.iterator(chunk_size=ROWS_AT_ONCE):
        yield _row(dict(found))


def _row(found: dict[str, Any]) -> dict[str, Any]:
    judgments = found.pop("judgments_json")
    rulings = found.pop("rulings_json")
    optional = {name: found.pop(name) for name in OPTIONAL}
    for judgment in judgments:
        if not judgment["corrections"]:
            del judgment["corrections"]
    imported_votes = found.pop("imported_votes")
    machines, by_machine = found.pop("machines_json"), bool(found.pop("machine_vote"))
    extension = {"png": "png", "jpeg": "jpg"}[found.pop("image_format")]
    sha256 = found.pop("image_sha256")
    counted = [(j["more_hallucinated"], j["more_helpful"]) for j in judgments if not j["surplus"]]
    decided = found["outcome"] == Comparison.Outcome.DECIDED
    imported = decided and not counted and not rulings and not by_machine
    # Only where there is one: a release of people alone stays the bytes that it was.
    machine = {"machine": machines[0]} if by_machine and machines else {}
    return {
        **machine,
        **found,
        **{name: value for name, value in optional.items() if value},
        "image": {"sha256": sha256, "name": f"{sha256}.{extension}"},
        "imported": imported,
        "votes": imported_votes if imported else Votes.count(counted).to_json(),
        "judgments": judgments,
        "adjudication": rulings[0] if rulings else None,
    }
