"""Fields of a record of any form: of the kind that is expected, or refused by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from annotation.answers import SPAN_KINDS
from annotation.corrections import CORRECTION
from annotation.importing.field_names import cell
from annotation.importing.record_files import BadField
from annotation.importing.record_image import is_absent
from annotation.importing.records import LONGEST_ID
from annotation.importing.verdicts import is_said
from annotation.texts import LONGEST_TEXT, is_visible
from config.sanitising import is_storable, whole_number

Row = Mapping[str, Any]
MARK_KINDS = (*SPAN_KINDS, CORRECTION)
UNSHOWN = {
    "system": "is a system prompt, which people are not shown",
    "system_prompt": "is a system prompt, which people are not shown",
    "history": "holds earlier turns, which are read as turns of conversations or messages only",
}
"""Members by which the model was asked more than the turns say."""


def check_all_is_shown(data: Mapping[str, Any]) -> None:
    """Raises BadField where a record, in whatever form, says that the model was asked more."""
    for name, reason in UNSHOWN.items():
        if is_said(data.get(name)) and data[name] != []:
            raise BadField(name, reason)


def identifier(data: dict[str, Any], name: str = "id") -> str:
    """The field ``name``, a text or a whole number. Raises BadField."""
    value = data.get(name)
    if isinstance(value, float) and value.is_integer():  # as tables and Parquet write 3
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    elif value is not None and not isinstance(value, str):
        raise BadField(name, "is neither a text nor a whole number")
    else:
        text = text_of(data, name)
    if len(text) > LONGEST_ID:
        raise BadField(name, f"is longer than {LONGEST_ID} characters")
    return text


def captions_in(data: Mapping[str, Any]) -> list[str]:
    """The facts that a record of any form brings: texts, or one, or a cell with a JSON list."""
    captions = listed(data["captions"] if "captions" in data else data.get("caption"))
    if is_absent(captions):
        return []
    if isinstance(captions, str):
        captions = [captions] if captions.strip() else []
    if not isinstance(captions, list):
        raise BadField("captions", "is not a list of texts")
    for position, caption in enumerate(captions):
        check_text(caption, f"captions[{position}]")
        if not is_visible(caption):
            raise BadField(f"captions[{position}]", "is empty")
    return captions


def listed(texts: Any) -> Any:
    """A cell of a table can hold several texts as a list only, of JSON or of Python."""
    if not isinstance(texts, str) or not texts.lstrip().startswith(('["', "['")):
        return texts
    found = cell(texts.strip())
    return found if isinstance(found, list) else texts


def marks_in(given: Any, text: str, where: str) -> list[dict[str, Any]]:
    """Marks {"start", "end", "kind"} of ``text``, in characters. Raises BadField."""
    if not isinstance(given, list):
        raise BadField(where, "is not a list of marks")
    found = []
    for position, mark in enumerate(given):
        place = f"{where}[{position}]"
        if not isinstance(mark, dict):
            raise BadField(place, "is not an object with start, end and kind")
        start = whole_number(mark.get("start"), most=LONGEST_TEXT)
        end = whole_number(mark.get("end"), most=LONGEST_TEXT)
        if start is None or end is None or not start < end <= len(text):
            raise BadField(place, f"does not lie in the text, which has {len(text)} characters")
        kind = mark.get("kind", "other")
        if kind not in MARK_KINDS:
            raise BadField(f"{place}.kind", f"is not one of {', '.join(MARK_KINDS)}")
        found.append({"start": start, "end": end, "kind": kind})
    return found


def number_of(data: dict[str, Any], name: str, default: float) -> float:
    value = default if data.get(name) is None else data[name]
    if type(value) not in (int, float) or not math.isfinite(value):
        raise BadField(name, "is not a number")
    return float(value)


def text_of(data: dict[str, Any], name: str, where: str = "", empty: bool = False) -> str:
    """A text that can be stored; ``where`` stands before its name. Raises BadField."""
    path = f"{where}.{name}" if where else name
    if data.get(name) is None:
        raise BadField(path, "is missing")
    check_text(data[name], path)
    if not empty and not is_visible(data[name]):
        raise BadField(path, "is empty" if not data[name].strip() else "holds nothing visible")
    return str(data[name])


def check_text(value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise BadField(path, "is not a text")
    if len(value) > LONGEST_TEXT:
        raise BadField(path, f"is longer than {LONGEST_TEXT} characters")
    if not is_storable(value):
        raise BadField(path, "holds characters that cannot be stored")
