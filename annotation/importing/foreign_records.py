"""LLaVA's conversations, alone or two files side by side, and files of captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import IO, Any

from annotation.importing.record_files import BadField, Faults, Problem
from annotation.importing.records import (
    LONGEST_ID,
    PairIn,
    PromptIn,
    digest,
    parse_prompt,
    text_of,
)
from annotation.reading.files import Unreadable, document
from annotation.reading.names import Ambiguous, Names, OneNameEach, excerpt, key
from config.outside import is_storable

Conversation = tuple[PromptIn, str]
"""A prompt and the answer that the conversation ends with."""


def parse_conversation(line: int, data: Any) -> Conversation:
    """A conversation that ends with an answer. Raises BadField."""
    prompt = parse_prompt(line, data)
    last = data["conversations"][-1]
    if last.get("from") != "gpt":
        raise BadField("conversations", "does not end with an answer")
    return prompt, text_of(last, "value", f"conversations[{len(data['conversations']) - 1}]")


def pair_conversations(
    first: Sequence[Conversation | None],
    second: Sequence[Conversation | None],
    *,
    models: tuple[str, str],
    faults: Faults,
    unusable: Faults,
) -> list[PairIn | None]:
    """Two files of answers to the same prompts, matched by id and conversation, in any order.

    LLaVA's own files use the number of a picture as the id of all conversations about it.
    """
    known = [_by_id(side, name, faults) for side, name in zip((first, second), models, strict=True)]
    others = known[1]
    repeated = {id for id, told in known[0].items() if len(told) > 1}
    differing: set[str] = set()
    pairs: list[PairIn | None] = []
    for prompt, answer in (one for one in first if one is not None):
        about = others.get(prompt.id, {})
        other = about.pop(_told_by(prompt), None)
        if other is not None:
            pairs.append(_pair(prompt, answer, other[1], models, told=prompt.id in repeated))
            continue
        pairs.append(None)
        if about:
            differing.add(prompt.id)
            problem = Problem(prompt.line, "conversations", "differs between the two files")
        else:
            problem = Problem(prompt.line, "id", f"{prompt.id!r} {_alone(second, 'second')}")
        unusable.add(replace(problem, file=models[0]))
    for prompt, _ in (other for about in others.values() for other in about.values()):
        if prompt.id in differing:
            continue
        pairs.append(None)
        reason = f"{prompt.id!r} {_alone(first, 'first')}"
        unusable.add(Problem(prompt.line, "id", reason, file=models[1]))
    return pairs


def _alone(side: Sequence[Conversation | None], which: str) -> str:
    """Why a conversation has no partner in a file of which lines may be at fault."""
    return f"is not {'among the usable lines of' if None in side else 'in'} the {which} file"


def _by_id(
    side: Sequence[Conversation | None], name: str, faults: Faults
) -> dict[str, dict[str, Conversation]]:
    """Conversations by id and by what they are told by; one that is there twice is a fault."""
    found: dict[str, dict[str, Conversation]] = {}
    for prompt, answer in (one for one in side if one is not None):
        about = found.setdefault(prompt.id, {})
        first = about.setdefault(_told_by(prompt), (prompt, answer))
        if first[0] is not prompt:
            reason = f"{prompt.id!r} is the id of line {first[0].line} too"
            faults.add(Problem(prompt.line, "id", reason, file=name))
    return found


def _told_by(prompt: PromptIn) -> str:
    return digest(key(prompt.image), prompt.conversation)


def _pair(prompt: PromptIn, one: str, two: str, models: tuple[str, str], *, told: bool) -> PairIn:
    if told:
        prompt = replace(prompt, id=f"{prompt.id} {digest(prompt.conversation)[:8]}")
    return PairIn(
        prompt=prompt,
        id=f"{prompt.id} {models[0]} {models[1]}"[:LONGEST_ID],
        response_1=one,
        response_2=two,
        model_1=models[0],
        model_2=models[1],
    )


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


class Captions:
    """A file of captions, to be joined to images by their names.

    An image that several captions fit, and a caption that several images fit, are faults.
    """

    def __init__(self, file: IO[bytes], faults: Faults) -> None:
        problems: list[Problem] = []
        self._captions = read_captions(file, problems)
        for problem in problems:
            faults.add(problem)
        self._names = Names(self._captions)
        self._alone = OneNameEach()
        self._faults = faults

    def of(self, image: str, line: int) -> list[str]:
        """The captions of the image that a record of ``line`` names; none is no fault."""
        try:
            name = self._names.find(image)
        except Ambiguous as several:
            reason = f"{excerpt(image)} fits several captions: {several}"
            self._faults.add(Problem(line, "image", reason))
            return []
        if name is None:
            return []
        other = self._alone.other(image, name)
        if other is not None:
            reason = f"the caption of {excerpt(name)} fits this image and {excerpt(other)}"
            self._faults.add(Problem(line, "image", reason))
        return self._captions[name]

    def example(self) -> str:
        """How the file calls one of its images."""
        return excerpt(next(iter(self._captions), "none"))
