"""Formats of other projects, one object at a time: RLHF-V and RLAIF-V rows, conversations as LLaVA
keeps them, and files of captions. Each becomes the records of ``annotation.importing.records``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import IO, Any

from annotation.importing.record_files import BadField, Problem
from annotation.importing.records import (
    LONGEST_ID,
    Label,
    PairIn,
    PromptIn,
    digest,
    identifier,
    parse_prompt,
    prompt_of,
    text_of,
)
from annotation.reading.files import Unreadable, document
from annotation.reading.names import Ambiguous, Names, OneNameEach, excerpt
from config.outside import NotJson, is_storable, parse_json

Conversation = tuple[PromptIn, str]
"""A prompt and the answer that the conversation ends with."""


def parse_rlhf_v(line: int, data: Any) -> PairIn:
    """A row with question, chosen and rejected, as text or (as RLHF-V publishes) inside ``text``.

    ``chosen`` becomes response 1 or 2 by a hash of the row, so that the better one has no place
    of its own. Raises BadField.
    """
    if not isinstance(data, dict):
        raise BadField("", "is not an object")
    row = {**data, **_inner(data.get("text"))}
    question, chosen, rejected = (text_of(row, name) for name in ("question", "chosen", "rejected"))
    origin = _origin(row.get("origin_split"))
    first = 1 + int(digest(question, chosen, rejected)[:8], 16) % 2
    models = _models(origin)
    sides = [(chosen, models[0]), (rejected, models[1])]
    (one, model_1), (two, model_2) = sides if first == 1 else sides[::-1]
    id = _row_id(row, origin, digest(question, chosen, rejected))
    prompt = PromptIn(
        line=line,
        id=id,
        image=_image_name(row),
        conversation=[
            {"from": "human", "value": f"<image>\n{question.replace('<image>', '').strip()}"}
        ],
    )
    return PairIn(
        prompt=prompt,
        id=id,
        response_1=one,
        response_2=two,
        model_1=model_1,
        model_2=model_2,
        label=Label(preference=first),
    )


def _inner(text: Any) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value = parse_json(text) if isinstance(text, str) else text
    except NotJson as error:
        raise BadField("text", str(error)) from None
    if not isinstance(value, dict):
        raise BadField("text", "is not an object")
    return value


def _origin(value: Any) -> dict[str, Any]:
    """What ``origin_split`` says; a plain name (or nothing) says nothing that is read here."""
    try:
        found = parse_json(value) if isinstance(value, str) else value
    except NotJson:
        return {}
    return found if isinstance(found, dict) else {}


def _models(origin: dict[str, Any]) -> tuple[str, str]:
    """Of chosen and rejected: ours are named apart, RLAIF-V's are one model."""
    models = origin.get("models")
    names = (
        (models.get("chosen"), models.get("rejected"))
        if isinstance(models, dict)
        else (origin.get("model"), origin.get("model"))
    )
    first, second = (
        name if isinstance(name, str) and len(name) <= LONGEST_ID and is_storable(name) else ""
        for name in names
    )
    return first, second


def _row_id(row: dict[str, Any], origin: dict[str, Any], content: str) -> str:
    if row.get("ds_name") == "factloop" and isinstance(origin.get("id"), str):
        return identifier(origin)
    name = row.get("ds_name") or row.get("origin_dataset") or "rlhf-v"
    number = row.get("idx", content[:16])
    return identifier({"id": f"{name}-{number}"})


def _image_name(row: dict[str, Any]) -> str:
    image = row.get("image")
    if isinstance(image, dict):
        image = image.get("path")
    if isinstance(image, str) and image:
        return text_of({"image": image}, "image")
    if row.get("image_path"):
        return text_of(row, "image_path")
    raise BadField("image", "is not the name of an image (pictures come beside the file, as a zip)")


def parse_conversation(line: int, data: Any) -> Conversation:
    """A conversation that ends with an answer. Raises BadField."""
    prompt = parse_prompt(line, data)
    last = data["conversations"][-1]
    if last.get("from") != "gpt":
        raise BadField("conversations", "does not end with an answer")
    return prompt, text_of(last, "value", f"conversations[{len(data['conversations']) - 1}]")


def pair_conversations(
    first: Sequence[Conversation],
    second: Sequence[Conversation],
    *,
    models: tuple[str, str],
    problems: list[Problem],
) -> list[PairIn]:
    """Two files of answers to the same prompts, matched by id in whatever order."""
    others = {prompt.id: (prompt, answer) for prompt, answer in second}
    pairs = []
    for prompt, answer in first:
        other = others.pop(prompt.id, None)
        if other is None:
            reason = f"{prompt.id!r} is not in the second file"
            problems.append(Problem(prompt.line, "id", reason, file=models[0]))
        elif (other[0].image, other[0].conversation) != (prompt.image, prompt.conversation):
            reason = "differs between the two files"
            problems.append(Problem(prompt.line, "conversations", reason, file=models[0]))
        else:
            pairs.append(
                PairIn(
                    prompt=prompt,
                    id=f"{prompt.id} {models[0]} {models[1]}"[:LONGEST_ID],
                    response_1=answer,
                    response_2=other[1],
                    model_1=models[0],
                    model_2=models[1],
                )
            )
    for prompt, _ in others.values():
        reason = f"{prompt.id!r} is not in the first file"
        problems.append(Problem(prompt.line, "id", reason, file=models[1]))
    return pairs


# --------------------------------------------------------------------------------------------
# Captions
# --------------------------------------------------------------------------------------------


def read_captions(file: IO[bytes], problems: list[Problem]) -> dict[str, list[str]]:
    """Captions by image: one JSON object of texts or lists of texts, as LLaVA-RLHF has them."""
    try:
        values = document(file)
    except Unreadable as error:
        problems.append(Problem(0, "", str(error), file="captions"))
        return {}
    if not isinstance(values, dict):
        reason = "is not one JSON object of captions by image"
        problems.append(Problem(0, "", reason, file="captions"))
        return {}
    captions: dict[str, list[str]] = {}
    for image, value in values.items():
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and all(_is_caption(text) for text in texts):
            captions[image] = texts
        else:
            reason = "is neither a text nor a list of texts"
            problems.append(Problem(0, excerpt(image), reason, file="captions"))
    return captions


def _is_caption(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip()) and is_storable(text)


def with_captions(
    records: Sequence[PairIn | PromptIn],
    captions: dict[str, list[str]],
    problems: list[Problem],
) -> list[PairIn | PromptIn]:
    """The records with the captions of their images; those that bring facts keep their own.

    An image that several captions fit, and a caption that several images fit, are problems.
    """
    names = Names(captions)
    alone = OneNameEach()
    known: dict[str, list[str]] = {}
    for record in records:
        prompt = prompt_of(record)
        if prompt.image not in known and not prompt.captions:
            known[prompt.image] = _captions_of(prompt, names, captions, alone, problems)

    def of(prompt: PromptIn) -> PromptIn:
        found = known.get(prompt.image)
        return replace(prompt, captions=found) if found and not prompt.captions else prompt

    return [
        replace(record, prompt=of(record.prompt)) if isinstance(record, PairIn) else of(record)
        for record in records
    ]


def _captions_of(
    prompt: PromptIn,
    names: Names,
    captions: dict[str, list[str]],
    alone: OneNameEach,
    problems: list[Problem],
) -> list[str]:
    try:
        name = names.find(prompt.image)
    except Ambiguous as several:
        reason = f"{excerpt(prompt.image)} fits several captions: {several}"
        problems.append(Problem(prompt.line, "image", reason))
        return []
    if name is None:
        return []
    other = alone.other(prompt.image, name)
    if other is not None:
        reason = f"the caption of {excerpt(name)} fits this image and {excerpt(other)}"
        problems.append(Problem(prompt.line, "image", reason))
    return captions[name]
