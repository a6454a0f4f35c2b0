"""What comes in, read and checked but not yet stored: prompts, and pairs of responses to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotation.importing.record_files import Problem
from annotation.texts import (
    IMAGE_MARK,
    look_alike,
    names_a_model,
    place_of_media,
    role_named,
    special_token,
    token_before,
    turns_direction,
    without_placeholder,
)

LONGEST_ID = 200
A_TIE = "is a tie: no label, so people are asked"
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
            before = token_before(text)
            if before is not None:
                yield Problem(self.line, field, f"begins with a special token: {before}")
            role = role_named(text)
            if role is not None:
                yield Problem(self.line, field, f"begins with the name of a role: {role}")
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
