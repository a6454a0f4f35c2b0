"""Exports of other labelling tools: a task with the answers of its people becomes one flat row.

Label Studio's JSON and JSON-MIN of pairwise tasks, and Argilla's records with a question about two
answers. The people's answers are counted: ``votes`` for each side, and ``preference`` where one of
them has more. A task that nobody has answered is a pair that waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

_TASKS = ("annotations", "completions")
_LEFT = ("left", "1", "a", "first", "answer1", "response1", "response-1", "response_1")
_RIGHT = ("right", "2", "b", "second", "answer2", "response2", "response-2", "response_2")
_SIDES = {**dict.fromkeys(_LEFT, "1"), **dict.fromkeys(_RIGHT, "2")}
_SPELLINGS = {"-": "_", " ": "_"}


def flattened(data: dict[str, Any]) -> dict[str, Any]:
    """The record itself, or what a labelling tool has wrapped up in it."""
    if isinstance(data.get("fields"), dict):
        return _argilla(data)
    if isinstance(data.get("data"), dict):
        return _label_studio(data)
    answered = [name for name in data if name.endswith(".responses")]
    if answered:  # Argilla's records as rows of a data set
        flat = {name: value for name, value in data.items() if "." not in name}
        chosen = [_first_ranked(value) for name in answered for value in data[name] or []]
        return _with_votes(flat, chosen)
    return data


def _label_studio(task: dict[str, Any]) -> dict[str, Any]:
    """``data`` of a task with what its annotations selected."""
    row = dict(task["data"])
    if "id" in task:
        row.setdefault("id", f"label-studio-{task['id']}")
    chosen = [
        _selected(result)
        for name in _TASKS
        for annotation in _objects(task.get(name))
        if not annotation.get("was_cancelled")
        for result in _objects(annotation.get("result"))
    ]
    return _with_votes(row, chosen)


def _selected(result: dict[str, Any]) -> str | None:
    value = result.get("value")
    if not isinstance(value, dict):
        return None
    choices = value.get("choices")
    selected = choices[0] if isinstance(choices, list) and choices else value.get("selected")
    return selected if isinstance(selected, str) else None


def _argilla(record: dict[str, Any]) -> dict[str, Any]:
    """``fields`` of a record with what its responses say, in the form of Argilla 1 and of 2."""
    row = {
        name.translate(str.maketrans(_SPELLINGS)).lower(): value
        for name, value in record["fields"].items()
    }
    if record.get("id") is not None:
        row.setdefault("id", f"argilla-{record['id']}")
    return _with_votes(row, _answers(record.get("responses")))


def _answers(responses: Any) -> list[str | None]:
    """The better side by each person: a label, a rating of one, or the first of a ranking."""
    if isinstance(responses, dict):  # Argilla 2: by question
        values = [
            one.get("value")
            for question in responses.values()
            for one in _objects(question)
            if one.get("status", "submitted") == "submitted"
        ]
    else:  # Argilla 1: by person
        values = [
            answer.get("value")
            for one in _objects(responses)
            if one.get("status", "submitted") == "submitted"
            for answer in (one.get("values") or {}).values()
            if isinstance(answer, dict)
        ]
    return [_first_ranked(value) for value in values]


def _first_ranked(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    ranks: list[tuple[int, str]] = [
        (one["rank"], one["value"])
        for one in _objects(value)
        if isinstance(one.get("rank"), int) and isinstance(one.get("value"), str)
    ]
    if not ranks:
        return None
    best = min(rank for rank, _ in ranks)
    first = [name for rank, name in ranks if rank == best]
    return first[0] if len(first) == 1 else "tie"


def _with_votes(row: dict[str, Any], chosen: Iterable[str | None]) -> dict[str, Any]:
    said = [one.strip().lower() for one in chosen if one is not None]
    votes = Counter(_SIDES.get(one, "tie") for one in said)
    if not votes:
        return row
    best = max(votes.values())
    leading = [side for side, count in votes.items() if count == best]
    preference = leading[0] if len(leading) == 1 else "tie"
    counted = {side: votes.get(side, 0) for side in ("1", "2", "tie")}
    return {**row, "votes": counted, "preference": preference}


def _objects(value: Any) -> Iterable[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
