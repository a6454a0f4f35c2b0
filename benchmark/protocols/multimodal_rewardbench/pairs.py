"""Multimodal RewardBench's pairs, as its script leaves them (arXiv 2502.14191).

What is published holds no questions and no pictures of others' data sets; the authors' script fills
them in and writes ``all_data.json``. A pair without its question is refused with that advice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from annotation.reading.names import quoted
from benchmark.protocols import files
from benchmark.protocols.protocol import Refused
from benchmark.protocols.vl_rewardbench.pairs import A_PAIR, key_of

FILE = "all_data.json"
FIELDS = {
    "open_generation/correctness_task": "correctness",
    "open_generation/preference_task": "preference",
    "knowledge": "knowledge",
    "reasoning": "reasoning",
    "safety": "safety",
    "vqa": "vqa",
}
"""The published categories by the names that they have here."""
GROUPS = tuple(FIELDS.values())
BETTER: dict[str, Literal[0, 1]] = {"Output1": 0, "Output2": 1}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two responses to one question; ``better`` is the place of the one that people prefer."""

    key: str
    id: str
    group: str
    query: str
    responses: tuple[str, str]
    better: Literal[0, 1]
    image: str = ""


def load_pairs(path: str | Path) -> list[Pair]:
    """The pairs of ``all_data.json``. Raises Refused, which names the place at fault."""
    found: dict[str, Pair] = {}
    for where, data in files.objects(path, A_PAIR):
        pair = _pair(data, where)
        if pair.key in found:
            raise Refused(f"{where}: the same pair stands there before")
        found[pair.key] = pair
    if not found:
        raise Refused(f"{Path(path).name}: holds no pair")
    return list(found.values())


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


def key_in(data: dict[str, Any], where: str) -> str:
    """The key of a record that has a pair's id, question and responses."""
    query = files.text(data, "Text", where, A_PAIR).strip()
    return key_of(files.text(data, "ID", where, A_PAIR), query, _responses(data, where))


def _responses(data: dict[str, Any], where: str) -> tuple[str, str]:
    first, second = (files.text(data, name, where, A_PAIR) for name in BETTER)
    return first, second


def _pair(data: dict[str, Any], where: str) -> Pair:
    group = FIELDS.get(str(data.get("Category")))
    if group is None:
        raise Refused(
            f"{where}: Category is {quoted(data.get('Category'))}, not one of {list(FIELDS)}"
        )
    better = BETTER.get(str(data.get("Better")))
    if better is None:
        raise Refused(f"{where}: Better is {quoted(data.get('Better'))}, not one of {list(BETTER)}")
    query = str(data.get("Text") or "").strip()
    if not query:
        raise Refused(f"{where}: Text is missing; the authors' 0_download_data.py fills it in")
    image = data.get("Image") or ""
    return Pair(
        key=key_in(data, where),
        id=str(data["ID"]),
        group=group,
        query=query,
        responses=_responses(data, where),
        better=better,
        image=image if isinstance(image, str) else "",
    )
