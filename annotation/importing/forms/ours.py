"""Records in our own form: of releases (docs/labelling-protocol.md), and of the paper's files."""

from __future__ import annotations

from typing import Any

from annotation.corrections import is_changed
from annotation.importing import verdicts
from annotation.importing.forms.fields import (
    captions_in,
    check_all_is_shown,
    identifier,
    marks_in,
    number_of,
    text_of,
)
from annotation.importing.forms.turns import conversation_of, in_our_words
from annotation.importing.forms.two_answers import NUMBERS, side_said
from annotation.importing.record_files import BadField
from annotation.importing.record_image import name_of_picture
from annotation.importing.records import LONGEST_ID, Label, PairIn, PromptIn
from annotation.texts import is_visible
from config.sanitising import is_storable, whole_number


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
        length_bonus=number_of(data, "length_bonus", 1.0),
    )


def parse_pair(line: int, data: Any) -> PairIn:
    """A prompt record with output_1 and output_2, labelled or not. Raises BadField."""
    data = in_our_words(data)
    prompt = parse_prompt(line, data)
    side = side_said(data) if data.get("preference") is None else None
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
        label=_label({**data, "preference": NUMBERS[side]} if side in NUMBERS else data),
        tie=side == verdicts.TIE,
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
    margin = number_of(data, "margin", 1.0)
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
