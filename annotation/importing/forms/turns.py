"""Turns of a conversation: human and gpt in turn, under whichever names, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.importing.forms.fields import text_of
from annotation.importing.record_files import BadField
from annotation.texts import is_visible, without_placeholder

SPEAKERS = {
    "human": "human",
    "user": "human",
    "gpt": "gpt",
    "assistant": "gpt",
    "model": "gpt",
}
"""Whom the names of roles mean that are in use."""
_SYSTEM = ("system", "developer")
_UNSHOWN_ROLES = (*_SYSTEM, "tool", "function", "function_call", "observation")


def speaker_of(turn: Mapping[str, Any], field: str) -> str:
    """Human or gpt. Raises BadField for roles that people are not shown, and for unknown ones."""
    role = str(turn.get("from"))
    if role in _UNSHOWN_ROLES:
        raise BadField(field, f"is a {role} turn, which people are not shown")
    if role not in SPEAKERS:
        raise BadField(field, "is neither human nor gpt")
    return SPEAKERS[role]


def is_empty_system_turn(turn: Any) -> bool:
    """Whether a turn is the place of a system prompt that there is not, as templates leave it."""
    if not isinstance(turn, dict) or turn.get("from", turn.get("role")) not in _SYSTEM:
        return False
    said = turn.get("value", turn.get("content"))
    return said in (None, []) or (isinstance(said, str) and not is_visible(said))


def in_our_words(data: Any) -> Any:
    """A record whose turns are called ``from`` and ``value``, where they were role and content."""
    turns = data.get("conversations") if isinstance(data, dict) else None
    if not isinstance(turns, list) or not any(map(_is_message, turns)):
        return data
    return {**data, "conversations": [_renamed(one) if _is_message(one) else one for one in turns]}


def _is_message(turn: Any) -> bool:
    return isinstance(turn, dict) and isinstance(turn.get("content"), str) and "value" not in turn


def _renamed(turn: dict[str, Any]) -> dict[str, Any]:
    return {"from": turn.get("from", turn.get("role")), "value": turn["content"]}


def conversation_of(turns: Any, field: str = "conversations") -> list[dict[str, str]]:
    """Turns up to the question that the answers are to: human and gpt in turn. Raises BadField.

    A last turn of gpt, filled or empty, is the answer and is left away.
    """
    if not isinstance(turns, list) or not turns:
        raise BadField(field, "is missing" if turns is None else "is not a list of turns")
    conversation: list[dict[str, str]] = []
    last = len(turns) - 1
    for position, turn in enumerate(turns):
        if is_empty_system_turn(turn):
            continue
        where = f"{field}[{position}]"
        if not isinstance(turn, dict):
            raise BadField(where, "is not an object with from and value")
        speaker = speaker_of(turn, f"{where}.from")
        if not conversation and speaker != "human":
            raise BadField(f"{where}.from", "the first turn is not the human's")
        if conversation and conversation[-1]["from"] == speaker:
            raise BadField(f"{where}.from", f"{speaker} follows {speaker}")
        text = text_of(turn, "value", where, empty=True)
        if position < last and not is_visible(_asked(text, len(conversation))):
            raise BadField(f"{where}.value", "is empty")
        conversation.append({"from": speaker, "value": text})
    if not conversation:
        raise BadField(field, "is not a list of turns")
    if conversation[-1]["from"] == "gpt":
        conversation.pop()
    if not is_visible(_asked(conversation[-1]["value"], len(conversation) - 1)):
        raise BadField(field, "ends with an empty question")
    return conversation


def _asked(text: str, position: int) -> str:
    """What a turn says: only the first one may hold the place of the image."""
    return without_placeholder(text) if position == 0 else text
