"""Rows of MTurk and tasks of Prodigy, which hold what one person said of one task.

MTurk's results have a row for each assignment: what was shown under ``Input.…``, what the worker
said under ``Answer.…``, which crowd elements write as one JSON list. Prodigy's tasks have the
options that were chosen under ``accept``, which say nothing where the task was rejected or ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from annotation.importing.verdicts import FIRST, SECOND
from config.sanitising import NotJson, parse_json

_SHOWN, _SAID = "Input.", "Answer."
_CROWD = "taskAnswers"
_ACCEPTED = "accept"
_EITHER = "both options have this id"


def is_assignment(data: dict[str, Any]) -> bool:
    return any(name.startswith(_SHOWN) for name in data)


def of_assignment(data: dict[str, Any]) -> dict[str, Any]:
    """A row of MTurk as Label Studio's JSON-MIN has it; of an assignment whose work was rejected,
    what was shown."""
    row = {
        name.removeprefix(_SHOWN): value for name, value in data.items() if name.startswith(_SHOWN)
    }
    if data.get("HITId"):
        row.setdefault("id", data["HITId"])
    if str(data.get("AssignmentStatus")).lower() == "rejected":
        return row
    return {**row, **dict(_said(data)), "annotation_id": data.get("AssignmentId")}


def _said(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if not name.startswith(_SAID):
            continue
        name = name.removeprefix(_SAID)
        if name == _CROWD:
            yield from _of_elements(value)
        else:
            yield name, value


def _of_elements(cell: Any) -> Iterator[tuple[str, Any]]:
    """What each crowd element holds: a text, {"label": text}, or true beside the chosen one."""
    try:
        elements = parse_json(cell) if isinstance(cell, str) else cell
    except NotJson:
        elements = None
    one = elements[0] if isinstance(elements, list) and len(elements) == 1 else None
    if not isinstance(one, dict):
        yield _CROWD, cell
        return
    for name, value in one.items():
        if isinstance(value, dict):
            chosen = [str(key) for key, said in value.items() if said is True]
            value = value.get("label", " and ".join(chosen))
        yield name, value


def is_choice(data: dict[str, Any]) -> bool:
    chosen, answer = data.get(_ACCEPTED), data.get("answer")
    return isinstance(chosen, list) and answer in ("accept", "reject", "ignore")


def of_choice(data: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """A task of Prodigy with its options as two answers, and what was chosen."""
    row = {name: value for name, value in data.items() if name not in (_ACCEPTED, "answer")}
    options = row.get("options")
    sides = {}
    if isinstance(options, list) and len(options) == 2 and all(map(_is_option, options)):
        ids = [str(one["id"]) for one in options]
        sides = (
            dict(zip(ids, (FIRST, SECOND), strict=True))
            if ids[0] != ids[1]
            else dict.fromkeys(ids, _EITHER)
        )
        texts = [one.get("text") for one in options]
        if all(isinstance(text, str) for text in texts) and "response_1" not in row:
            row |= {"response_1": texts[0], "response_2": texts[1]}
    if data["answer"] != "accept":
        return row, []
    chosen = [sides.get(str(one), str(one)) for one in data[_ACCEPTED]]
    return row, [(_ACCEPTED, " and ".join(chosen))]


def _is_option(one: Any) -> bool:
    return isinstance(one, dict) and "id" in one
