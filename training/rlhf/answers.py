"""Written answers as tokens behind their prompts: what fine-tuning and DPO learn from.

An answer that does not fit is cut at its end and then has no end token, so that nothing learns to
stop in the middle of a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.rlhf.contract import Record
from training.rlhf.data import TokenSequence
from training.rlhf.errors import DataError
from training.rlhf.images import EncodedImage
from training.rlhf.models import VisionLanguageModel

Example = tuple[TokenSequence, list[int]]
"""A prompt and the answer's tokens with its end token."""


def answered(
    model: VisionLanguageModel,
    record: Record,
    image: EncodedImage,
    answers: Sequence[str],
    *,
    max_length: int,
) -> list[Example]:
    """The record's prompt with each of ``answers``, at most ``max_length`` text tokens together.

    Raises DataError when the prompt alone leaves no room.
    """
    prompt = model.chat.prompt(record.conversation, image)
    room = max_length - model.chat.text_length(prompt)
    if room < 1:
        raise DataError(
            f"record {record.id}: the prompt leaves no room for an answer in "
            f"{max_length} tokens (settings.max_length)"
        )
    return [
        (prompt, [*model.chat.response_ids(answer), model.chat.end_id][:room]) for answer in answers
    ]


def padded(model: VisionLanguageModel, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Ids and mask of the answers, right-padded, ``[count, longest answer]`` both."""
    width = max(len(answer) for _, answer in examples)
    ids = torch.full((len(examples), width), model.pad_id)
    mask = torch.zeros((len(examples), width), dtype=torch.long)
    for row, (_, answer) in enumerate(examples):
        ids[row, : len(answer)] = torch.tensor(answer)
        mask[row, : len(answer)] = 1
    return ids, mask
