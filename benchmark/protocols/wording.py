"""What an endpoint is asked about one answer, and what its reply says: one place per protocol.

A rating is one request. A comparison with a reference answer is two, one per order, since judges
favour the answer that they read first; ``Item.order`` is empty for a rating.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmark.protocols import llava_bench, mmhal

RATING = ""
Pair = llava_bench.Pair


@dataclass(frozen=True, kw_only=True)
class Item:
    """One request to a judge; ``id`` is the caller's."""

    id: int
    question: dict[str, Any]
    """The question's record as its question set keeps it."""
    answer: str
    order: str = RATING


@dataclass(frozen=True)
class Reading:
    """What a reply says: a rating, or the scores (reference, model); at most one of them."""

    rating: int | None = None
    scores: Pair | None = None

    @property
    def clear(self) -> bool:
        return self.rating is not None or self.scores is not None


def messages(item: Item) -> list[dict[str, str]]:
    """The chat messages of one request."""
    if item.order:
        return llava_bench.judge_messages(item.question, item.answer, item.order)
    return mmhal.judge_messages(mmhal.Question.from_json(item.question), item.answer)


def read(item: Item, text: str, *, mode: mmhal.Mode) -> Reading:
    """The reply to ``messages(item)``. Scores are read carefully in both modes: the published
    rule turns what it cannot read into -1, which is no score."""
    if not item.order:
        return Reading(rating=mmhal.parse_rating(text, mode=mode))
    pair = llava_bench.parse_scores(text)
    if pair is not None and item.order == "model_first":
        pair = (pair[1], pair[0])
    return Reading(scores=pair)
