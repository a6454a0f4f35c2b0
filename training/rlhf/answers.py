"""Written answers as tokens behind their prompts: what fine-tuning and DPO learn from.

An answer that does not fit is cut at its end and then has no end token, so that nothing learns to
stop in the middle of a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.rlhf.contract import ConversationRecord, Mark, Record, Turn
from training.rlhf.data import TokenSequence
from training.rlhf.errors import DataError
from training.rlhf.images import EncodedImage
from training.rlhf.models import VisionLanguageModel


@dataclass(frozen=True)
class Example:
    """A prompt, what follows it, and which of the following tokens are learnt."""

    prompt: TokenSequence
    ids: list[int]
    learnt: list[int]
    """1 on answer tokens with their end tokens, 0 on what the other side says between them."""
    record: str
    """The id of the record it is of."""
    marked: tuple[int, ...] = ()
    """1 on tokens that people marked as hallucinated; shorter than ``ids`` where the rest is 0."""

    def __len__(self) -> int:
        return len(self.prompt) + len(self.ids)


@dataclass(frozen=True)
class Padded:
    """Right-padded continuations of several examples, ``[count, longest]`` each."""

    ids: Tensor
    mask: Tensor
    """1 on tokens, 0 on padding."""
    learnt: Tensor
    marked: Tensor


def answered(
    model: VisionLanguageModel,
    record: Record,
    image: EncodedImage,
    answers: Sequence[str],
    *,
    max_length: int,
    marks: Sequence[Sequence[Mark]] = (),
) -> list[Example]:
    """The record's prompt with each of ``answers``, at most ``max_length`` text tokens together.

    ``marks`` are those of each answer. Raises DataError when the prompt alone leaves no room.
    """
    prompt = model.chat.prompt(record.conversation, image)
    room = _room(model, record, prompt, max_length)
    examples = []
    for number, answer in enumerate(answers):
        ids = [*model.chat.response_ids(answer), model.chat.end_id][:room]
        its_marks = marks[number] if marks else ()
        marked = model.chat.marked_tokens(answer, its_marks)[:room] if its_marks else []
        examples.append(Example(prompt, ids, [1] * len(ids), record.id, tuple(marked)))
    return examples


def conversation(
    model: VisionLanguageModel, record: ConversationRecord, image: EncodedImage, *, max_length: int
) -> Example:
    """A conversation of which the last answer is learnt, or every one (``all_answers``).

    That human and gpt take turns is the contract of a record. Raises DataError when the first
    prompt leaves no room.
    """
    if not record.all_answers:
        [example] = answered(model, record, image, [record.answer], max_length=max_length)
        return example
    turns = [*record.conversation, Turn(speaker="gpt", text=record.answer)]
    prompt = model.chat.prompt(turns[:1], image)
    ids: list[int] = []
    learnt: list[int] = []
    for place in range(1, len(turns), 2):
        answer = model.chat.response_ids(turns[place].text)
        between = [model.chat.end_id]
        if place + 1 < len(turns):
            between = model.chat.following_ids(turns[:place], turns[place + 1].text)
        ids += answer + between
        learnt += [1] * (len(answer) + 1) + [0] * (len(between) - 1)
    room = _room(model, record, prompt, max_length)
    return Example(prompt, ids[:room], learnt[:room], record.id)


def padded(model: VisionLanguageModel, examples: Sequence[Example]) -> Padded:
    """The examples' continuations side by side."""
    width = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), width), model.pad_id)
    mask, learnt, marked = (torch.zeros_like(ids) for _ in range(3))
    for row, example in enumerate(examples):
        count = len(example.ids)
        ids[row, :count] = torch.tensor(example.ids)
        mask[row, :count] = 1
        learnt[row, :count] = torch.tensor(example.learnt)
        marked[row, : len(example.marked)] = torch.tensor(example.marked)
    return Padded(ids, mask, learnt, marked)


def _room(
    model: VisionLanguageModel, record: Record, prompt: TokenSequence, max_length: int
) -> int:
    room = max_length - model.chat.text_length(prompt)
    if room < 1:
        raise DataError(
            f"record {record.id}: the prompt leaves no room for an answer in "
            f"{max_length} tokens (settings.max_length)"
        )
    return room
