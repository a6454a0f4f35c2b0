"""Conversations to token ids through the model's own chat template.

A sequence is always put together from three parts that are tokenised apart: prompt, response and
what follows it. So a response is made of the same tokens wherever it is trained on, scored or
sampled, and the rating prompt is the same in reward training and in PPO.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.rlhf.contract import IMAGE_TOKEN, Turn
from training.rlhf.data import TokenSequence
from training.rlhf.errors import ModelError
from training.rlhf.images import EncodedImage

_RESPONSE = "RESPONSEmarkerRESPONSE"
"""Stands for the response while a template is rendered; then the text is cut there."""


class ChatFormat:
    """Turns conversations into tokens for one processor."""

    def __init__(self, processor: Any, *, image_token: str, stop_ids: Sequence[int]) -> None:
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._image_token = image_token
        self._image_token_id: int = self._tokenizer.convert_tokens_to_ids(image_token)
        if not getattr(processor, "chat_template", None):
            raise ModelError("the base model's processor has no chat template")
        self._stop_ids = tuple(stop_ids)
        self.end_id = self._end_of_response()

    def prompt(
        self, conversation: Sequence[Turn], image: EncodedImage, *, addition: str = ""
    ) -> TokenSequence:
        """The conversation up to where the response begins.

        ``addition`` (facts) is put behind the text of the last turn.
        """
        each = iter(image.each)
        ids: list[int] = []
        for token in self._prompt_ids(conversation, addition, images=len(image.each)):
            ids += next(each).placeholder_ids if token == self._image_token_id else [token]
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

    def response_ids(self, text: str) -> list[int]:
        """The response's own tokens, without an end token."""
        return self._ids(self._plain(text), add_special_tokens=False)

    def following_ids(self, conversation: Sequence[Turn], turn: str) -> list[int]:
        """What follows the response when the user says ``turn`` next, up to the next answer."""
        messages = [
            *self._messages(conversation, ""),
            _message("assistant", _RESPONSE),
            _message("user", self._plain(turn)),
        ]
        text = self._render(messages, add_generation_prompt=True)
        return self._ids(text.split(_RESPONSE, 1)[1], add_special_tokens=False)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of response tokens, special tokens left out."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text.strip()

    def _prompt_ids(
        self, conversation: Sequence[Turn], addition: str, *, images: int = 1
    ) -> list[int]:
        messages = self._messages(conversation, addition, images=images)
        text = self._render(messages, add_generation_prompt=True)
        begin: str | None = getattr(self._tokenizer, "bos_token", None)
        has_begin = begin is not None and text.startswith(begin)
        ids = self._ids(text, add_special_tokens=not has_begin)
        if ids.count(self._image_token_id) != images:
            raise ModelError(f"the chat template did not place exactly {images} images")
        return ids

    def _messages(
        self, conversation: Sequence[Turn], addition: str, *, images: int = 1
    ) -> list[dict[str, Any]]:
        """One image stands before the text of its turn; several stand where the text has them."""
        with_image = next((i for i, turn in enumerate(conversation) if IMAGE_TOKEN in turn.text), 0)
        messages = []
        for position, turn in enumerate(conversation):
            if images > 1 and IMAGE_TOKEN in turn.text:
                last = position == len(conversation) - 1
                messages.append(self._interleaved(turn, addition if last else ""))
                continue
            text = self._plain(turn.text)
            if addition and position == len(conversation) - 1:
                text = f"{text}\n\n{self._plain(addition)}"
            role = "user" if turn.speaker == "human" else "assistant"
            message = _message(role, text)
            if position == with_image:
                message["content"].insert(0, {"type": "image"})
            messages.append(message)
        return messages

    def _interleaved(self, turn: Turn, addition: str) -> dict[str, Any]:
        text = f"{turn.text}\n\n{self._plain(addition)}" if addition else turn.text
        content: list[dict[str, str]] = []
        for number, part in enumerate(text.split(IMAGE_TOKEN)):
            if number:
                content.append({"type": "image"})
            if plain := self._plain(part):
                content.append({"type": "text", "text": plain})
        return {"role": "user" if turn.speaker == "human" else "assistant", "content": content}

    def _plain(self, text: str) -> str:
        """Text without image placeholders: one too many and the model's forward fails."""
        return text.replace(IMAGE_TOKEN, "").replace(self._image_token, "").strip()

    def _render(self, messages: list[dict[str, Any]], *, add_generation_prompt: bool) -> str:
        text: str = self._processor.apply_chat_template(
            messages, add_generation_prompt=add_generation_prompt, tokenize=False
        )
        return text

    def _ids(self, text: str, *, add_special_tokens: bool) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=add_special_tokens)["input_ids"]
        return ids

    def _end_of_response(self) -> int:
        """The token that ends a turn in this template, else the tokenizer's end of text."""
        messages = [_message("user", "?"), _message("assistant", _RESPONSE)]
        text = self._render(messages, add_generation_prompt=False)
        after = self._ids(text.split(_RESPONSE, 1)[1], add_special_tokens=False)
        if after and after[0] in self._stop_ids:
            return after[0]
        if self._tokenizer.eos_token_id is None:
            raise ModelError("the base model's tokenizer has no end token")
        return int(self._tokenizer.eos_token_id)


def _message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}
