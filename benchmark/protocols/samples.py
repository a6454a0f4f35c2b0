"""Answers in the logs of evaluation tools, which keep the question's record beside what was said.

lmms-eval's ``--log_samples`` writes what the model said under ``resps``, and the question's record
under ``doc`` or, since its version 0.3, in the member of a metric, and what was asked as ``input``.
POPE's three splits stand in one such file with the same ids: ``category`` tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SAID = ("resps", "filtered_resps")
_OF_A_PICTURE = ("image_source", "image", "image_path")


def of_lmms_eval(record: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """(split, answer with its question) of a sample; None for a record of any other kind."""
    name = next((name for name in _SAID if name in record), "")
    about = _question_of(record)
    if not name or about is None:
        return None
    kept = {name: about[name] for name in ("question_id", "question") if name in about}
    if "question" not in kept and isinstance(record.get("input"), str):
        kept["question"] = record["input"]
    image = next((about[name] for name in _OF_A_PICTURE if isinstance(about.get(name), str)), None)
    if image is not None:
        kept["image"] = image
    part = about.get("category")
    return part if isinstance(part, str) else "", {**kept, "response": _only(record[name])}


def _question_of(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    doc = record.get("doc")
    inside = [doc] if doc is not None else record.values()
    return next((one for one in inside if isinstance(one, dict) and "question_id" in one), None)


def _only(said: Any) -> Any:
    """The one response, which stands in a list of lists; several stay what they are."""
    while isinstance(said, list) and len(said) == 1:
        said = said[0]
    return said
