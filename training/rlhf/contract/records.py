"""Records: what a line of ``data/*.jsonl`` or of ``generations.jsonl`` is."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Literal, Self

from training.rlhf.contract.wire import ContractError, build, finite, to_json

IMAGE_TOKEN = "<image>"
_HALVES = re.compile("[\ud800-\udfff]")
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_OTHER_MEDIA = ("video", "videos", "audio", "audios")
_INVISIBLE = frozenset(("Cc", "Cf", "Zs", "Zl", "Zp"))


@dataclass(frozen=True, kw_only=True)
class Turn:
    speaker: Literal["human", "gpt"]
    text: str


def is_visible(text: str) -> bool:
    """Whether there is anything to see in ``text``: the rule of the site's imports, too."""
    return any(
        character not in _BLANK_LETTERS
        and not "\ufe00" <= character <= "\ufe0f"
        and unicodedata.category(character) not in _INVISIBLE
        for character in text
    )


def without_placeholder(text: str) -> str:
    """The first human turn of a record without its image placeholder, as people read it.

    The placeholder stands at the beginning or the end, be it repeated; where it stands at neither,
    the first within is it. The same characters anywhere else are what somebody wrote, in this turn
    as in any other and in an answer. ``annotation.texts`` has the same rule for pages and exports.
    """
    text = text.strip()
    bare = text
    while bare.startswith(IMAGE_TOKEN):
        bare = bare.removeprefix(IMAGE_TOKEN).lstrip()
    while bare.endswith(IMAGE_TOKEN):
        bare = bare.removesuffix(IMAGE_TOKEN).rstrip()
    return bare if bare != text else text.replace(IMAGE_TOKEN, "", 1).strip()


@dataclass(frozen=True, kw_only=True)
class Record:
    """What all records share: an image and the conversation about it, ending with a human turn.

    The image is that of the first human turn (``without_placeholder``). Pairs and conversations to
    learn from may do without: then no ``<image>`` is in them either.

    The wire format ends ``conversations`` with an empty ``gpt`` turn, as the paper's does. Where
    ``image`` is a list there, the conversation has an ``<image>`` for each, in their order.
    """

    id: str
    image: str
    conversation: tuple[Turn, ...]
    captions: tuple[str, ...] = ()
    more_images: tuple[str, ...] = ()
    """The images after the first."""
    answered: str = ""
    """What stood in the last gpt turn, the place of the answer: empty by the contract, and filled
    in files of LLaVA and of the paper, whose answer there is not used."""

    @property
    def images(self) -> tuple[str, ...]:
        """None where the record is text alone."""
        return (self.image, *self.more_images) if self.image else ()

    @property
    def subject(self) -> str:
        """What held-out records are divided by: the image, and without one the record itself."""
        return self.image or self.id

    @property
    def question(self) -> str:
        """The turn to answer, as people read it."""
        text = self.conversation[-1].text
        if self.more_images:
            return text.replace(IMAGE_TOKEN, "").strip()
        alone = all(turn.speaker != "human" for turn in self.conversation[:-1])
        return without_placeholder(text) if alone else text.strip()

    @property
    def asks_nothing(self) -> str:
        """That there is no question, with the member at fault; empty where there is one."""
        if is_visible(self.question):
            return ""
        return f"conversations[{len(self.conversation) - 1}].value: asks nothing"

    @property
    def answers_itself(self) -> str:
        """That its answer is there already, with the member at fault; empty where it is not."""
        if not is_visible(self.answered):
            return ""
        return (
            f"conversations[{len(self.conversation)}].value: is filled, and the answer goes there"
        )

    @property
    def image_json(self) -> str | list[str] | None:
        return list(self.images) if self.more_images else self.image or None


@dataclass(frozen=True, kw_only=True)
class PromptRecord(Record):
    """A prompt to answer: for PPO, for sampling pairs, and for benchmarks."""

    caption_type: int = 1
    """1 general; 2-5 multiple choice with truth A-D; 6 yes/no with truth No; 7 with truth Yes."""
    length_bonus: float = 1.0
    """Multiplier of the length penalty; negative turns it into a bonus."""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "image": self.image_json,
            "conversations": turns_to_json(self.conversation, answer=""),
            "captions": list(self.captions),
            "caption_type": self.caption_type,
            "length_bonus": self.length_bonus,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        shared = shared_fields(data)
        caption_type = data.get("caption_type", 1)
        if type(caption_type) is not int or caption_type not in range(1, 8):
            raise ContractError(
                "caption_type", f"is {caption_type!r}, not a whole number from 1 to 7"
            )
        length_bonus = finite(data.get("length_bonus", 1.0), "length_bonus")
        return cls(**shared, caption_type=caption_type, length_bonus=length_bonus)


@dataclass(frozen=True, kw_only=True)
class ConversationRecord(Record):
    """A conversation with its answer, for supervised fine-tuning."""

    answer: str
    all_answers: bool = False
    """Learn every gpt turn, not only the last: for conversations of which all is worth learning."""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "image": self.image_json,
            "conversations": turns_to_json(self.conversation, answer=self.answer),
            "captions": list(self.captions),
            "all_answers": self.all_answers,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        turns = require(data, "conversations", list)
        shared = {**shared_fields(data, text_alone=True), "answered": ""} if turns else {}
        if not turns or not isinstance(turns[-1], dict) or turns[-1].get("from") != "gpt":
            raise ContractError("conversations", "does not end with a gpt turn")
        answer = text_of(turns[-1], "value", f"conversations[{len(turns) - 1}]")
        if not is_visible(answer):
            raise ContractError(f"conversations[{len(turns) - 1}].value", "is empty")
        all_answers = data.get("all_answers", False)
        if not isinstance(all_answers, bool):
            raise ContractError("all_answers", "is neither true nor false")
        return cls(**shared, answer=answer, all_answers=all_answers)


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One line of ``final/generations.jsonl``: the responses to one prompt."""

    id: str
    responses: tuple[str, ...]
    finished: tuple[bool, ...]
    """Whether each response ended by itself."""

    def to_json(self) -> dict[str, Any]:
        return to_json(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return build(cls, data, "")


def shared_fields(data: dict[str, Any], *, text_alone: bool = False) -> dict[str, Any]:
    """What all records share; ``text_alone``: the image may be missing, null or empty."""
    turns = require(data, "conversations", list)
    conversation: list[Turn] = []
    for position, turn in enumerate(turns):
        name = f"conversations[{position}]"
        if not isinstance(turn, dict):
            raise ContractError(name, "is not an object with 'from' and 'value'")
        speaker = turn.get("from")
        if speaker not in ("human", "gpt"):
            said = "is missing" if speaker is None else f"is {speaker!r}, not 'human' or 'gpt'"
            raise ContractError(f"{name}.from", said)
        if not conversation and speaker != "human":
            raise ContractError(f"{name}.from", "the first turn is not the human's")
        if conversation and conversation[-1].speaker == speaker:
            raise ContractError(f"{name}.from", f"{speaker} follows {speaker}")
        conversation.append(Turn(speaker=speaker, text=text_of(turn, "value", name)))
        if position < len(turns) - 1 and not is_visible(conversation[-1].text):
            raise ContractError(f"{name}.value", "is empty")
    last = conversation[-1] if conversation else None
    answered = conversation.pop().text if last and last.speaker == "gpt" else ""
    if not conversation or conversation[-1].speaker != "human":
        raise ContractError("conversations", "has no human turn to answer")
    captions = given_or(data, "captions", [])
    if not isinstance(captions, list) or not all(isinstance(c, str) for c in captions):
        raise ContractError("captions", "is not a list of texts")
    for position, caption in enumerate(captions):
        check_whole(caption, f"captions[{position}]")
    images = _images(data, conversation, text_alone=text_alone)
    identity = str(require(data, "id", (str, int)))
    for name, text in (("id", identity), *(("image", image) for image in images)):
        check_whole(text, name)
    return {
        "id": identity,
        "image": images[0] if images else "",
        "more_images": tuple(images[1:]),
        "conversation": tuple(conversation),
        "captions": tuple(filter(is_visible, captions)),  # others would be counted as facts
        "answered": answered,
    }


def _images(data: dict[str, Any], conversation: list[Turn], *, text_alone: bool) -> list[str]:
    for medium in _OTHER_MEDIA:
        if data.get(medium):
            raise ContractError(medium, "is not read: a record is about images, or text alone")
    places = sum(turn.text.count(IMAGE_TOKEN) for turn in conversation if turn.speaker == "human")
    if text_alone and data.get("image") in (None, "", []):
        if places:
            raise ContractError("image", f"is missing, and the conversations have {IMAGE_TOKEN}")
        return []
    named = require(data, "image", (str, list))
    if isinstance(named, str):
        return [named]
    if not named or not all(isinstance(name, str) for name in named):
        raise ContractError("image", "is neither a text nor a list of texts")
    if len(named) > 1 and places != len(named):
        raise ContractError(
            "image", f"names {len(named)} images, but the conversations have {places} {IMAGE_TOKEN}"
        )
    return named


def turns_to_json(turns: tuple[Turn, ...], *, answer: str) -> list[dict[str, str]]:
    wire = [{"from": turn.speaker, "value": turn.text} for turn in turns]
    return [*wire, {"from": "gpt", "value": answer}]


_IN_WORDS = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}


def require(data: dict[str, Any], name: str, types_: type | tuple[type, ...]) -> Any:
    if not isinstance(data, dict):
        raise ContractError("record", "is not an object")
    if name not in data:
        raise ContractError(name, "is missing")
    if not isinstance(data[name], types_) or isinstance(data[name], bool):
        wanted = " or ".join(
            _IN_WORDS[one] for one in (types_ if isinstance(types_, tuple) else (types_,))
        )
        raise ContractError(name, f"is not {wanted}")
    return data[name]


def given_or(data: dict[str, Any], name: str, default: Any) -> Any:
    """The member ``name``; ``default`` where it is not there or null, and nowhere else."""
    value = data.get(name)
    return default if value is None else value


def text_of(data: dict[str, Any], name: str, where: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise ContractError(f"{where}.{name}", "is missing" if value is None else "is not a text")
    check_whole(value, f"{where}.{name}")
    return value


def check_whole(text: str, name: str) -> None:
    """Raises ContractError for halves of characters, which no tokenizer takes and no file holds."""
    if not text.isascii() and _HALVES.search(text):
        raise ContractError(name, "holds half of a character (a lone surrogate)")
