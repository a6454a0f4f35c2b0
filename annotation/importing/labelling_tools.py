"""Exports of other labelling tools: a task with the answers of its people becomes one flat row.

Label Studio's JSON and JSON-MIN of pairwise tasks, and Argilla's records with a question about two
answers. The people's answers are counted: ``votes`` for each side, and ``preference`` where one of
them has more. A task that nobody has answered is a pair that waits. Where people were asked several
things, the question is meant whose answers name sides; answers that cannot be told are no votes and
stand as ``preference``, which nobody can read then: the record is refused by it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from annotation.importing.the_picture import picture_members
from annotation.importing.verdicts import (
    FIRST,
    FIRST_AND_SECOND,
    PREFERENCES,
    SECOND,
    TIE,
    one_of,
    side_of,
)

_Answer = tuple[str, Any]
"""A question (the name of its control) and what somebody said to it."""
_NO_ANSWERS = {
    *("id", "annotation_id", "annotator", "model_1", "model_2", "model_a", "model_b"),
    *chain(*FIRST_AND_SECOND),
}
_NUMBERED = re.compile(r"[\d.]{1,40}")
_TASKS = ("annotations", "completions")
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
        chosen = [(name, _first_ranked(value)) for name in answered for value in data[name] or []]
        return _with_votes(flat, chosen)
    if "annotation_id" in data:  # Label Studio's JSON-MIN: a control under any name
        return _with_votes(data, [*_answers_among(data)], anything=True)
    return data


def _answers_among(data: dict[str, Any]) -> Iterator[_Answer]:
    """The members of JSON-MIN that may be answers. Under an unknown name a number is none: as CSV
    the seconds that somebody took, and the numbers of rows, are texts too."""
    others = {*_NO_ANSWERS, *picture_members(data)}
    for name, value in data.items():
        said = _min_value(value)
        number = isinstance(said, str) and _NUMBERED.fullmatch(said.strip())
        if name not in others and (name in PREFERENCES or not number):
            yield name, said


def _min_value(value: Any) -> str | None:
    """What a member of JSON-MIN selects: a text, or the one value of a control."""
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    return _selected({"value": one}) if isinstance(one, dict) else one


def _label_studio(task: dict[str, Any]) -> dict[str, Any]:
    """``data`` of a task with what its annotations selected."""
    row = dict(task["data"])
    if "id" in task:
        row.setdefault("id", f"label-studio-{task['id']}")
    chosen = [
        (str(result.get("from_name", "")), _selected(result))
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


def _answers(responses: Any) -> list[_Answer]:
    """What each person said: a label, a rating of one, or the first of a ranking."""
    if isinstance(responses, dict):  # Argilla 2: by question
        values = [
            (name, one.get("value"))
            for name, question in responses.items()
            for one in _objects(question)
            if one.get("status", "submitted") == "submitted"
        ]
    else:  # Argilla 1: by person
        values = [
            (name, answer.get("value"))
            for one in _objects(responses)
            if one.get("status", "submitted") == "submitted"
            for name, answer in (one.get("values") or {}).items()
            if isinstance(answer, dict)
        ]
    return [(name, _first_ranked(value)) for name, value in values]


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


def _with_votes(
    row: dict[str, Any], answers: Iterable[_Answer], anything: bool = False
) -> dict[str, Any]:
    """``anything``: the answers are of all members, most of which are no answers. "None" is a tie
    where it alone was said; beside an answer it is one to another question."""
    asked: dict[str, list[str]] = defaultdict(list)
    for question, said in answers:
        if isinstance(said, str) and said.strip():
            asked[question].append(said)
    telling = [name for name, said in asked.items() if any(map(side_of, said))]
    if len(telling) > 1:
        telling = [name for name in telling if not all(map(_is_none, asked[name]))] or telling
    if len(telling) > 1:
        return {**row, "preference": f"several questions: {', '.join(telling)}"}
    if not telling:
        if anything and one_of(row)[0]:  # a number, say, which a column of that name may hold
            return row
        unread = "no answer of its people" if anything else next(iter(asked.values()), [None])[0]
        return row if unread is None else {**row, "preference": unread}
    sides = [side_of(said) for said in asked[telling[0]]]
    if None in sides:
        return {**row, "preference": asked[telling[0]][sides.index(None)]}
    votes = Counter(sides)
    best = max(votes.values())
    leading = [side for side, count in votes.items() if count == best]
    preference = leading[0] if len(leading) == 1 else TIE
    counted = {side: votes.get(side, 0) for side in (FIRST, SECOND, TIE)}
    return {**row, "votes": counted, "preference": preference}


def _is_none(said: str) -> bool:
    return said.strip().lower() == "none"


def _objects(value: Any) -> Iterable[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
