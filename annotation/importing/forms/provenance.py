"""What a record of another project is about, what it is called, and whose its answers are."""

from __future__ import annotations

import json
from typing import Any

from annotation.importing.field_names import OURS, list_of_answers
from annotation.importing.forms.asked import is_inner
from annotation.importing.forms.fields import Row, identifier, text_of
from annotation.importing.forms.two_answers import is_placed
from annotation.importing.record_files import BadField
from annotation.importing.record_image import is_absent, name_of_picture
from annotation.importing.records import LONGEST_ID
from config.sanitising import NotJson, is_storable, parse_json

_MODELS = (
    *(("better_model", "worse_model"), ("chosen_model", "rejected_model")),
    *(("model_1", "model_2"), ("model_a", "model_b")),
)
"""Of the better and the worse answer, and of the first and the second."""


def inner(text: Any) -> dict[str, Any]:
    """RLHF-V publishes question, chosen and rejected as JSON inside the column ``text``."""
    if text is None or not is_inner(text):
        return {}
    try:
        value = parse_json(text) if isinstance(text, str) else text
    except NotJson as error:
        raise BadField("text", str(error)) from None
    if not isinstance(value, dict):
        raise BadField("text", "is not an object")
    return value


def origin_of(value: Any) -> dict[str, Any]:
    """What ``origin_split`` says; a plain name (or nothing) says nothing that is read here."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def models_of(row: Row, origin: dict[str, Any]) -> tuple[str, str]:
    """Of the answers in the record's order: ours are named apart, RLAIF-V's are one model."""
    models = origin.get("models")
    if isinstance(models, dict):
        names = [models.get("chosen"), models.get("rejected")]
    elif isinstance(row.get("models"), list) and len(row["models"]) == 2:
        names = list(row["models"])
    elif len(answers := row.get(list_of_answers(row)) or ()) == 2:
        names = [one.get("model") if isinstance(one, dict) else None for one in answers]
    else:
        named = _MODELS if is_placed(row) else _MODELS[:2]
        pair = next((p for p in named if not row.keys().isdisjoint(p)), None)
        names = [row.get(name) for name in pair] if pair else [origin.get("model")] * 2
    first, second = (
        name if isinstance(name, str) and len(name) <= LONGEST_ID and is_storable(name) else ""
        for name in names
    )
    return first, second


def row_id(row: Row, origin: dict[str, Any], content: str) -> str:
    if row.get("ds_name") == OURS and isinstance(origin.get("id"), str):
        return identifier(origin)
    if not is_absent(row.get("id")):
        return identifier(dict(row))
    name = row.get("ds_name") or row.get("origin_dataset") or "rlhf-v"
    number = content[:16] if is_absent(row.get("idx")) else identifier(dict(row), "idx")
    return identifier({"id": f"{name}-{number}"})


def image_of(row: Row) -> str:
    """The one name, in whichever member. Raises BadField."""
    name = name_of_picture(row)
    if name is None:
        reason = "is not the name of an image (pictures come beside the file, as a zip)"
        raise BadField("image", reason)
    return text_of({"image": name}, "image")
