"""Members of records under the names that are read here, however tools and tables call them.

"Response A" is ``response_a``, two captions or outputs that are numbered are two answers, Chatbot
Arena's two conversations end with one each, and a cell of a table may hold turns as JSON or as
Python writes them. Only what a name says is decided; members that could be meant twice are left as
they are.
"""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from annotation.importing.record_files import BadField
from annotation.importing.record_image import IMAGES, picture_members
from annotation.importing.verdicts import (
    FIRST,
    FIRST_AND_SECOND,
    PREFERENCES,
    SECOND,
    is_said,
    other_side,
    side_of,
)
from annotation.reading.names import quoted
from config.sanitising import NotJson, parse_json

OURS = "factloop"
"""The data set that rows of our own exports name."""
QUESTIONS = ("question", "prompt", "query", "instruction")
TURNS = ("conversations", "messages", "prompt")
BETTER_AND_WORSE = (
    ("chosen", "rejected"),
    ("preferred_output", "non_preferred_output"),
    ("better", "worse"),
    ("chosen_response", "rejected_response"),
    ("chosen_answer", "rejected_answer"),
    ("preferred_response", "dispreferred_response"),
    ("winner_response", "loser_response"),
    ("y_w", "y_l"),
    ("response", "rejected_response"),
)
REJECTED = ("rejected", "rejected_response", "rejected_messages", "rejected_conversations")
"""Beside turns whose last one is the better answer."""
ARENA = ("conversation_a", "conversation_b")
LISTS = ("response", "responses", "completions", "outputs", "candidates", "generations")
"""Where all answers stand in one list."""
RANKING = "human_ranking"
UNREAD_ANSWERS = ("reject", "win", "lose", "items", "accept", *LISTS[1:], *PREFERENCES)
"""Beside a question they say that there are answers, which are not read where they are alone."""
_ALIASES = {
    **dict.fromkeys(("img_path", "image_name", "image_file", "image_filename"), "image"),
    **dict.fromkeys(("filename", "picture"), "image"),
    **dict.fromkeys(("image_base64", "image_b64", "base64_image", "image_data"), "image"),
    "reject": "rejected",
    "caption": "captions",
}
_READ = {
    *("id", "captions", "text"),
    *chain(QUESTIONS, TURNS, IMAGES, REJECTED, *BETTER_AND_WORSE, *FIRST_AND_SECOND),
    *(set(PREFERENCES) - {"label"}),
}
_NUMBERED = re.compile(
    r"(?:model_)?(?P<noun>response|answer|output|completion|candidate|option|caption|text"
    r"|generation|reply)s?_?(?P<which>[1-9a-e])"
)
_PAIRS = ({"1", "2"}, {"a", "b"})
_TEXTS_OF_ONE = ("response", "text", "content", "value", "answer", "output")
_ONE_OF_SEVERAL = re.compile(
    r"(?:model_|human_)?(?P<noun>response|answer|output|completion|candidate|reply|generation|ref)s?"
    r"(?:_[a-z0-9]|[0-9])"
)
_WINNERS = {"winner_model_a": "1", "winner_model_b": "2", "winner_tie": "tie"}
_RATED = re.compile(
    r"(?:score|rating)(?:_?[12ab]|s)|rank(?:s|ing)?"
    r"|(?:hallucinat(?:ion|ions|ed)|helpful(?:ness)?|honest(?:y)?|faithful(?:ness)?|quality|correct"
    r"|grade|votes?)_?[12ab]"
)
_LONGEST_NAME = 100
"""Letters of a member that is read here."""
_MOST_OF_PYTHON = 100_000
"""Letters; reading them takes a hundred times as much memory."""
_LISTED = (*IMAGES, *LISTS, RANKING, "models")
_IN_TURNS = tuple(dict.fromkeys([*TURNS, *chain(*BETTER_AND_WORSE), *REJECTED, *ARENA, "input"]))


def in_our_names(data: dict[str, Any]) -> dict[str, Any]:
    """The record with what it holds under the names that are read; itself where it has them."""
    row = _unfolded(_respelled(data))
    if ARENA[0] in row and ARENA[1] in row:
        row = _of_arena(row)
    if not (_has_two(row) or {"output_1", "output_2"} <= row.keys()):
        row = _numbered(row)
    if not row.keys().isdisjoint(_WINNERS) and "winner" not in row:
        row = _won(row)
    return _with_side(row) if "preference" not in row else row


def check_spelled_once(data: Mapping[str, Any]) -> None:
    """Raises BadField where two spellings of one member say different things ("Image", "image")."""
    for name, value in data.items():
        plain = _plain(name)
        if plain == name or plain not in data or plain not in _READ:
            continue
        other = data[plain]
        if is_said(value) and is_said(other) and value != other:
            raise BadField(name, f"says something else than {plain}: {quoted(value)}")


def holds_two(row: Mapping[str, Any]) -> bool:
    """Whether two answers are where one of the forms has them."""
    return _has_two(row) or any(name in row for name in REJECTED)


def better_and_worse(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """The members that hold the better and the worse answer. Tables of several forms have empty
    ones of the others."""
    found = _pair_of(row, BETTER_AND_WORSE)
    placed = _pair_of(row, FIRST_AND_SECOND)
    others = placed is not None and _is_filled(row, placed)
    return None if found is not None and others and not _is_filled(row, found) else found


def first_and_second(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """The members that hold a first and a second answer."""
    return _pair_of(row, FIRST_AND_SECOND)


_Pair = tuple[str, str]


def _pair_of(row: Mapping[str, Any], pairs: Iterable[_Pair]) -> _Pair | None:
    """The first pair of members that says something, else the first that is there."""
    found = [pair for pair in pairs if pair[0] in row and pair[1] in row]
    return next((pair for pair in found if _is_filled(row, pair)), next(iter(found), None))


def _is_filled(row: Mapping[str, Any], pair: _Pair) -> bool:
    return any(row[name] is not None for name in pair)


def further_answers(row: Mapping[str, Any], pair: Iterable[str]) -> list[str]:
    """Members beside a first and a second answer that are named as a third is."""
    nouns = {_one_of_several(name) for name in pair} - {""}
    return [
        name
        for name, value in row.items()
        if len(name) <= _LONGEST_NAME and _one_of_several(name) in nouns and name not in pair
        if isinstance(value, str | list | dict) and is_said(value)
    ]


def unread_answers(row: Mapping[str, Any]) -> list[str]:
    """Members that seem to be answers of several, under names that are not read here."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in row.items():
        noun = _one_of_several(name) if len(name) <= _LONGEST_NAME else ""
        if noun and isinstance(value, str | list | dict):
            found[noun].append(name)
    return [name for names in found.values() if len(names) > 1 for name in names]


def list_of_answers(row: Mapping[str, Any]) -> str:
    """The member that holds all answers as a list; empty where none does."""
    return next((name for name in LISTS if isinstance(row.get(name), list)), "")


def texts_of(answers: Iterable[Any]) -> list[Any]:
    """Answers of a list, which may be objects that name their model too."""
    return [
        next((one[name] for name in _TEXTS_OF_ONE if name in one), one)
        if isinstance(one, dict)
        else one
        for one in answers
    ]


def beside_texts(answers: Iterable[Any]) -> Iterator[str]:
    """What the objects of a list of answers hold that is neither text nor model."""
    read = (*_TEXTS_OF_ONE, "model", "role")
    found = (name for one in answers if isinstance(one, dict) for name in one if is_said(one[name]))
    return (name for name in dict.fromkeys(found) if name not in read)


def ratings_beside(row: Mapping[str, Any]) -> Iterator[str]:
    """Members that rate or rank either answer, which are no preference of people by themselves."""
    votes = {"votes_1", "votes_2"}  # which are read
    return (
        name for name in row if _RATED.fullmatch(name) and name not in votes and is_said(row[name])
    )


def _has_two(row: Mapping[str, Any]) -> bool:
    pairs = (*BETTER_AND_WORSE, *FIRST_AND_SECOND)
    return any(one in row and two in row for one, two in pairs) or bool(list_of_answers(row))


def _spelled(name: str) -> str:
    plain = _plain(name)
    return _ALIASES.get(plain, plain)


@functools.lru_cache(1024)  # the records of a file share their names
def _one_of_several(name: str) -> str:
    """The noun of one of several answers ("Response 3"); empty for any other name."""
    found = _ONE_OF_SEVERAL.fullmatch(_spelled(name))
    return found["noun"] if found else ""


def _plain(name: str) -> str:
    return name if len(name) > _LONGEST_NAME else _plain_of(name)


@functools.lru_cache(1024)
def _plain_of(name: str) -> str:
    return "_".join(name.lower().replace("-", " ").split())


def _respelled(data: dict[str, Any]) -> dict[str, Any]:
    wanted: dict[str, list[str]] = defaultdict(list)
    for name in data:
        if name not in _READ and (spelled := _spelled(name)) in _READ and spelled not in data:
            wanted[spelled].append(name)
    named = bool(wanted.get("image")) and any(data.get(one) for one in picture_members(data))
    names = {
        found[0]: spelled
        for spelled, found in wanted.items()
        if len(found) == 1 and not (spelled == "image" and named)
    }
    return {names.get(name, name): value for name, value in data.items()} if names else data


def _numbered(row: dict[str, Any]) -> dict[str, Any]:
    """Two members of one noun as ``response_1`` and ``response_2``; of more, none.

    Beside an "answer" they are what a multiple choice offers.
    """
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name, value in row.items():
        match = (
            _NUMBERED.fullmatch(_spelled(name)) if isinstance(value, str | list | dict) else None
        )
        if match:
            found[match["noun"]][match["which"]] = name
    pairs = [names for names in found.values() if set(names) in _PAIRS]
    if len(pairs) != 1 or "answer" in row:
        return row
    first, second = (pairs[0][which] for which in sorted(pairs[0]))
    names = {first: "response_1", second: "response_2"}
    return {names.get(name, name): value for name, value in row.items()}


def _of_arena(row: dict[str, Any]) -> dict[str, Any]:
    """Two conversations that end with an answer each; that both asked the same is checked later."""
    if not all(isinstance(row[name], list) and row[name] for name in ARENA):
        return row
    named = {"conversations": row[ARENA[0]][:-1], "response_1": row[ARENA[0]][-1:]}
    return {**row, **named, "response_2": row[ARENA[1]][-1:]}


def _with_side(row: dict[str, Any]) -> dict[str, Any]:
    """Where "better" or "chosen" says which of two answers it is, or repeats one of them, that is
    the preference; where "worse" or "rejected" alone does, the other. What says neither stands as
    the preference, which nobody can read then."""
    placed = first_and_second(row)
    if placed is None:
        return row
    texts = [row[name] for name in placed]
    for better, worse in (("better", "worse"), ("chosen", "rejected")):
        said = [_side_told(row.get(name), texts) for name in (better, worse)]
        given = [name for name in (better, worse) if is_said(row.get(name))]
        if not given or (len(given) == 2 and None in said):
            continue  # nothing, or two answers of their own
        rest = {name: value for name, value in row.items() if name not in (better, worse)}
        sides = {said[0], other_side(str(said[1]))} if len(given) == 2 else {*said} - {None}
        if len(sides) != 1:
            unread = " and ".join(f"{name}: {row[name]}" for name in given)
            return {**rest, "preference": unread}
        [side] = sides
        return {**rest, "preference": side if said[0] else other_side(str(side))}
    return row


def _side_told(value: Any, texts: list[Any]) -> str | None:
    """The side whose text a value repeats, or that it names; also a tie. An answer may be "two"."""
    if isinstance(value, str) and texts.count(value) == 1:
        return (FIRST, SECOND)[texts.index(value)]
    return side_of(value)


def _won(row: dict[str, Any]) -> dict[str, Any]:
    """Kaggle's three columns of noughts and a one."""
    said = [side for name, side in _WINNERS.items() if str(row.get(name)) in ("1", "1.0", "True")]
    return {**row, "winner": said[0]} if len(said) == 1 else row


# --------------------------------------------------------------------------------------------
# Cells
# --------------------------------------------------------------------------------------------


def _unfolded(row: dict[str, Any]) -> dict[str, Any]:
    """Cells that hold turns or lists as JSON, or as Python writes them, as what they hold.

    An answer may look like JSON and be a text, so of answers only turns are taken, and of our own
    exports nothing.
    """
    found: dict[str, Any] = {}
    ours = row.get("ds_name") == OURS or {"better", "worse"} <= row.keys()
    for name in (*_LISTED, *(TURNS if ours else _IN_TURNS)):
        value = row.get(name)
        if isinstance(value, str) and value[:1] in ("[", "{"):
            parsed = cell(value)
            listed = name in _LISTED and name not in _IN_TURNS and isinstance(parsed, list)
            if listed or _are_turns(parsed):
                found[name] = parsed
    output = row.get("output")
    if isinstance(output, list) and len(output) == 2 and "instruction" in row:
        found |= {"chosen": output[0], "rejected": output[1]}  # LLaMA-Factory's form of 2023
    return {**row, **found} if found else row


def cell(text: str) -> Any:
    """The list or object that a cell holds, as JSON or as Python writes it; None for any text."""
    if text.startswith(("[{'", "{'", "['")) and len(text) <= _MOST_OF_PYTHON:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    try:
        return parse_json(text)
    except NotJson:
        return None


def _are_turns(value: Any) -> bool:
    turns = value if isinstance(value, list) else [value]
    return bool(turns) and all(
        isinstance(turn, dict) and not turn.keys().isdisjoint(("role", "from")) for turn in turns
    )
