"""Questions without answers, as benchmarks, chat endpoints and other projects write them.

LLaVA-Bench's and POPE's question files, MMHal's, rows of tables, TRL's prompts, and messages in
OpenAI's form, also inside the requests of a batch. What was asked, and about which image, is found
as in pairs of answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from annotation.importing.field_names import (
    BETTER_AND_WORSE,
    QUESTIONS,
    REJECTED,
    TURNS,
    UNREAD_ANSWERS,
    check_spelled_once,
    unread_answers,
)
from annotation.importing.forms.asked import check_asked_once, turns_of
from annotation.importing.forms.fields import captions_in, check_all_is_shown, identifier
from annotation.importing.forms.ours import parse_prompt
from annotation.importing.forms.pairs import fits
from annotation.importing.forms.provenance import image_of
from annotation.importing.forms.turns import SPEAKERS, conversation_of
from annotation.importing.labelling_tools import flattened
from annotation.importing.record_files import BadField
from annotation.importing.record_image import is_absent, picture_members
from annotation.importing.records import PromptIn, digest
from annotation.importing.verdicts import FIRST_AND_SECOND, is_said
from annotation.reading.names import key, normal

ASKED = (*QUESTIONS, "text")
_ANSWERS = {
    *("completion", "rejected_images"),
    *chain(*BETTER_AND_WORSE, *FIRST_AND_SECOND, REJECTED),
    *(set(UNREAD_ANSWERS) - {"label"}),
}
_ONE_ANSWER = ("answer", "output", "model_answer")
"""Beside a question: of a model, or the truth."""
_OFFERED = ("options", "choices", "A", "B", "C", "D", "E", "F")
_NOT_OFFERED = "is not taken: what a question offers to choose from has to stand in its text"
_NO_ANSWERS = "is not taken: a prompt is a question without answers"
_NOT_READ = "is not taken: of a question its text, its image and its captions are"
_READ = {
    *ASKED,
    *TURNS,
    *_ANSWERS,
    *_ONE_ANSWER,
    *_OFFERED,
    *("input", "body", "image_src", "caption", "captions", "gt_answer", "image_content"),
}
OURS = ("id", "image")
"""Beside conversations."""
IDS = ("id", "question_id", "custom_id")


def asks(data: Any) -> bool:
    """Whether it is a question, or turns up to one, in a form of others and without any answer."""
    if not _holds_turns(data):
        return False
    row = _row(data)
    if not row.keys().isdisjoint(_ANSWERS) or unread_answers(row):
        return False
    every = (row[name] for name in ("input", *TURNS) if isinstance(row.get(name), list))
    last = next((turns[-1] for turns in every if turns), None)
    role = last.get("from", last.get("role")) if isinstance(last, dict) else "user"
    return SPEAKERS.get(str(role)) != "gpt"


def asks_alone(data: Any) -> bool:
    """The same, where at most one further member says something: two may be answers to it."""
    return asks(data) and len(_unread(_row(data))) < 2


def _unread(row: Mapping[str, Any]) -> list[str]:
    """Members that say something in words, or in turns, and are read as nothing."""
    read = {*_READ, *picture_members(row)}
    return [
        name
        for name, value in row.items()
        if name not in read
        and ((isinstance(value, str) and len(value.split()) > 2) or _is_talk(value))
    ]


def _is_talk(value: Any) -> bool:
    return isinstance(value, list) and any(
        isinstance(one, dict) and not one.keys().isdisjoint(("role", "from")) for one in value
    )


def _holds_turns(data: Any) -> bool:
    """Whether something is asked in a form of others, to which there are no two answers."""
    if not isinstance(data, dict) or fits(data) or "output_1" in data:
        return False
    row = _row(data)
    turns = isinstance(row.get("input"), dict | list)
    return turns or any(isinstance(row.get(name), str | list) for name in (*ASKED, *TURNS))


def parse_any_prompt(line: int, data: Any) -> PromptIn:
    """A prompt in our own form, or in one of others. Raises BadField."""
    ours = isinstance(data, dict) and "conversations" in data and not data.keys().isdisjoint(OURS)
    if fits(data) and not ours:
        raise BadField("", "is a pair of answers: its format is rlhf_v")
    return parse_prompt(line, data) if ours or not _holds_turns(data) else _parse(line, data)


def _parse(line: int, data: dict[str, Any]) -> PromptIn:
    check_spelled_once(data)
    row = _row(data)
    check_all_is_shown(row)
    turns, field = turns_of(row, ASKED)
    conversation = conversation_of(turns, field)
    check_asked_once(row, conversation, field, ASKED)
    image = image_of(row)
    named = next((name for name in IDS if not is_absent(row.get(name))), "")
    id = identifier(row, named) if named else f"prompt-{digest(conversation, key(image))[:16]}"
    answers = [name for name in row if name in _ANSWERS or name in _ONE_ANSWER]
    answers += unread_answers(row)
    offered = [name for name in row if name in _OFFERED and is_said(row[name])]
    return PromptIn(
        line=line,
        id=id,
        image=image,
        conversation=conversation,
        captions=captions_in(row),
        not_taken={name: _NO_ANSWERS for name in answers if is_said(row[name])}
        | dict.fromkeys(offered, _NOT_OFFERED)
        | dict.fromkeys(_unread(row), _NOT_READ),
    )


def _row(data: Mapping[str, Any]) -> dict[str, Any]:
    """The record with what wraps it up taken off, and its picture where pictures are named."""
    row = flattened(dict(data))
    if isinstance(row.get("body"), dict):  # a request of a batch
        row = {**row, **row["body"]}
    source = row.get("image_src")
    if isinstance(source, str) and not picture_members(row):
        row["image"] = PurePosixPath(normal(source)).name
    caption = row.get("caption")
    if isinstance(caption, str) and caption.strip() and "captions" not in row:
        row["captions"] = [caption]
    return row
