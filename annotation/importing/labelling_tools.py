"""Exports of other labelling tools: a task with the answers of its people becomes one flat row.

Label Studio's JSON and JSON-MIN of pairwise tasks, Argilla's records with a question about two
answers, and what one person said of a task in MTurk or Prodigy. The people's answers are counted:
``votes`` for each side, and ``preference`` where one of them has more. A task that nobody has
answered is a pair that waits. Where people were asked several things, the question is meant whose
answers name sides, and where there is none, ratings of either answer
(``annotation.importing.ratings``); answers that cannot be told are no votes and stand as
``preference``, which nobody can read then: the record is refused by it.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, starmap
from typing import Any

from annotation.importing import one_answer_each
from annotation.importing.field_names import in_our_names
from annotation.importing.ratings import Rating, preferences
from annotation.importing.record_image import picture_members
from annotation.importing.verdicts import (
    FIRST,
    FIRST_AND_SECOND,
    PREFERENCES,
    SECOND,
    TIE,
    asks_for_worse,
    counts_faults,
    one_of,
    other_side,
    side_of,
)
from config.sanitising import NotJson, finite_number, parse_json

SUBMITTED = "submitted"
UNREAD = "(what people said besides)"
"""The member for controls and questions whose answers are not read; no file has one of the name."""
TURNED = "(a question for the worse answer)"
"""The member for a question of which the answer that was not selected is the better one."""
_IN_ROWS = ".responses"
_Answer = tuple[str, Any]
"""A question (the name of its control) and what somebody said to it."""
_NO_ANSWERS = {
    *("id", "annotation_id", "annotator", "model_1", "model_2", "model_a", "model_b"),
    *chain(*FIRST_AND_SECOND),
}
_NUMBERED = re.compile(r"[\d.]{1,40}")
_RATES = re.compile(r"rat(?:e|ing)|stars")
_TASKS = ("annotations", "completions")
_SPELLINGS = {"-": "_", " ": "_"}


def flattened(data: dict[str, Any]) -> dict[str, Any]:
    """The record itself, or what a labelling tool has wrapped up in it, under the names that are
    read here."""
    return in_our_names(_unwrapped(data))


def _unwrapped(data: dict[str, Any]) -> dict[str, Any]:
    if isinstance(data.get("fields"), dict):
        return _argilla(data)
    if isinstance(data.get("data"), dict):
        return _label_studio(data)
    if one_answer_each.is_choice(data):
        return _with_votes(*one_answer_each.of_choice(data))
    if one_answer_each.is_assignment(data):
        data = one_answer_each.of_assignment(data)
    answered = {
        name.removesuffix(_IN_ROWS): _in_rows(name, data)
        for name in data
        if name.endswith(_IN_ROWS)
    }
    if answered:  # Argilla's records as rows of a data set
        flat = {name: value for name, value in data.items() if "." not in name}
        return _with_votes(flat, *_told(answered))
    answered = {name: value for name, value in data.items() if _are_answers(value)}
    if answered:  # the same of Argilla 1
        return _with_votes({n: v for n, v in data.items() if n not in answered}, *_told(answered))
    if "annotation_id" in data:  # Label Studio's JSON-MIN: a control under any name
        return _with_votes(data, [*_answers_among(data)], [*_ratings_among(data)], anything=True)
    return data


def _in_rows(name: str, data: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers to a question as records have them, from the columns of a data set."""
    said = data[name] if isinstance(data[name], list) else []
    columns = [data.get(f"{name}.{about}") for about in ("status", "users")]
    padded = [[*(one if isinstance(one, list) else []), *[None] * len(said)] for one in columns]
    return [
        {"value": value, "status": status or SUBMITTED, "user_id": user}
        for value, status, user in zip(said, *padded, strict=False)
    ]


def _are_answers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and {"value", "user_id"} <= one.keys() for one in value)
    )


def _answers_among(data: dict[str, Any]) -> Iterator[_Answer]:
    """The members of JSON-MIN that may be answers. Under an unknown name a number is none: as CSV
    the seconds that somebody took, and the numbers of rows, are texts too."""
    others = {*_NO_ANSWERS, *picture_members(data)}
    for name, value in data.items():
        said = _min_value(value)
        number = isinstance(said, str) and _NUMBERED.fullmatch(said.strip())
        if name not in others and (name in PREFERENCES or not number):
            yield name, said


def _ratings_among(data: dict[str, Any]) -> Iterator[Rating]:
    """A number alone may be any column's: it is a rating where its name says so."""
    for name, value in data.items():
        one = _only(value)
        number = one.get("rating") if isinstance(one, dict) else one
        if isinstance(one, dict) or _RATES.search(name.lower()):
            yield from _rating(None, (name,), number)


def _rating(person: object, names: tuple[str, ...], said: Any) -> Iterator[Rating]:
    if isinstance(said, str) and _NUMBERED.fullmatch(said.strip()):
        said = finite_number(said.strip(), least=-1e6, most=1e6)
    if isinstance(said, int | float) and not isinstance(said, bool):
        yield Rating(person, names, said)


def _only(value: Any) -> Any:
    """What a member of JSON-MIN holds, which may be a list of one, or a cell with JSON."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        with contextlib.suppress(NotJson):
            value = parse_json(value)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _min_value(value: Any) -> str | None:
    """What a member of JSON-MIN selects: a text, or the one value of a control."""
    one = _only(value)
    return _selected({"value": one}) if isinstance(one, dict) else one


def _label_studio(task: dict[str, Any]) -> dict[str, Any]:
    """``data`` of a task with what its annotations selected."""
    row, sides = _items_named(dict(task["data"]))
    if "id" in task:
        row.setdefault("id", f"label-studio-{task['id']}")
    results = [
        (person, result)
        for name in _TASKS
        for person, annotation in enumerate(_objects(task.get(name)))
        if not annotation.get("was_cancelled")
        for result in _objects(annotation.get("result"))
    ]
    selected = [(str(result.get("from_name", "")), _selected(result)) for _, result in results]
    chosen = [(name, sides.get(said or "", said)) for name, said in selected]
    return _with_votes(row, chosen, [*chain.from_iterable(starmap(_rated, results))])


def _items_named(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """With two items of a ranking, objects with id and body, as two answers; and the side that
    each id names."""
    for name, items in row.items():
        named = isinstance(items, list) and len(items) == 2 and all(map(_is_item, items))
        if named and str(items[0]["id"]) != str(items[1]["id"]):
            bodies = dict(
                zip(("response_1", "response_2"), (i["body"] for i in items), strict=True)
            )
            rest = {other: value for other, value in row.items() if other != name}
            ids = (str(item["id"]) for item in items)
            return {**rest, **bodies}, dict(zip(ids, (FIRST, SECOND), strict=True))
    return row, {}


def _is_item(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("body"), str) and "id" in one


def _rated(person: int, result: dict[str, Any]) -> Iterator[Rating]:
    names = (str(result.get("from_name", "")), str(result.get("to_name", "")))
    value = result.get("value")
    number = value.get("rating", value.get("number")) if isinstance(value, dict) else None
    return _rating(person, names, number)


def _selected(result: dict[str, Any]) -> str | None:
    """The one choice; of several all of them, which no side is called."""
    value = result.get("value")
    if not isinstance(value, dict):
        return None
    choices = value.get("choices")
    if isinstance(choices, list) and choices:
        return " and ".join(map(str, choices))
    ranked = value.get("ranker")
    ranked = ranked.get("rank") if isinstance(ranked, dict) else ranked
    selected = ranked[0] if isinstance(ranked, list) and ranked else value.get("selected")
    return selected if isinstance(selected, str) else None


def _argilla(record: dict[str, Any]) -> dict[str, Any]:
    """``fields`` of a record with what its responses say, in the form of Argilla 1 and of 2."""
    row = {
        name.translate(str.maketrans(_SPELLINGS)).lower(): value
        for name, value in record["fields"].items()
    }
    if record.get("id") is not None:
        row.setdefault("id", f"argilla-{record['id']}")
    responses = record.get("responses")
    if isinstance(responses, dict):  # Argilla 2: by question
        return _with_votes(row, *_told(responses))
    by_question: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for person, one in enumerate(_objects(responses)):  # Argilla 1: by person
        for name, answer in (one.get("values") or {}).items():
            if isinstance(answer, dict):
                status = one.get("status", SUBMITTED)
                by_question[name].append({"user_id": person, "status": status, **answer})
    return _with_votes(row, *_told(by_question))


def _told(responses: dict[str, Any]) -> tuple[list[_Answer], list[Rating]]:
    """What each person said to each question: a label, or the first of a ranking; and numbers."""
    submitted = [
        (name, one.get("user_id") or place, one.get("value"))
        for name, question in responses.items()
        for place, one in enumerate(_objects(question))
        if one.get("status", SUBMITTED) == SUBMITTED
    ]
    ratings = [one for name, who, value in submitted for one in _rating(who, (name,), value)]
    return [(name, _first_ranked(value)) for name, _, value in submitted], ratings


def _first_ranked(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return " and ".join(value)  # of a question with several labels
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
    row: dict[str, Any],
    answers: Sequence[_Answer],
    ratings: Sequence[Rating] = (),
    anything: bool = False,
) -> dict[str, Any]:
    """``anything``: the answers are of all members, most of which are no answers. "None" is a tie
    where it alone was said; beside an answer it is one to another question."""
    asked: dict[str, list[str]] = defaultdict(list)
    for question, said in answers:
        if isinstance(said, str) and said.strip():
            asked[question].append(said)
    telling = [name for name, said in asked.items() if any(map(side_of, said))]
    rated = {name for one in ratings for name in one.names} if not telling else set()
    others = {question: None for question, _ in answers if question not in {*telling, *rated}}
    if others and not anything:
        row = {**row, UNREAD: [*others]}
    if len(telling) > 1:
        telling = [name for name in telling if not all(map(_is_none, asked[name]))] or telling
    if len(telling) > 1:
        return {**row, "preference": f"several questions: {', '.join(telling)}"}
    if not telling and ratings:
        return _with_votes(row, preferences(ratings))
    if not telling:
        if anything and one_of(row)[0]:  # a number, say, which a column of that name may hold
            return row
        unread = "no answer of its people" if anything else next(iter(asked.values()), [None])[0]
        return row if unread is None else {**row, "preference": unread}
    [question] = telling
    sides = [side_of(said) for said in asked[question]]
    if None in sides:
        return {**row, "preference": asked[question][sides.index(None)]}
    if asks_for_worse(question):
        row = {**row, TURNED: question}
        sides = [other_side(str(side)) for side in sides]
    elif counts_faults(question) and set(sides) != {TIE}:
        return {**row, "preference": f"{question}: {asked[question][0]}"}
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
