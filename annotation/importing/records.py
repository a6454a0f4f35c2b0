"""The formats that come in, one object at a time: parsed whole, or refused with the field named.

The wire format is the one of releases (docs/labelling-protocol.md) and of the paper's own files.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from annotation.answers import SPAN_KINDS
from annotation.corrections import CORRECTION, is_changed
from annotation.importing.members import cell
from annotation.importing.record_files import BadField, Faults, Problem
from annotation.importing.the_picture import is_absent, name_of_picture
from annotation.importing.verdicts import is_said
from annotation.reading.names import normal, told_by
from annotation.texts import (
    IMAGE_MARK,
    LONGEST_TEXT,
    is_visible,
    look_alike,
    names_a_model,
    place_of_media,
    special_token,
    turns_direction,
    without_placeholder,
)
from config.outside import is_storable, whole_number

LONGEST_ID = 200
A_TIE = "is a tie: no label, so people are asked"
MARK_KINDS = (*SPAN_KINDS, CORRECTION)
"""Holds the image's place in the first turn of the human, and is text anywhere else."""
_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, kw_only=True)
class Label:
    """A preference that came with the file: the better response, and how it was found."""

    preference: int
    hallucination: bool = True
    margin: float = 1.0
    votes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PromptIn:
    """A prompt of a file; ``image`` is the name by which the file calls its image."""

    line: int
    id: str
    image: str
    conversation: list[dict[str, str]]
    captions: list[str] = field(default_factory=list)
    caption_type: int = 1
    length_bonus: float = 1.0
    not_taken: dict[str, str] = field(default_factory=dict)
    """What the record brings and is not kept: the reason by field."""

    def warnings(self) -> Iterator[Problem]:
        """What in its turns may have been meant to be more than text, and what is not taken."""
        for name, reason in self.not_taken.items():
            yield Problem(self.line, name, reason)
        for number, turn in enumerate(self.conversation):
            text, field = turn["value"], f"conversations[{number}].value"
            asked = text if number else without_placeholder(text)
            marks = text.count(IMAGE_MARK) - asked.count(IMAGE_MARK)
            if marks > 1:
                reason = f"has {marks} places for the one image: it stands at the first"
                yield Problem(self.line, field, reason)
            yield from _text_like_media(self.line, field, asked)

    def content_sha256(self, image_sha256: str) -> str:
        """Equal for prompts that ask the same about the same image with the same facts."""
        return digest(
            image_sha256, self.conversation, self.captions, self.caption_type, self.length_bonus
        )


@dataclass(frozen=True, kw_only=True)
class PairIn:
    """A prompt of a file with two responses to it."""

    prompt: PromptIn
    id: str
    response_1: str
    response_2: str
    model_1: str = ""
    model_2: str = ""
    label: Label | None = None
    id_of_question: bool = False
    """Whether further pairs of answers to the same question may go by the same id."""
    marks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Marked words by response; without a response that nobody looked through."""
    corrections: list[dict[str, Any]] = field(default_factory=list)
    """{"response", "text"}: as it ought to read."""
    corrects: str = ""
    """The id of the pair of which this one is the correction of an answer."""
    tie: bool = False
    """Whether the file says that neither is better: no preference, so people are asked."""
    vote_of: str = ""
    """Whose answer alone the record is, in exports with a row for each: rows of one pair are then
    counted together. The name is that of the answer and not of a person."""
    votes: dict[str, int] = field(default_factory=dict)
    """Of ``vote_of``, also where they are for a tie."""
    not_taken: dict[str, str] = field(default_factory=dict)
    """What the record brings and is not kept: the reason by field."""

    @property
    def line(self) -> int:
        return self.prompt.line

    def warnings(self) -> Iterator[Problem]:
        """What an annotator should not see, or need not judge."""
        yield from self.prompt.warnings()
        models = (self.model_1, self.model_2)
        for number, text in ((1, self.response_1), (2, self.response_2)):
            field = f"output_{number}"
            name = names_a_model(text, *models)
            if name is not None:
                yield Problem(self.line, field, f"names a model: {name}")
            token = special_token(text)
            if token is not None:
                yield Problem(self.line, field, f"ends with a special token: {token}")
            yield from _text_like_media(self.line, field, text)
            if turns_direction(text):
                yield Problem(self.line, field, "holds controls that change the direction of text")
        for field, reason in self.not_taken.items():
            yield Problem(self.line, field, reason)
        if self.tie and not self.vote_of:  # else the answers of others may decide
            yield Problem(self.line, "preference", A_TIE)
        if look_alike(self.response_1, self.response_2):
            reason = "is the same text as output_1: settled as equal, and nobody is asked"
            yield Problem(self.line, "output_2", reason)


def _text_like_media(line: int, field: str, text: str) -> Iterator[Problem]:
    place = place_of_media(text)
    if place is not None:
        yield Problem(line, field, f"holds {place}, which stands for nothing there: it is text")


Records = Sequence[PairIn | PromptIn]


def prompt_of(record: PairIn | PromptIn) -> PromptIn:
    return record.prompt if isinstance(record, PairIn) else record


def digest(*parts: Any) -> str:
    """SHA-256 of JSON-able parts, the same for equal parts in every process."""
    return hashlib.sha256(_CANONICAL.encode(parts).encode()).hexdigest()


# --------------------------------------------------------------------------------------------
# Objects to records
# --------------------------------------------------------------------------------------------


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


def parse_prompt(line: int, data: Any) -> PromptIn:
    """A prompt record: id, image, conversations, and optionally facts. Raises BadField."""
    if not isinstance(data, dict):
        raise BadField("", "is not an object")
    data = in_our_words(data)
    check_all_is_shown(data)
    caption_type = data.get("caption_type", 1)
    if type(caption_type) is not int or not 1 <= caption_type <= 7:
        raise BadField("caption_type", "is not a whole number from 1 to 7")
    return PromptIn(
        line=line,
        id=identifier(data),
        image=text_of({"image": name_of_picture(data)}, "image"),
        conversation=conversation_of(data.get("conversations")),
        captions=captions_in(data),
        caption_type=caption_type,
        length_bonus=_number(data, "length_bonus", 1.0),
    )


def parse_pair(line: int, data: Any) -> PairIn:
    """A prompt record with output_1 and output_2, labelled or not. Raises BadField."""
    data = in_our_words(data)
    prompt = parse_prompt(line, data)
    last = len(data["conversations"]) - 1
    if last >= len(prompt.conversation) and is_visible(
        text_of(data["conversations"][-1], "value", empty=True)
    ):
        reason = "is filled, but the answers are output_1 and output_2: it has to be empty"
        raise BadField(f"conversations[{last}].value", reason)
    outputs = [_output(data, f"output_{number}") for number in (1, 2)]
    corrections, not_taken = _corrections(data, (outputs[0][0], outputs[1][0]))
    return PairIn(
        prompt=prompt,
        id=prompt.id,
        response_1=outputs[0][0],
        response_2=outputs[1][0],
        model_1=outputs[0][1],
        model_2=outputs[1][1],
        label=_label(data),
        marks=_marks(data),
        corrections=corrections,
        not_taken=not_taken,
    )


def _marks(data: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for number in ("1", "2"):
        name = f"output_{number}"
        output = data[name]
        if isinstance(output, dict) and output.get("marks") is not None:
            found[number] = marks_in(output["marks"], output["value"], f"{name}.marks")
    return found


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


def _corrections(
    data: dict[str, Any], outputs: tuple[str, str]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The corrections of a record, and those that are not kept: people may have given several of
    one output, but each text counts once, and one that changes nothing is none."""
    not_taken = {}
    given = data.get("corrections") or []
    if not isinstance(given, list):
        raise BadField("corrections", "is not a list of corrections")
    found: list[dict[str, Any]] = []
    for position, one in enumerate(given):
        where = f"corrections[{position}]"
        if not isinstance(one, dict):
            raise BadField(where, "is not an object with output and value")
        output = whole_number(one.get("output"), least=1, most=2)
        if output is None:
            raise BadField(f"{where}.output", "is not 1 or 2")
        text = text_of(one, "value", where)
        correction = {"response": output, "text": text}
        if not is_changed(outputs[output - 1], text):
            not_taken[where] = f"is not taken: it is output_{output}, unchanged"
        elif correction in found:
            place = found.index(correction)
            not_taken[where] = f"is not taken: it is the same as the one in place {place}"
        else:
            found.append(correction)
    return found, not_taken


def pair_answers(
    first: Sequence[dict[str, Any] | None],
    second: Sequence[dict[str, Any] | None],
    *,
    models: tuple[str, str],
    faults: Faults,
    unusable: Faults,
) -> list[PairIn | None]:
    """Two MMHal-style answer files side by side: one comparison per question.

    The questions must be the same in the same order, as answer files of one benchmark are. None
    stands for an answer that cannot be used, and makes a pair that cannot be either.
    """
    if len(first) != len(second):
        counts = f"{len(first)} and {len(second)}"
        faults.add(Problem(0, "", f"the two files hold different numbers of answers: {counts}"))
        return []
    pairs: list[PairIn | None] = []
    for number, (one, two) in enumerate(zip(first, second, strict=True), start=1):
        try:
            pairs.append(_answer_pair(number, one, two, models) if one and two else None)
        except BadField as error:
            faults.add(Problem(number, error.field, error.reason))
    return pairs


def parse_answer(line: int, data: Any) -> dict[str, Any]:
    """One record of an MMHal-style answer file. Raises BadField."""
    if not isinstance(data, dict):
        raise BadField("", "is not an object")
    objects = data.get("image_content") or []
    if not isinstance(objects, list):
        raise BadField("image_content", "is not a list of texts")
    for position, name in enumerate(objects):
        _check_text(name, f"image_content[{position}]")
    return {
        "question": text_of(data, "question"),
        "image_id": data.get("image_id"),
        "image_src": text_of(data, "image_src"),
        "model_answer": text_of(data, "model_answer"),
        "gt_answer": text_of(data, "gt_answer") if data.get("gt_answer") else "",
        "image_content": objects,
    }


def _answer_pair(
    number: int, one: dict[str, Any], two: dict[str, Any], models: tuple[str, str]
) -> PairIn:
    images = [_own_name(answer["image_src"]) for answer in (one, two)]
    if one["question"].split() != two["question"].split():
        raise BadField("question", "differs between the two files")
    # An address or a path of the run: the picture's own name, or its id, says which it is.
    ids = [_said_id(answer["image_id"]) for answer in (one, two)]
    if all(ids) and ids[0] != ids[1]:
        raise BadField("image_id", "differs between the two files")
    if told_by(images[0]) != told_by(images[1]) and not all(ids):
        raise BadField("image_src", "differs between the two files")
    references = {answer["gt_answer"] for answer in (one, two)} - {""}
    if len(references) > 1:
        raise BadField("gt_answer", "differs between the two files")
    objects = one["image_content"] or two["image_content"]
    facts = [f"The image shows: {', '.join(objects)}."] if objects else []
    prompt = PromptIn(
        line=number,
        id=f"mmhal-{number:03d}",
        image=images[0],
        conversation=[{"from": "human", "value": f"<image>\n{one['question']}"}],
        captions=[*facts, *references],
    )
    return PairIn(
        prompt=prompt,
        id=f"{prompt.id} {models[0]} {models[1]}"[:LONGEST_ID],
        response_1=one["model_answer"],
        response_2=two["model_answer"],
        model_1=models[0],
        model_2=models[1],
    )


def _own_name(image: str) -> str:
    """The name of a picture without its folder; an address with a query that tells it apart stays
    as it is."""
    return image if told_by(image)[1] else PurePosixPath(normal(image)).name


def _said_id(value: Any) -> str:
    """The id of a picture as a text; empty where nothing, or no more than 0 or false, is said."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not value:
        return ""
    return str(value).strip() if is_said(value) else ""


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


SPEAKERS = {
    "human": "human",
    "user": "human",
    "gpt": "gpt",
    "assistant": "gpt",
    "model": "gpt",
}
"""Whom the names of roles mean that are in use."""
_UNSHOWN_ROLES = ("system", "developer", "tool", "function", "function_call", "observation")


def speaker_of(turn: Mapping[str, Any], field: str) -> str:
    """Human or gpt. Raises BadField for roles that people are not shown, and for unknown ones."""
    role = str(turn.get("from"))
    if role in _UNSHOWN_ROLES:
        raise BadField(field, f"is a {role} turn, which people are not shown")
    if role not in SPEAKERS:
        raise BadField(field, "is neither human nor gpt")
    return SPEAKERS[role]


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
    for position, turn in enumerate(turns):
        where = f"{field}[{position}]"
        if not isinstance(turn, dict):
            raise BadField(where, "is not an object with from and value")
        speaker = speaker_of(turn, f"{where}.from")
        if position == 0 and speaker != "human":
            raise BadField(f"{where}.from", "the first turn is not the human's")
        if conversation and conversation[-1]["from"] == speaker:
            raise BadField(f"{where}.from", f"{speaker} follows {speaker}")
        text = text_of(turn, "value", where, empty=True)
        if position < len(turns) - 1 and not is_visible(_asked(text, position)):
            raise BadField(f"{where}.value", "is empty")
        conversation.append({"from": speaker, "value": text})
    if conversation[-1]["from"] == "gpt":
        conversation.pop()
    if not is_visible(_asked(conversation[-1]["value"], len(conversation) - 1)):
        raise BadField(field, "ends with an empty question")
    return conversation


def _asked(text: str, position: int) -> str:
    """What a turn says: only the first one may hold the place of the image."""
    return without_placeholder(text) if position == 0 else text


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
        _check_text(caption, f"captions[{position}]")
        if not is_visible(caption):
            raise BadField(f"captions[{position}]", "is empty")
    return captions


def listed(texts: Any) -> Any:
    """A cell of a table can hold several texts as a list only, of JSON or of Python."""
    if not isinstance(texts, str) or not texts.lstrip().startswith(('["', "['")):
        return texts
    found = cell(texts.strip())
    return found if isinstance(found, list) else texts


def _output(data: dict[str, Any], name: str) -> tuple[str, str]:
    """(text, model) of {"from": model, "value": text} or of a bare text."""
    value = data.get(name)
    if isinstance(value, dict):
        model = value.get("from", "")
        if not isinstance(model, str) or len(model) > LONGEST_ID or not is_storable(model):
            raise BadField(f"{name}.from", "is not the name of a model")
        text = text_of(value, "value", name)
    else:
        model, text = "", text_of(data, name)
    return text, model


def _label(data: dict[str, Any]) -> Label | None:
    if data.get("preference") is None:
        return None
    preference = whole_number(data["preference"], least=1, most=2)
    if preference is None:
        raise BadField("preference", "is not 1 or 2")
    margin = _number(data, "margin", 1.0)
    if not 0 <= margin <= 1:
        raise BadField("margin", "is not between 0 and 1")
    votes = data.get("votes") or {}
    if not isinstance(votes, dict) or not all(
        is_storable(whom) and type(n) is int and 0 <= n < 2**31 for whom, n in votes.items()
    ):
        raise BadField("votes", "is not an object of counts")
    hallucination = data.get("hallucination", True)
    if not isinstance(hallucination, bool):
        raise BadField("hallucination", "is not true or false")
    return Label(preference=preference, hallucination=hallucination, margin=margin, votes=votes)


def _number(data: dict[str, Any], name: str, default: float) -> float:
    value = default if data.get(name) is None else data[name]
    if type(value) not in (int, float) or not math.isfinite(value):
        raise BadField(name, "is not a number")
    return float(value)


def text_of(data: dict[str, Any], name: str, where: str = "", empty: bool = False) -> str:
    """A text that can be stored; ``where`` stands before its name. Raises BadField."""
    path = f"{where}.{name}" if where else name
    if data.get(name) is None:
        raise BadField(path, "is missing")
    _check_text(data[name], path)
    if not empty and not is_visible(data[name]):
        raise BadField(path, "is empty" if not data[name].strip() else "holds nothing visible")
    return str(data[name])


def _check_text(value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise BadField(path, "is not a text")
    if len(value) > LONGEST_TEXT:
        raise BadField(path, f"is longer than {LONGEST_TEXT} characters")
    if not is_storable(value):
        raise BadField(path, "holds characters that cannot be stored")
