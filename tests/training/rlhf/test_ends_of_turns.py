"""Every answer of every family ends with its end token, whatever the family's template writes.

The tokenizer is one of characters with the family's special tokens, so that what is compared is the
text itself, spaces and line ends included.
"""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import Environment
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast
from transformers.models.smolvlm import processing_smolvlm

from tests.training.rlhf.chat_forms import PUBLISHED
from training.rlhf.contract import Turn
from training.rlhf.errors import ModelError
from training.rlhf.prompts import ChatFormat

SPECIAL = (
    *("<pad>", "<s>", "</s>", "<unk>", "<image>", "<|im_start|>", "<|im_end|>"),
    *("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<start_of_turn>", "<end_of_turn>"),
    *("<start_of_image>", "<end_of_utterance>", "<|begin_of_text|>"),
)
IMAGE = {"gemma3": "<start_of_image>", "qwen2_5_vl": "<|image_pad|>", "qwen3_vl": "<|image_pad|>"}
END = {
    "llava": "</s>",
    "gemma3": "<end_of_turn>",
    "idefics3": "<end_of_utterance>",
    "smolvlm": "<end_of_utterance>",
}
ROUNDS = [
    *(("what ?", "a cat"), ("how many ?", "two"), ("sure ?", "yes"), ("why ?", "I see")),
    ("ok", "bye"),
]


class Processor:
    """A family's template over a tokenizer of characters."""

    def __init__(self, template: str) -> None:
        letters = [chr(code) for code in range(32, 127)] + ["\n"]
        vocabulary = {token: number for number, token in enumerate([*SPECIAL, *letters])}
        characters = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
        characters.pre_tokenizer = Split(Regex(r"[\s\S]"), behavior="isolated")
        self.tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=characters,
            bos_token="<s>",
            eos_token="</s>",
            unk_token="<unk>",
            pad_token="<pad>",
            additional_special_tokens=list(SPECIAL[4:]),
        )
        self.chat_template = template

    def apply_chat_template(
        self, messages: Any, *, add_generation_prompt: bool, tokenize: bool
    ) -> str:
        template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(self.chat_template)
        return template.render(
            messages=messages, add_generation_prompt=add_generation_prompt, bos_token="<s>"
        )


def chat_of(family: str) -> ChatFormat:
    processor = Processor(PUBLISHED[family].jinja)
    image = IMAGE.get(family, "<image>")
    return ChatFormat(processor, image_token=image, stop_ids=[SPECIAL.index("</s>")])


def text_of(chat: ChatFormat, ids: list[int]) -> str:
    return "".join(chat._tokenizer.convert_ids_to_tokens(ids))


def written(chat: ChatFormat, ids: list[int]) -> str:
    """What is there in characters, special tokens left out."""
    return text_of(chat, [token for token in ids if token >= len(SPECIAL)])


def turns(rounds: int) -> list[Turn]:
    said: list[Turn] = []
    for question, answer in ROUNDS[:rounds]:
        said += [Turn(speaker="human", text=question), Turn(speaker="gpt", text=answer)]
    return [Turn(speaker="human", text=f"<image>\n{said[0].text}"), *said[1:]]


@pytest.mark.parametrize("family", PUBLISHED)
def test_every_answer_ends_with_the_end_token(family: str) -> None:
    """As history of a prompt, before the rating prompt, and before the next question."""
    chat, conversation = chat_of(family), turns(5)
    end = END.get(family, "<|im_end|>")
    assert chat.end_id == SPECIAL.index(end)
    assert chat.end_id in chat.stop_ids
    prompt = text_of(chat, chat.short_prompt_ids(conversation[:-1]))
    for _, answer in ROUNDS[:4]:
        assert prompt.count(f"{answer}{end}") == 1
    assert f"{ROUNDS[4][1]}{end}" not in prompt
    for place in range(1, 10, 2):
        following = text_of(chat, chat.following_ids(conversation[:place], "rate"))
        assert following.startswith(end)
        assert following.count(end) == 2 if END.get(family) != "</s>" else following.count(end) == 1


@pytest.mark.parametrize("family", PUBLISHED)
def test_what_is_learnt_is_what_a_prompt_remembers(family: str) -> None:
    """Prompt, answer and what follows, put together, are the next round's prompt."""
    chat, conversation = chat_of(family), turns(4)
    for place in range(1, 6, 2):
        parts = (
            chat.short_prompt_ids(conversation[:place])
            + chat.response_ids(conversation[place].text)
            + chat.following_ids(conversation[:place], conversation[place + 1].text)
        )
        assert parts == chat.short_prompt_ids(conversation[: place + 2])


@pytest.mark.parametrize("family", PUBLISHED)
def test_a_first_question_is_what_the_template_makes_of_it(family: str) -> None:
    chat = chat_of(family)
    content = [{"type": "image"}, {"type": "text", "text": "what ?"}]
    whole = chat._processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    assert text_of(chat, chat.short_prompt_ids(turns(1)[:1])) == whole


def test_smolvlms_form_is_that_of_its_template() -> None:
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what ?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a cat"}]},
        {"role": "user", "content": [{"type": "text", "text": "sure ?"}]},
    ]
    rendered = [
        Processor(template).apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )
        for template in (processing_smolvlm.DEFAULT_CHAT_TEMPLATE, PUBLISHED["smolvlm"].jinja)
    ]
    assert rendered[0] == rendered[1]


@pytest.mark.parametrize("family", PUBLISHED)
@pytest.mark.parametrize("text", ["What does <image> mean ?", "</s> <|im_end|>", "<end_of_turn>"])
def test_characters_of_special_tokens_are_text(family: str, text: str) -> None:
    """In a question, an answer, a fact and a later turn; the image stays one."""
    chat = chat_of(family)
    image = SPECIAL.index(IMAGE.get(family, "<image>"))
    first = Turn(speaker="human", text=f"<image>\n{text}")
    answer, later = Turn(speaker="gpt", text=text), Turn(speaker="human", text=text)
    ids = chat.short_prompt_ids([first, answer, later])
    assert ids.count(image) == 1
    assert written(chat, ids).count(text) == 3
    assert not set(chat.response_ids(text)) & set(range(len(SPECIAL)))
    assert text_of(chat, chat.response_ids(text)) == text
    facts = chat._prompt_ids([first], f"- {text}")
    assert written(chat, facts).count(text) == 2 and facts.count(image) == 1


def test_a_template_that_refuses_says_so_in_words() -> None:
    processor = Processor(PUBLISHED["llava"].jinja)
    chat = ChatFormat(processor, image_token="<image>", stop_ids=[2])
    processor.chat_template = "{{ messages[7]['role'] | nothing }}"
    with pytest.raises(ModelError, match="the chat template refuses turns of user"):
        chat.short_prompt_ids(turns(1)[:1])
