"""From characters that people marked to tokens, and what marked tokens weigh."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tests.training.rlhf import tiny
from training.rlhf.answers import answered, padded
from training.rlhf.contract import CORRECTION, ContractError, Mark, PreferencePair
from training.rlhf.errors import ModelError
from training.rlhf.losses import marked_token_loss
from training.rlhf.models import VisionLanguageModel
from training.rlhf.pair_logprobs import dense_logprob
from training.rlhf.prompts import ChatFormat

TEXTS = (
    "Two red cats sit on a bench.",
    "  Leading and trailing spaces  ",
    "Ein café, naïve façade: 12,5 % — « oui »",
    "cafe\u0301 is not normalised",
    "两只红色的猫坐在长椅上。",
    "قطتان حمراوان على مقعد",
    "a 👩‍👩‍👧 family and a 🐈",
    "it ends in </s> and goes on <image> here",
    "tabs\tand\n\nlines\u2028too",
)


def byte_level() -> Tokenizer:
    """Tokens of bytes with the space before a word, as GPT-2, Llama 3 and Qwen have them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(tiny.SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return tokenizer


def sentence_pieces() -> Tokenizer:
    """Tokens that begin with a sign for the space, as Llama 2 and LLaVA-1.5 have them."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=[*tiny.SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS[:2], trainer)
    return tokenizer


def words() -> Tokenizer:
    made: Tokenizer = tiny.tokenizer().backend_tokenizer
    return made


def chat_of(tokenizer: Tokenizer) -> ChatFormat:
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )
    processor = tiny.processor()
    processor.tokenizer = fast
    return ChatFormat(processor, image_token="<image>", stop_ids=[2])


@pytest.mark.parametrize("make", [byte_level, sentence_pieces, words])
@pytest.mark.parametrize("text", TEXTS)
def test_each_token_of_a_marked_character_is_marked(make: Any, text: str) -> None:
    """Whatever character is marked, its tokens are, and there is a flag for each token."""
    chat = chat_of(make())
    ids = chat.response_ids(text)
    for place, character in enumerate(text):
        marked = chat.marked_tokens(text, [Mark(start=place, end=place + 1)])
        assert len(marked) == len(ids)
        if not character.isspace():
            assert sum(marked) >= 1, character
    assert chat.marked_tokens(text, [Mark(start=0, end=len(text))]) == [1] * len(ids)
    assert chat.marked_tokens(text, []) == [0] * len(ids)


@pytest.mark.parametrize("make", [byte_level, sentence_pieces])
def test_marks_end_where_they_end(make: Any) -> None:
    chat = chat_of(make())
    text = "Two red cats sit on a bench."
    before, red, after = (
        len(chat.response_ids(part)) for part in ("Two", "Two red", "Two red cats sit on a bench.")
    )
    assert chat.marked_tokens(text, [Mark(start=4, end=7)]) == [
        *([0] * before),
        *([1] * (red - before)),
        *([0] * (after - red)),
    ]


def test_a_mark_of_half_a_token_marks_it() -> None:
    chat = chat_of(words())
    assert chat.marked_tokens("a red circle", [Mark(start=3, end=4)]) == [0, 1, 0]
    assert chat.marked_tokens("a red circle", [Mark(start=4, end=8)]) == [0, 1, 1]


def test_tokenizers_that_know_no_characters_are_refused() -> None:
    chat = chat_of(words())
    chat._tokenizer = SimpleNamespace(is_fast=False)
    with pytest.raises(ModelError, match="which characters"):
        chat.marked_tokens("a", [Mark(start=0, end=1)])


def test_marks_go_with_their_answers(model: VisionLanguageModel, image_files: list[Path]) -> None:
    [image] = model.encode_images(image_files[:1])
    record = PreferencePair.from_json(tiny.preference_records(["x.png"])[0])
    marks = [[Mark(start=0, end=5)], []]
    answers = ["green cross and a circle", "no"]
    both = padded(model, answered(model, record, image, answers, max_length=64, marks=marks))
    assert both.marked.tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]  # and the end token
    cut = answered(model, record, image, answers, max_length=9, marks=marks)
    assert all(len(example.marked) <= len(example.ids) for example in cut)


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_dense_log_probability_by_hand() -> None:
    logprobs, mask, marked = row(-1, -2, -4, -9), row(1, 1, 1, 0), row(0, 0, 1, 0)
    # (-1 - 2 + 5 * -4) / (2 + 5 * 1)
    assert dense_logprob(logprobs, mask, marked, gamma=5).item() == pytest.approx(-23 / 7)
    assert dense_logprob(logprobs, mask, row(0, 0, 0, 0), gamma=5).item() == pytest.approx(-7 / 3)
    assert dense_logprob(logprobs, mask, marked, gamma=1).item() == pytest.approx(-7 / 3)
    assert dense_logprob(logprobs, row(0, 0, 0, 0), marked, gamma=5).item() == 0


def test_padding_changes_no_dense_log_probability() -> None:
    short = dense_logprob(row(-1, -3), row(1, 1), row(0, 1), gamma=5)
    padding = dense_logprob(
        row(-1, -3, -math.inf), row(1, 1, 0), row(0, 1, 1), gamma=5
    )  # a mark on padding is none
    assert torch.equal(short, padding)


def test_marked_tokens_pull_harder() -> None:
    logprobs = row(-1, -1).requires_grad_()
    dense_logprob(logprobs, row(1, 1), row(0, 1), gamma=5).sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad[0].tolist() == pytest.approx([1 / 6, 5 / 6])


def test_loss_of_marked_tokens_by_hand() -> None:
    logits, marked, mask = row(0, 2, -1, 7), row(1, 0, 0, 1), row(1, 1, 1, 0)
    soft = [math.log(1 + math.exp(x)) for x in (2, -1)]
    expected = (3 * math.log(2) + soft[0] + soft[1]) / 3
    found = marked_token_loss(logits, marked, mask, positive_weight=3)
    assert found.item() == pytest.approx(expected)
    assert marked_token_loss(logits, marked, row(0, 0, 0, 0), positive_weight=3).item() == 0


def pair(**changes: Any) -> dict[str, Any]:
    data = tiny.preference_records(["x.png"])[0]
    data["output_1"] = {"from": "a", "value": "a red circle"}
    data["output_2"] = {"from": "b", "value": "a blue circle"}
    return data | changes


def test_only_what_made_the_difference_tells() -> None:
    false, right = Mark(start=2, end=6, kind="attribute"), Mark(start=2, end=5, kind=CORRECTION)
    data = pair(preference=1)
    data["output_1"]["marks"] = [
        {"start": 2, "end": 5, "kind": CORRECTION},
        {"start": 6, "end": 12, "kind": "object"},  # false in the better one too
    ]
    data["output_2"]["marks"] = [{"start": 2, "end": 6, "kind": "attribute"}]
    read = PreferencePair.from_json(data)
    assert read.telling_marks == ((right,), (false,))
    assert PreferencePair.from_json(read.to_json()) == read
    assert PreferencePair.from_json(pair()).marks_1 is None


@pytest.mark.parametrize(
    "marks",
    ["x", [1], [{"start": 0}], [{"start": 3, "end": 3}], [{"start": 0, "end": 99}], [{"end": 2}]],
)
def test_marks_that_are_none_are_refused_by_name(marks: Any) -> None:
    data = pair()
    data["output_2"]["marks"] = marks
    with pytest.raises(ContractError, match=r"output_2\.marks"):
        PreferencePair.from_json(data)
