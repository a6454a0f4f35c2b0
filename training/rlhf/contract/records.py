"""Records: what a line of ``data/*.jsonl`` or of ``generations.jsonl`` is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

from training.rlhf.contract.wire import ContractError, build, to_json

IMAGE_TOKEN = "<image>"


@dataclass(frozen=True, kw_only=True)
class Turn:
    speaker: Literal["human", "gpt"]
    text: str


def without_placeholder(text: str) -> str:
    """The first human turn of a record without its image placeholder.

    The placeholder stands at the beginning or the end, once; the same characters anywhere else are
    what somebody wrote.
    """
    text = text.strip()
    if text.startswith(IMAGE_TOKEN):
        return text.removeprefix(IMAGE_TOKEN).strip()
    return text.removesuffix(IMAGE_TOKEN).strip()


@dataclass(frozen=True, kw_only=True)
class Record:
    """What all records share: an image and the conversation about it, ending with a human turn.

    The image is that of the first human turn (``without_placeholder``).

    The wire format ends ``conversations`` with an empty ``gpt`` turn, as the paper's does. Where
    ``image`` is a list there, the conversation has an ``<image>`` for each, in their order.
    """

    id: str
    image: str
    conversation: tuple[Turn, ...]
    captions: tuple[str, ...] = ()
    more_images: tuple[str, ...] = ()
    """The images after the first."""

    @property
    def images(self) -> tuple[str, ...]:
        return (self.image, *self.more_images)

    @property
    def question(self) -> str:
        """The turn to answer, as people read it."""
        text = self.conversation[-1].text
        if self.more_images:
            return text.replace(IMAGE_TOKEN, "").strip()
        alone = all(turn.speaker != "human" for turn in self.conversation[:-1])
        return without_placeholder(text) if alone else text.strip()

    @property
    def _image_json(self) -> str | list[str]:
        return list(self.images) if self.more_images else self.image


@dataclass(frozen=True, kw_only=True)
class ResponsePair(Record):
    """Two responses to score; nobody need have said which is better."""

    output_1: str
    output_2: str

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**_shared(data), **_outputs(data))


@dataclass(frozen=True, kw_only=True)
class PreferencePair(ResponsePair):
    """One line of a release in the ``llava_rlhf`` format: the paper's own, and more."""

    model_1: str = ""
    model_2: str = ""
    preference: Literal[1, 2]
    """The better output."""
    hallucination: bool = True
    """True when honesty decided, False when helpfulness did."""
    votes: dict[str, int] = field(default_factory=dict)
    margin: float = 0.0
    """(votes for the better - votes for the worse) / votes, in 0..1."""

    @property
    def better(self) -> str:
        return self.output_1 if self.preference == 1 else self.output_2

    @property
    def worse(self) -> str:
        return self.output_2 if self.preference == 1 else self.output_1

    @property
    def share_for_better(self) -> float:
        """Share of the votes for the better output, a tie counting half; 1 without votes."""
        total = sum(self.votes.values())
        if not total:
            return 1.0
        return (self.votes.get(str(self.preference), 0) + 0.5 * self.votes.get("tie", 0)) / total

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "image": self._image_json,
            "conversations": _turns_to_json(self.conversation, answer=""),
            "output_1": {"from": self.model_1 or "llava", "value": self.output_1},
            "output_2": {"from": self.model_2 or "llava", "value": self.output_2},
            "preference": self.preference,
            "hallucination": self.hallucination,
            "captions": list(self.captions),
            "votes": self.votes,
            "margin": self.margin,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        shared = _shared(data)
        preference = _require(data, "preference", int)
        if preference not in (1, 2):
            raise ContractError("preference", f"is {preference}, not 1 or 2")
        outputs = _outputs(data)
        models: dict[str, Any] = {
            f"model_{n}": str(data[f"output_{n}"].get("from", "")) for n in (1, 2)
        }
        return cls(
            **shared,
            **outputs,
            **models,
            preference=preference,
            hallucination=bool(data.get("hallucination", True)),
            votes=dict(data.get("votes", {})),
            margin=float(data.get("margin", 0.0)),
        )


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
            "image": self._image_json,
            "conversations": _turns_to_json(self.conversation, answer=""),
            "captions": list(self.captions),
            "caption_type": self.caption_type,
            "length_bonus": self.length_bonus,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        caption_type = data.get("caption_type", 1)
        if caption_type not in range(1, 8):
            raise ContractError(
                "caption_type", f"is {caption_type!r}, not a whole number from 1 to 7"
            )
        try:
            length_bonus = float(data.get("length_bonus", 1.0))
        except (TypeError, ValueError):
            raise ContractError("length_bonus", "is not a number") from None
        return cls(**_shared(data), caption_type=caption_type, length_bonus=length_bonus)


@dataclass(frozen=True, kw_only=True)
class ConversationRecord(Record):
    """A conversation with its answer, for supervised fine-tuning."""

    answer: str
    all_answers: bool = False
    """Learn every gpt turn, not only the last: for conversations of which all is worth learning."""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "image": self._image_json,
            "conversations": _turns_to_json(self.conversation, answer=self.answer),
            "captions": list(self.captions),
            "all_answers": self.all_answers,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        turns = _require(data, "conversations", list)
        if not turns or not isinstance(turns[-1], dict) or turns[-1].get("from") != "gpt":
            raise ContractError("conversations", "does not end with a gpt turn")
        answer = _text(turns[-1], "value", f"conversations[{len(turns) - 1}]")
        if not answer.strip():
            raise ContractError(f"conversations[{len(turns) - 1}].value", "is empty")
        all_answers = data.get("all_answers", False)
        if not isinstance(all_answers, bool):
            raise ContractError("all_answers", "is neither true nor false")
        return cls(**_shared(data), answer=answer, all_answers=all_answers)


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


def _shared(data: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ContractError("record", f"is {type(data).__name__}, not an object")
    turns = _require(data, "conversations", list)
    conversation: list[Turn] = []
    for position, turn in enumerate(turns):
        name = f"conversations[{position}]"
        if not isinstance(turn, dict):
            raise ContractError(name, "is not an object with 'from' and 'value'")
        speaker = turn.get("from")
        if speaker not in ("human", "gpt"):
            raise ContractError(f"{name}.from", f"is {speaker!r}, not 'human' or 'gpt'")
        if not conversation and speaker != "human":
            raise ContractError(f"{name}.from", "the first turn is not the human's")
        if conversation and conversation[-1].speaker == speaker:
            raise ContractError(f"{name}.from", f"{speaker} follows {speaker}")
        conversation.append(Turn(speaker=speaker, text=_text(turn, "value", name)))
        if position < len(turns) - 1 and not conversation[-1].text.strip():
            raise ContractError(f"{name}.value", "is empty")
    if conversation and conversation[-1].speaker == "gpt":
        conversation.pop()
    if not conversation or conversation[-1].speaker != "human":
        raise ContractError("conversations", "has no human turn to answer")
    captions = data.get("captions") or []
    if not isinstance(captions, list) or not all(isinstance(c, str) for c in captions):
        raise ContractError("captions", "is not a list of texts")
    images = _images(data, conversation)
    return {
        "id": str(_require(data, "id", (str, int))),
        "image": images[0],
        "more_images": tuple(images[1:]),
        "conversation": tuple(conversation),
        "captions": tuple(captions),
    }


def _images(data: dict[str, Any], conversation: list[Turn]) -> list[str]:
    named = _require(data, "image", (str, list))
    if isinstance(named, str):
        return [named]
    if not named or not all(isinstance(name, str) for name in named):
        raise ContractError("image", "is neither a text nor a list of texts")
    places = sum(turn.text.count(IMAGE_TOKEN) for turn in conversation if turn.speaker == "human")
    if len(named) > 1 and places != len(named):
        raise ContractError(
            "image", f"names {len(named)} images, but the conversations have {places} {IMAGE_TOKEN}"
        )
    return named


def _outputs(data: dict[str, Any]) -> dict[str, Any]:
    names = ("output_1", "output_2")
    return {name: _text(_require(data, name, dict), "value", name) for name in names}


def _turns_to_json(turns: tuple[Turn, ...], *, answer: str) -> list[dict[str, str]]:
    wire = [{"from": turn.speaker, "value": turn.text} for turn in turns]
    return [*wire, {"from": "gpt", "value": answer}]


def _require(data: dict[str, Any], name: str, types_: type | tuple[type, ...]) -> Any:
    if not isinstance(data, dict):
        raise ContractError("record", f"is {type(data).__name__}, not an object")
    if name not in data:
        raise ContractError(name, "is missing")
    if not isinstance(data[name], types_) or isinstance(data[name], bool):
        raise ContractError(name, f"is {type(data[name]).__name__}, which is not expected here")
    return data[name]


def _text(data: dict[str, Any], name: str, where: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise ContractError(f"{where}.{name}", "is missing" if value is None else "is not a text")
    return value
