"""Conversations to token ids through the model's own chat template.

A sequence is always put together from parts that are tokenised apart: what leads up to a response,
the response, and what follows it. So a response is made of the same tokens wherever it is trained
on, scored, sampled or remembered, and the rating prompt is the same in reward training and in PPO.
What people wrote is text: characters that spell a special token are tokenised as characters. The
end token behind a response is placed here, whether the template writes one (LLaVA's does not).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from training.rlhf.contract import IMAGE_TOKEN, Mark, Turn, without_placeholder
from training.rlhf.data import TokenSequence
from training.rlhf.errors import ModelError
from training.rlhf.images import EncodedImage

_RESPONSE = "RESPONSEmarkerRESPONSE"
"""Stands for the response while a template is rendered; then the text is cut there."""
_LITERAL = "LITERALmarker{}LITERAL"
"""Stands for the characters of a special token in what people wrote, by its number."""
_LITERALS = re.compile(r"LITERALmarker(\d+)LITERAL")


class ChatFormat:
    """Turns conversations into tokens for one processor."""

    def __init__(self, processor: Any, *, image_token: str, stop_ids: Sequence[int]) -> None:
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._image_token = image_token
        self.image_token_id: int = self._tokenizer.convert_tokens_to_ids(image_token)
        if not getattr(processor, "chat_template", None):
            processor.chat_template = getattr(self._tokenizer, "chat_template", None)
        if not processor.chat_template:
            raise ModelError(
                "the base model's processor has no chat template: it stands in "
                "chat_template.jinja, or as chat_template in processor_config.json or "
                "tokenizer_config.json"
            )
        self._special = _special_tokens(processor, image_token)
        self._any_special = re.compile("|".join(map(re.escape, self._special)))
        self.end_id = self._end_of_response(stop_ids)
        self.stop_ids = tuple(sorted({*stop_ids, self.end_id}))
        """All tokens that end a response."""

    def prompt(
        self, conversation: Sequence[Turn], image: EncodedImage, *, addition: str = ""
    ) -> TokenSequence:
        """The conversation up to where the response begins.

        ``addition`` (facts) is put behind the text of the last turn.
        """
        each = iter(image.each)
        ids: list[int] = []
        for token in self._prompt_ids(conversation, addition, images=len(image.each)):
            ids += next(each).placeholder_ids if token == self.image_token_id else [token]
        return TokenSequence(ids, image)

    def short_prompt_ids(self, conversation: Sequence[Turn]) -> list[int]:
        """The prompt with its image as one token, for programs that make room for it themselves."""
        return self._prompt_ids(conversation, "")

    def prompt_text_length(self, conversation: Sequence[Turn]) -> int:
        """Tokens of a prompt without its image, which need not be read for this."""
        return len(self._prompt_ids(conversation, "")) - 1

    def text_length(self, prompt: TokenSequence) -> int:
        """Tokens of a sequence that are not the image's."""
        return len(prompt.ids) - len(prompt.image.placeholder_ids)

    @property
    def vocabulary_size(self) -> int:
        return len(self._tokenizer)

    def unknown_tokens(self, texts: Iterable[str]) -> tuple[int, int]:
        """How many tokens of ``texts`` the tokenizer has no word for, and how many there are."""
        unknown = total = 0
        for text in texts:
            ids = self.response_ids(without_placeholder(text))
            unknown += ids.count(self._tokenizer.unk_token_id)
            total += len(ids)
        return unknown, total

    def response_ids(self, text: str) -> list[int]:
        """The response's own tokens, without an end token."""
        return self._ids(self._literal(text))

    def marked_tokens(self, text: str, marks: Iterable[Mark]) -> list[int]:
        """1 for each of ``response_ids(text)`` that has a character of a mark, else 0.

        A mark that covers half a token marks the token. ModelError for a tokenizer that does not
        say which characters its tokens are of.
        """
        marks = list(marks)
        return [
            int(any(mark.start < end and start < mark.end for mark in marks))
            for start, end in self.response_offsets(text)
        ]

    def response_offsets(self, text: str) -> list[tuple[int, int]]:
        """The characters of ``text`` that each of ``response_ids(text)`` is of."""
        if not self._tokenizer.is_fast:
            raise ModelError(
                "the base model's tokenizer does not say which characters a token is of, which "
                "marked words need; it has no fast form"
            )
        offsets: list[tuple[int, int]] = []
        begin = len(text) - len(text.lstrip())
        for part in _split_keeping(self._any_special, text.strip()):
            if self._any_special.fullmatch(part):
                offsets += [(begin, begin + len(part))] * len(self._ids_of_characters(part))
            else:
                read = self._tokenizer(part, add_special_tokens=False, return_offsets_mapping=True)
                offsets += [(begin + a, begin + b) for a, b in read["offset_mapping"]]
            begin += len(part)
        return offsets

    def ids_that_are(self, text: str) -> tuple[int, ...]:
        """The tokens that ``text`` is at the beginning of an answer and within one.

        ModelError where the tokenizer has no such token.
        """
        found = {self._ids(before + text)[-1] for before in ("", "\n", "a", "a ")}
        ids = tuple(sorted(token for token in found if self.decode([token]) == text.strip()))
        if not ids:
            raise ModelError(f"the base model's tokenizer has no token for {text!r}")
        return ids

    def following_ids(self, conversation: Sequence[Turn], turn: str) -> list[int]:
        """What follows the response when the user says ``turn`` next, up to the next answer.

        It begins with the end token of the response.
        """
        messages = self._messages(conversation, "")
        return self._following(messages, [_message("user", self._literal(turn))])

    def decode(self, ids: Sequence[int]) -> str:
        """Text of response tokens, special tokens left out."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text.strip()

    def _prompt_ids(
        self, conversation: Sequence[Turn], addition: str, *, images: int = 1
    ) -> list[int]:
        messages = self._messages(conversation, addition, images=images)
        answers = [n for n, message in enumerate(messages) if message["role"] == "assistant"]
        ends = [*answers, len(messages)]
        text = self._render(messages[: ends[0]])
        begin: str | None = getattr(self._tokenizer, "bos_token", None)
        has_begin = begin is not None and text.startswith(begin)
        ids = self._ids(text, add_special_tokens=not has_begin)
        for answer, end in zip(answers, ends[1:], strict=True):
            ids += self.response_ids(conversation[answer].text)
            ids += self._following(messages[:answer], messages[answer + 1 : end])
        if ids.count(self.image_token_id) != images:
            raise ModelError(f"the chat template did not place exactly {images} images")
        return ids

    def _following(
        self, before: list[dict[str, Any]], after: Sequence[dict[str, Any]]
    ) -> list[int]:
        """The end token of an answer between these messages, and what the template writes then."""
        text = self._render([*before, _message("assistant", _RESPONSE), *after])
        text = text.split(_RESPONSE, 1)[1].lstrip()  # a space before it is not the answer's
        ids = self._ids(text)
        return ids if ids[:1] == [self.end_id] else [self.end_id, *ids]

    def _messages(
        self, conversation: Sequence[Turn], addition: str, *, images: int = 1
    ) -> list[dict[str, Any]]:
        """One image stands before the text of the first user turn; several, where people's turns
        have their placeholders. Anywhere else the placeholder's characters are text."""
        first = next((n for n, turn in enumerate(conversation) if turn.speaker == "human"), 0)
        messages = []
        for position, turn in enumerate(conversation):
            added = addition if position == len(conversation) - 1 else ""
            if images > 1 and turn.speaker == "human":
                messages.append(self._interleaved(turn, added))
                continue
            shows = images > 0 and position == first
            text = without_placeholder(turn.text) if shows else turn.text
            message = _message(
                "user" if turn.speaker == "human" else "assistant",
                "\n\n".join(self._literal(part) for part in (text, added) if part),
            )
            if shows:
                message["content"].insert(0, {"type": "image"})
            messages.append(message)
        return messages

    def _interleaved(self, turn: Turn, addition: str) -> dict[str, Any]:
        content: list[dict[str, str]] = []
        for number, part in enumerate(turn.text.split(IMAGE_TOKEN)):
            if number:
                content.append({"type": "image"})
            if plain := self._literal(part):
                content.append({"type": "text", "text": plain})
        if addition:
            last = content[-1].get("text") if content else None
            both = [part for part in (last, self._literal(addition)) if part]
            kept = content if last is None else content[:-1]
            content = [*kept, {"type": "text", "text": "\n\n".join(both)}]
        return {"role": "user", "content": content}

    def _literal(self, text: str) -> str:
        """What people wrote, with markers in place of what would be read as special tokens."""
        return self._any_special.sub(
            lambda found: _LITERAL.format(self._special.index(found[0])), text.strip()
        )

    def _render(self, messages: list[dict[str, Any]], *, prompting: bool = True) -> str:
        """The template's text; ModelError says what it has against these messages."""
        try:
            text: str = self._processor.apply_chat_template(
                messages, add_generation_prompt=prompting, tokenize=False
            )
        except Exception as error:  # templates raise whatever their language does
            roles = ", ".join(message["role"] for message in messages)
            raise ModelError(
                f"the chat template refuses turns of {roles or 'nobody'}: {str(error)[:200]}"
            ) from error
        return text

    def _ids(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        ids: list[int] = []
        for number, part in enumerate(_LITERALS.split(text)):
            if number % 2:  # the number of a special token, of which the characters are meant
                ids += self._ids_of_characters(self._special[int(part)])
            elif part or not number:
                begin = add_special_tokens and not number
                ids += self._tokenizer(part, add_special_tokens=begin)["input_ids"]
        return ids

    def _ids_of_characters(self, token: str) -> list[int]:
        """Tokens that spell a special token without being one."""
        ids: list[int] = self._tokenizer(
            token, add_special_tokens=False, split_special_tokens=True
        )["input_ids"]
        if self._tokenizer.convert_tokens_to_ids(token) not in ids:
            return ids
        return self._ids(token[:1]) + self._ids(token[1:])  # a tokenizer that knows no other way

    def _end_of_response(self, stop_ids: Sequence[int]) -> int:
        """The token that ends a turn in this template, else the tokenizer's end of text.

        A template may end turns with a token that generation defaults do not name; it is one that
        ends all the same.
        """
        messages = [_message("user", "?"), _message("assistant", _RESPONSE)]
        _, said, after = self._render(messages, prompting=False).partition(_RESPONSE)
        if not said:
            raise ModelError("the base model's chat template leaves out what turns say")
        ids = self._ids(after.strip())
        special = {self._tokenizer.convert_tokens_to_ids(token) for token in self._special}
        if ids and ids[0] in {*stop_ids, *special}:
            return ids[0]
        if self._tokenizer.eos_token_id is None:
            raise ModelError("the base model's tokenizer has no end token")
        return int(self._tokenizer.eos_token_id)


def _split_keeping(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    """``text`` in pieces: what ``pattern`` finds, and what stands between; no empty one."""
    end = 0
    for found in pattern.finditer(text):
        if found.start() > end:
            yield text[end : found.start()]
        yield found[0]
        end = found.end()
    if end < len(text):
        yield text[end:]


def _special_tokens(processor: Any, image_token: str) -> list[str]:
    """Texts that the tokenizer would read as special tokens, longest first."""
    tokenizer = processor.tokenizer
    found = {image_token, *getattr(tokenizer, "all_special_tokens", ())}
    for token in getattr(tokenizer, "added_tokens_decoder", {}).values():
        if token.special:
            found.add(token.content)
    return sorted(found - {""}, key=lambda token: (-len(token), token))


def _message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}
