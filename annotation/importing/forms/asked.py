"""What a record of another project asks: a question, or turns, and once only."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from annotation.importing.field_names import ARENA, BETTER_AND_WORSE, QUESTIONS, REJECTED, TURNS
from annotation.importing.forms.fields import Row, text_of
from annotation.importing.forms.turns import SPEAKERS, is_empty_system_turn, speaker_of
from annotation.importing.record_files import BadField
from annotation.importing.record_image import ONE_ONLY
from annotation.importing.verdicts import is_said
from annotation.reading.names import excerpt
from annotation.texts import IMAGE_MARK, without_placeholder

TURNS_OF_ANSWERS = tuple(dict.fromkeys([*chain(*BETTER_AND_WORSE), *REJECTED, *ARENA]))
"""Members that may hold turns of which the last is an answer."""
_IMAGE_PARTS = ("image", "image_url", "input_image")


def turns_of(row: Row, questions: Sequence[str] = QUESTIONS) -> tuple[list[Any], str]:
    """The turns of the record as ``from`` and ``value``, and the field where they stand.

    ``questions`` are the members that may hold a question alone. Raises BadField.
    """
    asked = row.get("input")
    if isinstance(asked, dict) and isinstance(asked.get("messages"), list):
        return _plain_turns(asked["messages"], "input.messages"), "input.messages"
    if isinstance(asked, list):
        return _plain_turns(asked, "input"), "input"
    for name in TURNS:
        if isinstance(row.get(name), list):
            return _plain_turns(row[name], name), name
    chosen = row.get("chosen")
    # TRL's form with the prompt in both answers; texts are several answers.
    if isinstance(chosen, list) and len(chosen) > 1 and _is_object(chosen[0]):
        turns = _plain_turns(chosen, "chosen")
        return turns, "chosen"
    name = next((name for name in (*questions, "text") if row.get(name) is not None), "")
    if not name or (name == "text" and is_inner(row["text"])):
        there = ", ".join(excerpt(member, 30) for member in [*row][:12])
        raise BadField("question", f"is missing (there are: {there})")
    question = text_of(dict(row), name)
    if name == "instruction" and isinstance(asked, str):  # Alpaca's form: what it is applied to
        question = f"{question}\n{asked}"
    question = without_placeholder(question)
    return [{"from": "human", "value": f"{IMAGE_MARK}\n{question}"}], name


def check_asked_once(
    row: Row,
    conversation: list[dict[str, str]],
    field: str,
    questions: Sequence[str] = QUESTIONS,
) -> None:
    """Raises BadField where another member says that something else than ``field`` was asked.

    So every member that holds turns or a question counts, and every turn before an answer: of two
    that differ, nobody but the author of the file knows which one the answers are to.
    """
    asked = [(turn["from"], _words_of(turn["value"])) for turn in conversation]
    for name in (*TURNS, *TURNS_OF_ANSWERS):
        value = row.get(name)
        if name == field or not isinstance(value, list) or not any(map(_is_object, value)):
            continue
        turns = [plain_turn(turn, where) for turn, where in _told(value, name)]
        if name in TURNS_OF_ANSWERS or (turns and SPEAKERS.get(turns[-1]["from"]) == "gpt"):
            turns.pop()
        before = [(SPEAKERS.get(turn["from"]), _words_of(turn["value"])) for turn in turns]
        if before and before != asked:
            raise BadField(name, f"answers other turns than {field}")
    compound = field == "instruction" and isinstance(row.get("input"), str)
    texts = {words for speaker, words in (asked[0], asked[-1]) if speaker == "human"}
    for name in questions:
        value = row.get(name)
        if name == field or compound or not isinstance(value, str) or not is_said(value):
            continue
        if not is_inner(value) and _words_of(value) not in texts:
            said = f"{excerpt(value, 40)!r}, and {field} {excerpt(asked[-1][1], 40)!r}"
            raise BadField(name, f"asks something else than {field}: {said}")


def is_inner(text: Any) -> bool:
    """Whether the column ``text`` is RLHF-V's, and not what somebody asks."""
    if not isinstance(text, str):
        return isinstance(text, dict)
    return text.strip()[:1] == "{" or text.strip()[:1] + text.strip()[-1:] == "[]"


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _words_of(text: str) -> str:
    return " ".join(text.replace(IMAGE_MARK, " ").split())


def _plain_turns(turns: list[Any], field: str) -> list[Any]:
    """Turns in one spelling, with the image's place in the first, wherever parts have it."""
    told = _told(turns, field)
    plain = [plain_turn(turn, where) for turn, where in told]
    for turn, (_, where) in zip(plain, told, strict=True):
        speaker_of(turn, where)
    images = [_images_in(turn) for turn, _ in told]
    if sum(images) > 1:
        raise BadField(field, f"shows {sum(images)} images; {ONE_ONLY}")
    # Where a part says where the image is, the mark in a text is text.
    if plain and (images[0] or IMAGE_MARK not in plain[0]["value"]):
        plain[0] = {**plain[0], "value": f"{IMAGE_MARK}\n{plain[0]['value']}"}
    return plain


def _told(turns: list[Any], field: str) -> list[tuple[Any, str]]:
    """Each turn that may say something, and where it stands."""
    places = ((turn, f"{field}[{number}]") for number, turn in enumerate(turns))
    return [(turn, where) for turn, where in places if not is_empty_system_turn(turn)]


def plain_turn(turn: Any, where: str) -> dict[str, Any]:
    """A turn of any spelling as {"from", "value"}; of parts of content, the texts as one."""
    if not isinstance(turn, dict):
        raise BadField(where, "is not an object")
    role = turn.get("from", turn.get("role"))
    content = turn.get("value", turn.get("content"))
    if isinstance(content, list):
        content = _text_of_parts(content, where)
    if content is not None and not isinstance(content, str):
        raise BadField(where, "holds neither a text nor parts of content")
    if _images_in(turn) and SPEAKERS.get(str(role)) != "human":
        raise BadField(where, "shows an image, and is no turn of the human")
    return {"from": str(role), "value": content or ""}


def _text_of_parts(parts: list[Any], where: str) -> str:
    texts = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("text", "input_text"):
            texts.append(text_of(part, "text", where, empty=True))
        elif isinstance(part, str):
            texts.append(part)
        elif kind not in _IMAGE_PARTS:
            raise BadField(where, "holds a part that is neither text nor an image")
    return "\n".join(texts)


def _images_in(turn: dict[str, Any]) -> int:
    """How many parts of a turn's content are images."""
    content = turn.get("value", turn.get("content"))
    parts = content if isinstance(content, list) else []
    return sum(isinstance(part, dict) and part.get("type") in _IMAGE_PARTS for part in parts)
