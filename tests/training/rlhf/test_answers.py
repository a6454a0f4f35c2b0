from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from training.rlhf.answers import Example, conversation, padded
from training.rlhf.contract import ContractError, ConversationRecord
from training.rlhf.models import VisionLanguageModel

TURNS = [
    ("human", "<image>\nwhat is there ?"),
    ("gpt", "a red circle"),
    ("human", "is there a cross ?"),
    ("gpt", "no"),
]


def record(turns: list[tuple[str, str]] = TURNS, **fields: Any) -> ConversationRecord:
    wire = [{"from": speaker, "value": text} for speaker, text in turns]
    return ConversationRecord.from_json({"id": 1, "image": "i", "conversations": wire, **fields})


def example_of(
    model: VisionLanguageModel, files: list[Path], one: ConversationRecord, *, max_length: int = 64
) -> Example:
    [image] = model.encode_images(files[:1])
    return conversation(model, one, image, max_length=max_length)


def words(model: VisionLanguageModel, example: Example, *, learnt: bool) -> str:
    kept = [i for i, learn in zip(example.ids, example.learnt, strict=True) if learn or not learnt]
    return str(model.processor.tokenizer.decode(kept))


def test_all_answers_are_learnt_and_no_question(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    example = example_of(model, image_files, record(all_answers=True))
    assert words(model, example, learnt=True) == "a red circle </s> no </s>"
    assert words(model, example, learnt=False) == (
        "a red circle </s> USER: is there a cross ? ASSISTANT: no </s>"
    )


def test_only_the_last_answer_is_learnt_by_default(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    example = example_of(model, image_files, record())
    assert words(model, example, learnt=True) == words(model, example, learnt=False) == "no </s>"


def test_both_ways_make_the_same_tokens(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    last = example_of(model, image_files, record())
    all_of_them = example_of(model, image_files, record(all_answers=True))
    assert last.prompt.ids + last.ids == all_of_them.prompt.ids + all_of_them.ids


def test_a_long_conversation_is_cut_at_its_end(
    model: VisionLanguageModel, image_files: list[Path]
) -> None:
    whole = example_of(model, image_files, record(all_answers=True))
    room = model.chat.text_length(whole.prompt) + 4
    cut = example_of(model, image_files, record(all_answers=True), max_length=room)
    assert (cut.ids, cut.learnt) == (whole.ids[:4], [1, 1, 1, 1])


def test_shorter_examples_are_padded(model: VisionLanguageModel, image_files: list[Path]) -> None:
    examples = [
        example_of(model, image_files, record(all_answers=True)),
        example_of(model, image_files, record()),
    ]
    batch = padded(model, examples)
    assert batch.ids.shape == batch.mask.shape == batch.learnt.shape
    assert batch.mask.sum(1).tolist() == [len(example.ids) for example in examples]
    assert batch.learnt.sum(1).tolist() == [6, 2]
    assert set(batch.ids[1, 2:].tolist()) == {model.pad_id}


@pytest.mark.parametrize("all_answers", [True, False])
def test_turns_that_do_not_alternate_are_refused(all_answers: bool) -> None:
    turns = [TURNS[0], TURNS[2], TURNS[3]]
    with pytest.raises(ContractError, match=r"conversations\[1\].from: human follows human"):
        record(turns, all_answers=all_answers)


def test_all_answers_is_yes_or_no() -> None:
    with pytest.raises(ContractError, match="all_answers"):
        record(all_answers="yes")
