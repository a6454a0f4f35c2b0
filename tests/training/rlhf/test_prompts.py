from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.rlhf import tiny
from training.rlhf.contract import Turn
from training.rlhf.errors import ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prompts import ChatFormat

IMAGE = tiny.SPECIAL.index("<image>")


def human(text: str) -> Turn:
    return Turn(speaker="human", text=text)


def words(model: VisionLanguageModel, ids: list[int]) -> str:
    return " ".join(model.processor.tokenizer.convert_ids_to_tokens(ids))


def test_prompt_repeats_the_image_token_and_ends_where_the_answer_begins(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    image = model.encode_images(image_files)[0]
    prompt = model.chat.prompt((human("<image>\nwhat is there ?"),), image)
    assert words(model, prompt.ids) == (
        "<s> USER: <image> <image> <image> <image> what is there ? ASSISTANT:"
    )


def test_the_image_is_that_of_the_first_question(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    """Whether it has a placeholder or not; in a later turn its characters are text."""
    image = model.encode_images(image_files)[0]
    for first in ("<image>\nis there", "is there\n<image>", "is there", "is <image> there"):
        turns = (human(first), Turn(speaker="gpt", text="no"), human("what ?"))
        prompt = model.chat.prompt(turns, image)
        assert words(model, prompt.ids) == (
            "<s> USER: <image> <image> <image> <image> is there ASSISTANT: no </s> USER: what ? "
            "ASSISTANT:"
        )
    prompt = model.chat.prompt((*turns[:2], human("what ?\n<image>")), image)
    assert prompt.ids.count(IMAGE) == 4


def test_facts_are_added_to_the_last_turn(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    image = model.encode_images(image_files)[0]
    prompt = model.chat.prompt((human("<image> what ?"),), image, addition="facts : red circle")
    assert words(model, prompt.ids).endswith("what ? facts : red circle ASSISTANT:")


@pytest.mark.parametrize("text", ["<image>\nwhat <image> ?", "what ? <image><image>"])
def test_image_tokens_in_texts_are_not_images(
    model: VisionLanguageModel, image_files: list[Path], text: str
) -> None:
    image = model.encode_images(image_files)[0]
    prompt = model.chat.prompt((human(text),), image, addition="<image> red")
    assert prompt.ids.count(IMAGE) == 4
    assert IMAGE not in model.chat.response_ids("a <image> circle")
    assert IMAGE not in model.chat.following_ids((human(text),), "rate <image> :")


def test_following_turn_ends_the_response_first(model: VisionLanguageModel) -> None:
    ids = model.chat.following_ids((human("<image> what ?"),), "rate :")
    assert words(model, ids) == "</s> USER: rate : ASSISTANT:"


def test_parts_add_up_to_the_template_of_the_whole(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    image = model.encode_images(image_files)[0]
    turns = (human("<image>\nwhat is there ?"),)
    parts = (
        model.chat.prompt(turns, image).ids
        + model.chat.response_ids("a red circle")
        + model.chat.following_ids(turns, "rate :")
    )
    assert words(model, parts).replace("<image> <image> <image> <image>", "<image>") == (
        "<s> USER: <image> what is there ? ASSISTANT: a red circle </s> USER: rate : ASSISTANT:"
    )


def test_end_token_is_the_one_the_template_writes(model: VisionLanguageModel) -> None:
    assert model.chat.end_id == tiny.SPECIAL.index("</s>")


def test_end_token_may_be_another_than_the_end_of_text() -> None:
    processor = tiny.processor()
    processor.chat_template = tiny.CHAT_TEMPLATE.replace("' ' + eos_token", "' .'")
    stop = processor.tokenizer.convert_tokens_to_ids(".")
    assert ChatFormat(processor, image_token="<image>", stop_ids=[2, stop]).end_id == stop
    assert ChatFormat(processor, image_token="<image>", stop_ids=[2]).end_id == 2


def test_decode_leaves_special_tokens_out(model: VisionLanguageModel) -> None:
    assert model.chat.decode([*model.chat.response_ids("a red circle"), 2, 0]) == "a red circle"


def test_begin_token_is_not_doubled_when_the_tokenizer_adds_it_too(
    image_files: list[Path],
) -> None:
    from tokenizers.processors import TemplateProcessing

    processor = tiny.processor()
    processor.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    model = VisionLanguageModel(tiny.model(), processor, device=torch.device("cpu"))
    image = model.encode_images(image_files)[0]
    assert model.chat.prompt((human("<image> what ?"),), image).ids.count(1) == 1
    processor.chat_template = tiny.CHAT_TEMPLATE.replace("{{ bos_token }}", "")
    assert model.chat.prompt((human("<image> what ?"),), image).ids.count(1) == 1


def test_processor_without_a_template_is_refused() -> None:
    processor = tiny.processor()
    processor.chat_template = None
    with pytest.raises(ModelError, match="chat template"):
        ChatFormat(processor, image_token="<image>", stop_ids=[2])
