"""The rows of a release without the votes of annotators who are not reliable enough."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import orjson

from annotation.models import Comparison
from annotation.preferences import Verdict, Votes, decide
from annotation.quality.reliability import dawid_skene

OUTCOMES = {
    Verdict.DECIDED: Comparison.Outcome.DECIDED,
    Verdict.EQUAL: Comparison.Outcome.UNDECIDED,
    Verdict.SPLIT: Comparison.Outcome.DISPUTED,
}


def reliable_votes(rows: Iterator[dict[str, Any]], minimum: float) -> Iterator[dict[str, Any]]:
    """The rows of an artefact, decided anew by the votes of those at or above ``minimum``.

    Reliability is estimated from these very rows, so that it belongs to the same moment. Every
    judgment says whether it was ``reliable``. Whoever never voted beside somebody else has no
    estimate and is kept. Rulings, imported labels and machines' votes stand.
    """
    with tempfile.TemporaryFile() as file:
        votes = []
        for number, row in enumerate(rows):
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            counted = (vote for vote in row["judgments"] if not vote["surplus"])
            votes += [(number, vote["annotator"], vote["more_hallucinated"]) for vote in counted]
        estimates = dawid_skene(votes)
        left_out = {who for who, found in estimates.items() if found.accuracy < minimum}
        file.seek(0)
        for line in file:
            yield _without(orjson.loads(line), left_out)


def _without(row: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    for vote in row["judgments"]:
        vote["reliable"] = vote["annotator"] not in left_out
    counted = [vote for vote in row["judgments"] if not vote["surplus"]]
    kept = [vote for vote in counted if vote["reliable"]]
    if len(kept) == len(counted) or "machine" in row:
        return row
    votes = Votes.count([(vote["more_hallucinated"], vote["more_helpful"]) for vote in kept])
    row["votes"] = votes.to_json()
    if row["adjudication"] or row["outcome"] == Comparison.Outcome.WAITING:
        return row
    found = decide(votes) if kept else None
    row["outcome"] = str(OUTCOMES[found.verdict] if found else Comparison.Outcome.DISPUTED)
    row["preference"] = found.better if found else None
    row["hallucination"] = found.hallucination if found else None
    row["margin"] = found.margin if found else None
    return row
