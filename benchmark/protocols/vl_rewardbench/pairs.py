"""VL-RewardBench: 1,250 questions about pictures with two responses and which one people prefer.

Ids repeat, so a pair is known by id, query and responses together. Groups go by the beginning of
the id, as the benchmark's own script has them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from annotation.reading.names import quoted
from benchmark.protocols import files
from benchmark.protocols.protocol import Refused

Group = Literal["general", "hallucination", "reasoning"]
GROUPS: tuple[Group, ...] = ("general", "hallucination", "reasoning")
_BEGINNINGS: tuple[tuple[str, Group], ...] = (
    ("RLAIF", "hallucination"),
    ("RLHF", "hallucination"),
    ("hallucination", "hallucination"),
    ("mathverse", "reasoning"),
    ("mmmu", "reasoning"),
)
A_PAIR = "a pair of responses"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two responses to one question; ``better`` is the place of the one that people prefer."""

    key: str
    id: str
    group: Group
    query: str
    responses: tuple[str, str]
    better: Literal[0, 1]
    image: str = ""


def group_of(pair_id: str) -> Group:
    """WildVision's and VLFeedback's questions, and all that are not named, are general."""
    return next((group for start, group in _BEGINNINGS if pair_id.startswith(start)), "general")


def key_of(pair_id: str, query: str, responses: Sequence[str]) -> str:
    """A digest of what makes a pair the pair that it is."""
    parts = json.dumps([pair_id, query, list(responses)], ensure_ascii=False)
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def load_pairs(path: str | Path) -> list[Pair]:
    """The pairs of the published file. Raises Refused, which names the line at fault."""
    found: dict[str, Pair] = {}
    for where, data in files.objects(path, A_PAIR):
        pair = _pair(data, where)
        if pair.key in found:
            raise Refused(f"{where}: the same pair stands there before")
        found[pair.key] = pair
    if not found:
        raise Refused(f"{Path(path).name}: holds no pair")
    return list(found.values())


def responses_of(data: dict[str, Any], where: str) -> tuple[str, str]:
    """The two responses, without the end token that some end in."""
    given = data.get("response", data.get("responses"))
    if not isinstance(given, list) or len(given) != 2 or not all(isinstance(g, str) for g in given):
        raise Refused(f"{where}: response is not a list of two texts")
    first, second = (text.removesuffix("</s>").rstrip() for text in given)
    return first, second


def record(pair: Pair) -> dict[str, Any]:
    """The pair in the fields that question sets are kept in."""
    return {
        "question_id": pair.id,
        "question_type": pair.group,
        "question_topic": "",
        "image_id": pair.image or pair.key,
        "image_src": pair.image,
        "image_content": [],
        "question": pair.query,
        "gt_answer": pair.responses[pair.better],
        "model_answer": "",
        "key": pair.key,
        "responses": list(pair.responses),
        "better": pair.better,
    }


def _pair(data: dict[str, Any], where: str) -> Pair:
    responses = responses_of(data, where)
    pair_id = "" if data.get("id") is None else str(data["id"])
    if not pair_id:
        raise Refused(f"{where}: id is missing")
    query = files.text(data, "query", where, A_PAIR).strip()
    ranking = data.get("human_ranking")
    if ranking not in ([0, 1], [1, 0]):
        raise Refused(f"{where}: human_ranking is {quoted(ranking)}, not [0, 1] or [1, 0]")
    image = data.get("image_path") or data.get("image") or ""
    return Pair(
        key=key_of(pair_id, query, responses),
        id=pair_id,
        group=group_of(pair_id),
        query=query,
        responses=responses,
        better=0 if ranking == [0, 1] else 1,
        image=image if isinstance(image, str) else "",
    )
